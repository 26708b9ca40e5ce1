"""The disk is full: nothing is acknowledged that could not be kept, and what needs no disk goes on.

A limit on the size of files stands in for a full disk where messages are kept:
a write fails in the middle either way. For the log it is /dev/full.
"""

from __future__ import annotations

import contextlib
import resource
import smtplib
from collections.abc import Iterator
from pathlib import Path

from salmon import queue

from requiretls_lab.laboratory import Laboratory
from tests.faults.kill_nine import numbers_in, storing_app
from tests.hooks.salmon.apps import FORWARDER, copy_of, free_port, running

SMALL, LARGE = b"x\r\n", b"x" * 70 + b"\r\n"


def send(port: int, number: int, lines: bytes, to: str = "b@dane-ee.test") -> int:
    """Send a message and return the code of the answer to its end."""
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        client.ehlo()
        client.mail("a@sender.test")
        client.rcpt(to)
        return client.data(b"X-Number: %d\r\n\r\n" % number + lines)[0]


@contextlib.contextmanager
def files_no_larger_than(octets: int, pid: int) -> Iterator[None]:
    """Let every write of a process beyond *octets* in a file fail."""
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE, (octets, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


def test_a_message_that_cannot_be_kept_is_not_acknowledged(lab: Laboratory, tmp_path: Path) -> None:
    """The sender keeps it, half a file is no message, and there is no harm when there is room again."""
    settings = lab.write_settings(tmp_path / "requiretls.toml")
    app_folder = storing_app(tmp_path)
    store = queue.Queue(str(app_folder / "run" / "queue"))
    port = free_port()
    with running(app_folder, port, settings=settings) as app:
        with files_no_larger_than(10_000, app.process.pid):
            codes = [send(port, 1, SMALL), send(port, 2, LARGE * 1000), send(port, 3, SMALL)]
        codes.append(send(port, 4, LARGE * 1000))
        assert codes == [250, 451, 250, 250], app.log
        assert app.end() == 0

    kept = [numbers_in(store.mbox.get_bytes(key)) for key in store.mbox.iterkeys()]
    assert sorted(kept) == [[1], [3], [4]]


def test_a_log_that_cannot_be_written_keeps_no_mail(lab: Laboratory, tmp_path: Path) -> None:
    """Every line of it fails."""
    settings = lab.write_settings(
        tmp_path / "requiretls.toml", cache={"url": f"sqlite://{tmp_path}/cache.sqlite"}
    )
    app_folder = copy_of(FORWARDER, tmp_path)
    (app_folder / "logs" / "salmon.log").symlink_to("/dev/full")
    port = free_port()
    with running(app_folder, port, settings=settings) as app:
        assert [send(port, number, SMALL) for number in range(3)] == [250] * 3
        assert send(port, 3, SMALL, "b@no-such.test") == 550
        assert app.end() == 0
    assert len(lab.destination("mx.dane-ee.test").messages) == 3
    assert "No space left on device" in (app_folder / "logs" / "salmon.console").read_text()
