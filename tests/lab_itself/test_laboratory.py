"""The laboratory as a whole."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import dns.exception
import pytest

from requiretls_lab.catalogue import CATALOGUE
from requiretls_lab.dns_questions import ask, verdict
from requiretls_lab.domains import Domain, MailHost
from requiretls_lab.errors import LabError
from requiretls_lab.laboratory import Laboratory
from requiretls_plugin.level import Level
from requiretls_plugin.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
SMALL = (Domain("a.test", (MailHost(),)),)


def test_catalogue_is_complete_and_says_what_each_domain_is() -> None:
    """Every domain has a meaning and occurs once."""
    assert all(domain.meaning for domain in CATALOGUE)
    assert len({domain.name for domain in CATALOGUE}) == len(CATALOGUE)


def test_catalogue_comes_up(capsys: pytest.CaptureFixture[str]) -> None:
    """All of it starts without root, and says how long that took."""
    begin = time.perf_counter()
    with Laboratory(CATALOGUE) as lab:
        seconds = time.perf_counter() - begin
        assert verdict(ask(lab.resolver, "dane-ee.test", "MX")) == "NOERROR ad"
    with capsys.disabled():
        print(f"\nlaboratory with {len(CATALOGUE)} domains up in {seconds:.2f} s")


def test_laboratories_do_not_meet() -> None:
    """Two at the same time, with the same names in them, have nothing in common."""
    with Laboratory(SMALL) as one, Laboratory(SMALL) as other:
        assert one.destination("mx.a.test").address != other.destination("mx.a.test").address
        (address,) = ask(other.resolver, "mx.a.test", "A").answer[0]
        assert address.to_text() == other.destination("mx.a.test").address


def test_settings_file_and_settings_agree(tmp_path: Path) -> None:
    """What is written to a file is read back as what `settings` returns."""
    changes = {
        "levels": {"*": "opportunistic", ".a.test": "enforce"},
        "receive": {"advertise": False, "trusted_hops": ["127.0.0.1"]},
    }
    with Laboratory(SMALL) as lab:
        settings = Settings.load(lab.write_settings(tmp_path / "requiretls.toml", **changes))

        assert settings == lab.settings(**changes)
        assert settings.delivery.port == lab.port
        assert settings.levels.levels["*"] is Level.OPPORTUNISTIC
        assert settings.delivery.connect_timeout == 5.0


def test_setting_of_none_is_left_out() -> None:
    """A test can do without a setting that the laboratory would give."""
    with Laboratory(SMALL) as lab:
        assert lab.settings(receive={"certificate": None, "private_key": None}).receive.certificate is None


def test_port_can_be_asked_for() -> None:
    """Mail servers listen on the port that is named."""
    with Laboratory(SMALL) as first:
        port = first.port
    with Laboratory(SMALL, port=port) as lab:
        server = lab.destination("mx.a.test")
        with socket.create_connection((server.address, port), timeout=5) as client:
            assert client.recv(1000).startswith(b"220 mx.a.test ")


def test_port_in_use_is_an_error_that_cleans_up() -> None:
    """A laboratory that cannot start says where it failed and leaves nothing behind."""
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        lab = Laboratory(SMALL, port=port)
        with pytest.raises(LabError, match=f":{port}: .*stop it or name another port"), lab:
            pass

    assert not lab.folder.exists()


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        pytest.param(signal.SIGINT, 0, id="Ctrl-C"),
        pytest.param(signal.SIGTERM, 0, id="terminated"),
        pytest.param(signal.SIGKILL, -9, id="killed"),
    ],
)
def test_program_leaves_no_daemon_behind(tmp_path: Path, ending: signal.Signals, status: int) -> None:
    """`python -m requiretls_lab` shows its resolver, which goes away with it whatever ends it."""
    command = [sys.executable, "-m", "requiretls_lab"]
    # A killed program cannot delete its files; pytest does.
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    program = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    assert program.stdout is not None
    with program.stdout:
        shown = iter(program.stdout.readline, "")
        words = next(line for line in shown if line.startswith("resolver: ")).split()
        resolver = f"{words[2].removeprefix('@')}:{words[4]}"
        assert verdict(ask(resolver, "dane-ee.test", "MX")) == "NOERROR ad"
        # The last line is printed before it waits for signals.
        next(line for line in shown if line.startswith("stop: "))
        program.send_signal(ending)
        assert program.wait(timeout=60) == status

    wait_until_silent(resolver)


def wait_until_silent(resolver: str) -> None:
    """Return when *resolver* does not answer any more; fail if it still does after five seconds."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            ask(resolver, "dane-ee.test", "MX", timeout=0.2)
        except (dns.exception.Timeout, OSError):
            return
    pytest.fail(f"{resolver} still answers")
