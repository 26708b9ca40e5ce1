"""The process runs out of file descriptors: mail waits, nothing fails for good, and all is well after."""

from __future__ import annotations

import contextlib
import os
import resource
import smtplib
import socket
from pathlib import Path

from requiretls_lab.laboratory import Laboratory
from tests.faults.process_figures import figures_of
from tests.hooks.salmon.apps import FORWARDER, copy_of, free_port, running, wait_until

DOMAINS = ("dane-ee.test", "sts.test", "dnssec-pkix.test", "unproven.test", "no-keyword.test", "no-such.test")


def test_without_descriptors_mail_waits_and_goes_when_there_are_some(lab: Laboratory, tmp_path: Path) -> None:
    """Neither DNS nor mail hosts nor the cache can be asked then; that is no verdict on anybody."""
    settings = lab.write_settings(
        tmp_path / "requiretls.toml", cache={"url": f"sqlite://{tmp_path}/cache.sqlite"}
    )
    app_folder, port = copy_of(FORWARDER, tmp_path), free_port()
    with running(app_folder, port, settings=settings) as app, contextlib.ExitStack() as stack:
        pid = app.process.pid
        client = stack.enter_context(smtplib.SMTP("127.0.0.1", port, timeout=20))
        client.ehlo()
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        limit = figures_of(pid).descriptors + 20
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, before[1]))
        crowd = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(40)]
        wait_until(lambda: _free_descriptors(pid, limit) == 0, app_folder)

        codes = {domain: _send(client, domain) for domain in DOMAINS}
        assert {code // 100 for code in codes.values()} == {4}, (codes, app.log)

        for one in crowd:
            one.close()
        wait_until(lambda: _free_descriptors(pid, limit) > 10, app_folder)
        assert [_send(client, domain) for domain in DOMAINS] == [250, 250, 250, 550, 550, 550], app.log
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        with smtplib.SMTP("127.0.0.1", port, timeout=20) as another:
            assert another.noop()[0] == 250


def _free_descriptors(pid: int, limit: int) -> int:
    """Return how many of the numbers below *limit* a process has not used."""
    return limit - sum(int(name) < limit for name in os.listdir(f"/proc/{pid}/fd"))


def _send(client: smtplib.SMTP, domain: str) -> int:
    client.mail("a@sender.test", ["REQUIRETLS"] if client.has_extn("requiretls") else [])
    client.rcpt(f"b@{domain}")
    return client.data(b"Require-TLS-ESMTP: yes\r\n\r\nx\r\n")[0]
