"""examples/aiosmtpd_relay.py: the session classes and the engine need nobody else."""

from __future__ import annotations

import os
import signal
import smtplib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from requiretls_lab.laboratory import Laboratory
from tests.hooks.salmon.apps import ROOT, accepts, free_port, wait_until


@pytest.fixture
def relay_port(lab: Laboratory, tmp_path: Path) -> Iterator[int]:
    """The port of the example, which ends well when it is told to."""
    settings = lab.write_settings(tmp_path / "requiretls.toml")
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "examples" / "aiosmtpd_relay.py"), str(settings), f"127.0.0.1:{port}"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "hooks")])},
    )
    try:
        wait_until(lambda: accepts(port), tmp_path)
        yield port
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()


def test_it_relays_what_may_travel_and_refuses_the_rest(relay_port: int, lab: Laboratory) -> None:
    """One session, a transaction for each recipient."""
    answers = []
    with smtplib.SMTP("127.0.0.1", relay_port, timeout=20) as client:
        client.starttls()
        client.ehlo()
        for domain in ("dane-ee.test", "no-keyword.test"):
            client.mail("a@sender.test", ["REQUIRETLS"])
            assert client.rcpt(f"b@{domain}")[0] == 250
            assert client.rcpt(f"c@{domain}")[0] == 452
            answers.append(client.data(b"Subject: x\r\n\r\ny\r\n"))

    assert [(code, text.split()[0]) for code, text in answers] == [(250, b"2.0.0"), (550, b"5.7.30")]
    [message] = lab.destination("mx.dane-ee.test").messages
    assert message.requiretls
