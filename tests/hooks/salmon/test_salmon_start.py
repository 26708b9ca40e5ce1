"""`salmon start` in all its ways, and the end it comes to."""

from __future__ import annotations

import os
import signal
import smtplib
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from requiretls_lab.laboratory import Laboratory
from tests.hooks.salmon.apps import FORWARDER, SALMON, accepts, alive, copy_of, free_port, running, wait_until

TEXT = b"Subject: x\r\n\r\nbody\r\n"
NOBODY = 65_534


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may read; pytest's own are root's alone."""
    with tempfile.TemporaryDirectory(prefix="requiretls-salmon-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def app_folder(open_folder: Path) -> Path:
    """A copy of the example app that every user may run."""
    folder = copy_of(FORWARDER, open_folder)
    for name in ("run", "logs"):
        (folder / name).chmod(0o777)
    return folder


@pytest.fixture
def settings_file(lab: Laboratory, tmp_path: Path) -> Path:
    """Settings of the laboratory."""
    return lab.write_settings(tmp_path / "requiretls.toml")


def send(port: int, recipient: str = "b@dane-ee.test", *, lmtp: bool = False) -> tuple[int, bytes]:
    """Send a message and return the reply to its end."""
    client = (smtplib.LMTP if lmtp else smtplib.SMTP)("127.0.0.1", port, timeout=20)
    try:
        client.ehlo()
        client.mail("a@sender.test")
        client.rcpt(recipient)
        return client.data(TEXT)
    finally:
        client.close()


@pytest.mark.parametrize("arguments", [(), ("--debug",)], ids=["plain", "debug"])
def test_it_serves_after_the_main_thread_has_ended_and_ends_on_a_signal(
    arguments: tuple[str, ...], app_folder: Path, settings_file: Path, lab: Laboratory
) -> None:
    """No thread is started late, and nothing is left when it is told to end."""
    port = free_port()
    with running(app_folder, port, *arguments, settings=settings_file) as app:
        assert send(port)[0] == 250, app.log
        assert app.end() == 0, app.log

    assert "stopped" in app.log
    assert "Traceback" not in app.log
    assert len(lab.destination("mx.dane-ee.test").messages) == 1


def test_it_speaks_lmtp(app_folder: Path, settings_file: Path, lab: Laboratory) -> None:
    """If SALMON_PROTOCOL says so."""
    port = free_port()
    with running(app_folder, port, settings=settings_file, SALMON_PROTOCOL="lmtp") as app:
        assert send(port, lmtp=True)[0] == 250, app.log
        assert send(port, "b@wrong-tlsa.test", lmtp=True)[0] == 451


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=["SIGTERM", "salmon stop"])
def test_a_message_under_way_is_finished_before_the_end(
    number: signal.Signals, app_folder: Path, settings_file: Path, lab: Laboratory
) -> None:
    """Its sender has the answer."""
    handler = app_folder / "app" / "handlers" / "forward.py"
    handler.write_text(
        handler.read_text().replace("    relay.deliver", "    import time; time.sleep(1)\n    relay.deliver")
    )
    port = free_port()
    answers: list[tuple[int, bytes]] = []
    with running(app_folder, port, settings=settings_file) as app:
        sender = threading.Thread(target=lambda: answers.append(send(port)))
        sender.start()
        time.sleep(0.5)
        assert app.end(number) == 0, app.log
        sender.join()

    assert answers[0][0] == 250
    assert len(lab.destination("mx.dane-ee.test").messages) == 1


def test_it_runs_as_a_daemon_until_salmon_stop(
    app_folder: Path, settings_file: Path, lab: Laboratory
) -> None:
    """With a pid file, which is gone afterwards."""
    port = free_port()
    environment = {
        **os.environ,
        "REQUIRETLS_CONFIG": str(settings_file),
        "SALMON_LISTEN": f"127.0.0.1:{port}",
        "PYTHONPATH": os.pathsep.join([str(FORWARDER.parents[1]), str(FORWARDER.parents[1] / "hooks")]),
    }

    def salmon(*arguments: str) -> None:
        subprocess.run([SALMON, *arguments], cwd=app_folder, env=environment, check=True, timeout=20)

    salmon("start", "--boot", "config.boot")
    wait_until(lambda: accepts(port), app_folder)
    pid = int((app_folder / "run" / "smtp.pid").read_text())
    assert send(port)[0] == 250
    salmon("stop")
    wait_until(lambda: not alive(pid), app_folder)

    assert not accepts(port)
    assert len(lab.destination("mx.dane-ee.test").messages) == 1


def test_it_gives_up_root_and_keeps_its_port_and_its_key(
    app_folder: Path, open_folder: Path, lab: Laboratory
) -> None:
    """Bound and read before, used afterwards."""
    key, anchors = open_folder / "key.pem", open_folder / "ca.pem"
    key.write_bytes(Path(lab.settings_table()["receive"]["private_key"]).read_bytes())
    key.chmod(0o600)
    anchors.write_bytes(lab.authority.ca_file.read_bytes())
    settings = lab.write_settings(
        open_folder / "own.toml",
        receive={"private_key": str(key)},
        tls={"ca_file": str(anchors)},
        mta_sts={"ca_file": str(anchors)},
    )
    port = free_port()
    arguments = ("--uid", str(NOBODY), "--gid", str(NOBODY))
    with running(app_folder, port, *arguments, settings=settings) as app:
        with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
            assert f"Uid:\t{NOBODY}" in Path(f"/proc/{app.process.pid}/status").read_text()
            client.starttls()
            client.ehlo()
            assert client.has_extn("requiretls")
            client.mail("a@sender.test", ["REQUIRETLS"])
            client.rcpt("b@dane-ee.test")
            assert client.data(TEXT)[0] == 250, app.log
        assert app.end() == 0


def test_mistakes_in_the_settings_end_the_start_and_are_all_named(app_folder: Path, tmp_path: Path) -> None:
    """Before a port is bound."""
    settings = tmp_path / "bad.toml"
    settings.write_text(
        'hostnam = "x"\n[receive]\ncertificate = "missing.pem"\nprivate_key = "missing.key"\n'
    )
    with running(app_folder, free_port(), settings=settings, wait=False) as app:
        assert app.process.wait(20) == 78

    assert "Traceback" not in app.log
    assert "hostnam" in app.log
    assert "missing.pem" in app.log


def test_an_app_as_salmon_gen_makes_it_switches_on_with_two_lines(
    settings_file: Path, lab: Laboratory, tmp_path: Path
) -> None:
    """In its settings; `config/boot.py` and the handlers stay as they are."""
    subprocess.run([SALMON, "gen", "app"], cwd=tmp_path, check=True, timeout=20)
    app_folder = tmp_path / "app"
    port = free_port()
    settings = app_folder / "config" / "settings.py"
    text = settings.read_text().replace("8823", str(port)).replace("localhost", "127.0.0.1")
    settings.write_text(text + "\nimport requiretls_salmon\n\nrequiretls_salmon.install()\n")

    with running(app_folder, port, settings=settings_file) as app:
        with smtplib.LMTP("127.0.0.1", port) as client:
            client.starttls()
            client.ehlo()
            assert client.has_extn("requiretls")
            client.mail("a@sender.test", ["REQUIRETLS"])
            client.rcpt("b@receiver.test")
            assert client.data(TEXT)[0] == 250, app.log
        assert app.end() == 0


def test_it_starts_in_a_chroot(app_folder: Path, settings_file: Path, lab: Laboratory) -> None:
    """As far as Salmon itself does: everything is read after the change of root."""
    port = free_port()
    environment = {
        **os.environ,
        "REQUIRETLS_CONFIG": str(settings_file),
        "SALMON_LISTEN": f"127.0.0.1:{port}",
        "PYTHONPATH": os.pathsep.join([str(FORWARDER.parents[1]), str(FORWARDER.parents[1] / "hooks")]),
    }
    arguments = [str(SALMON), "start", "--boot", "config.boot", "--chroot", "/", "--chdir", str(app_folder)]
    subprocess.run(arguments, cwd=app_folder, env=environment, check=True, timeout=20)
    wait_until(lambda: accepts(port), app_folder)
    assert send(port)[0] == 250
    pid = int((app_folder / "run" / "smtp.pid").read_text())
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not alive(pid), app_folder)
