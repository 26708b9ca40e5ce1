"""The package tlsrpt-reporter as an operator runs it: collectd, fetcher and reportd, in one folder."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from requiretls_lab.errors import LabError

_PROGRAMS = Path(sys.executable).parent

# A daemon of this package looks around once a second.
_PATIENCE = 20.0

_CONFIGURATION = """\
[tlsrpt_collectd]
storage = sqlite:///{folder}/collectd.sqlite
socketname = {folder}/collectd.sock
logfilename = {folder}/collectd.log
dump_path_for_invalid_datagram = {folder}/invalid
max_uncommited_datagrams = 1
log_level = info

[tlsrpt_fetcher]
storage = sqlite:///{folder}/collectd.sqlite
logfilename = {folder}/fetcher.log

[tlsrpt_reportd]
organization_name = Sender
contact_info = tlsrpt@sender.test
sender_address = tlsrpt@sender.test
dbname = {folder}/reportd.sqlite
logfilename = {folder}/reportd.log
log_level = debug
debug_send_file_dest = {folder}/reports
fetchers = {fetcher} --config_file {folder}/tlsrpt.cfg
sendmail_script = {sendmail}
interval_main_loop = 1
spread_out_delivery = 1
max_retries_domainlist = 2
min_wait_domainlist = 0
max_wait_domainlist = 1
max_retries_domaindetails = 2
min_wait_domaindetails = 0
max_wait_domaindetails = 1
max_retries_delivery = 1
"""


class Reporter:
    """A reporter that keeps everything in *folder* and mails by the shell command *sendmail*."""

    def __init__(self, folder: Path, sendmail: str) -> None:
        self.folder = folder
        self.socket = folder / "collectd.sock"
        (folder / "reports").mkdir()
        fetcher = _PROGRAMS / "tlsrpt-fetcher"
        text = _CONFIGURATION.format(folder=folder, fetcher=fetcher, sendmail=sendmail)
        (folder / "tlsrpt.cfg").write_text(text, encoding="utf-8")

    @contextlib.contextmanager
    def collecting(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run tlsrpt-collectd; yields once it listens."""
        with self._running("tlsrpt-collectd") as collectd:
            _wait(self.socket.exists, "tlsrpt-collectd does not listen")
            yield collectd

    @contextlib.contextmanager
    def reporting(self) -> Iterator[None]:
        """Run tlsrpt-reportd, which asks the fetcher and sends the reports."""
        with self._running("tlsrpt-reportd"):
            yield

    def end_of_day(self, collectd: subprocess.Popen[bytes], sessions: int) -> None:
        """Wait until *collectd* has counted so many *sessions*, and let its day be over."""
        _wait(lambda: self._counted() >= sessions, f"tlsrpt-collectd did not count {sessions} sessions")
        collectd.send_signal(signal.SIGUSR2)
        finished = self.folder / "collectd.sqlite.yesterday"
        _wait(lambda: any(self.folder.glob("*yesterday*")), f"{finished} did not appear")

    def invalid(self) -> list[Path]:
        """Return the datagrams that the collector could not make sense of."""
        return list(self.folder.glob("invalid*"))

    def _counted(self) -> int:
        with contextlib.closing(sqlite3.connect(self.folder / "collectd.sqlite")) as database:
            try:
                [[sessions]] = database.execute("SELECT COALESCE(SUM(cntrtotal), 0) FROM finalresults")
            except sqlite3.OperationalError:  # not created yet, or just being written
                return 0
        return int(sessions)

    @contextlib.contextmanager
    def _running(self, program: str) -> Iterator[subprocess.Popen[bytes]]:
        command = [str(_PROGRAMS / program), "--config_file", str(self.folder / "tlsrpt.cfg")]
        with (self.folder / f"{program}.out").open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output)
            try:
                yield process
            finally:
                process.terminate()
                process.wait(10)


def _wait(happened: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not happened():
        if time.monotonic() > deadline:
            raise LabError(otherwise)
        time.sleep(0.02)


def wait_for_report(happened: Callable[[], bool]) -> None:
    """Wait until *happened*; raises LabError if it takes too long."""
    _wait(happened, "no report arrived")
