"""The plugins of examples/third_party_plugin, installed by pip and at work on the laboratory's mail."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pluggy
import pytest

from requiretls_lab.laboratory import Laboratory
from requiretls_plugin.delivery.outcome import Disposition, Notice, Outcome
from requiretls_plugin.engine import Engine
from requiretls_plugin.errors import PluginError
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message, Recipient
from requiretls_plugin.plugins import plugin_manager
from requiretls_plugin.reason import Reason
from tests.plugin_installing import EXAMPLES, install_example, run_requiretls, send
from tests.plugin_objects import Concluded

NAMES = sorted(folder.name for folder in EXAMPLES.iterdir() if folder.is_dir())

PLAIN = Message(MailAddress.parse("alice@sender.test"), b"Subject: hello\r\n\r\nhello\r\n")

Installed = Callable[[str], Path]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Return a function that returns the folder which an example was installed into."""
    folder = tmp_path_factory.mktemp("installed")
    done: dict[str, Path] = {}

    def install(name: str) -> Path:
        if name not in done:
            done[name] = install_example(name, folder)
        return done[name]

    return install


Load = Callable[..., pluggy.PluginManager]


@pytest.fixture
def load(installed: Installed, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Return a function that loads an installed example into this process, with an environment."""
    loaded: set[str] = set()

    def loading(name: str, **environment: str) -> pluggy.PluginManager:
        for key, value in environment.items():
            monkeypatch.setenv(key, value)
        monkeypatch.syspath_prepend(str(installed(name)))
        loaded.add(name)
        return plugin_manager()

    yield loading
    for name in loaded:
        sys.modules.pop(name, None)


@pytest.fixture
def config(lab: Laboratory, tmp_path: Path) -> Path:
    """The laboratory's settings as a file."""
    return lab.write_settings(tmp_path / "requiretls.toml")


def test_there_are_three_and_the_readme_lists_them() -> None:
    """Each with a README of its own."""
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")

    assert NAMES == ["confidential_senders", "outcome_webhook", "pinned_partner"]
    for name in NAMES:
        assert f"| `{name}` |" in text
        assert (EXAMPLES / name / "README.md").exists()


@pytest.mark.parametrize(
    ("name", "hook"),
    [
        ("confidential_senders", "requiretls_receive"),
        ("pinned_partner", "requiretls_next_hop"),
        ("outcome_webhook", "requiretls_concluded"),
    ],
)
def test_each_is_found_by_its_entry_point_once_it_is_installed(
    installed: Installed, config: Path, tmp_path: Path, name: str, hook: str
) -> None:
    """`requiretls plugins` says which distribution it came with."""
    pins = tmp_path / "pins.toml"
    pins.touch()
    settings = {"PINNED_HOSTS_FILE": str(pins), "OUTCOME_WEBHOOK_URL": "http://127.0.0.1:9/"}
    arguments = ("plugins", "--config", str(config), "--json")
    done = run_requiretls(*arguments, plugins=installed(name), environment=settings)

    assert done.returncode == 0, done.stderr.decode()
    own = [each for each in json.loads(done.stdout) if not each["plugin"].startswith(("rfc", "requiretls."))]
    [listed] = own
    plugin = name.replace("_", "-")
    assert (listed["hook"], listed["plugin"]) == (hook, plugin)
    assert listed["from"] == f"requiretls-{plugin} 1.0"


# confidential_senders


def test_an_installed_plugin_strengthens_a_message(
    lab: Laboratory, installed: Installed, config: Path
) -> None:
    """Nobody gave REQUIRETLS, and a destination without it gets nothing."""
    arguments = ("--from", "hr@sender.test", "bob@no-keyword.test")
    code, result = send(config, *arguments, plugins=installed("confidential_senders"))

    [outcome] = result["recipients"]
    assert (code, result["requirement"]) == (69, "required")
    assert (outcome["outcome"], outcome["status"]) == ("failed", "5.7.30")
    assert lab.destination("mx.no-keyword.test").messages == []


@pytest.mark.parametrize(
    ("sender", "with_plugin"),
    [
        pytest.param("hr@sender.test", False, id="the same message without the plugin"),
        pytest.param("alice@sender.test", True, id="another sender with the plugin"),
    ],
)
def test_what_the_plugin_does_not_concern_is_delivered(
    lab: Laboratory, installed: Installed, config: Path, sender: str, with_plugin: bool
) -> None:
    """So it was the plugin that held the first one back."""
    plugins = installed("confidential_senders") if with_plugin else None
    code, result = send(config, "--from", sender, "bob@no-keyword.test", plugins=plugins)

    assert (code, result["requirement"]) == (0, "unstated")
    assert len(lab.destination("mx.no-keyword.test").messages) == 1


# pinned_partner


def _deliver(
    lab: Laboratory, manager: pluggy.PluginManager, *to: str, times: int = 1, require_tls: bool = False
) -> list[Outcome]:
    """Deliver the same message several times, by an engine with the plugins of *manager*."""
    message = replace(PLAIN, mail_parameter=require_tls)

    async def run() -> list[Outcome]:
        outcomes: list[Outcome] = []
        async with Engine(lab.settings(), manager) as engine:
            for _ in range(times):
                tagged = await engine.receive(message)
                outcomes += await engine.deliver(tagged, [Recipient.parse(each) for each in to])
        return outcomes

    return asyncio.run(run())


def _pins(tmp_path: Path, text: str) -> dict[str, str]:
    """Return the environment in which *text* has the pins."""
    pins = tmp_path / "pins.toml"
    pins.write_text(text, encoding="utf-8")
    return {"PINNED_HOSTS_FILE": str(pins)}


def test_mail_for_the_partner_goes_to_the_pinned_host_and_other_mail_where_dns_says(
    lab: Laboratory, installed: Installed, config: Path, tmp_path: Path
) -> None:
    """The partner's MX host would have taken it, and is not even connected to."""
    environment = _pins(tmp_path, f'"dane-ee.test" = "mx.dnssec-pkix.test:{lab.port}"\n')
    arguments = ("--from", "alice@sender.test", "--require-tls", "bob@dane-ee.test", "carol@sts.test")
    code, result = send(config, *arguments, plugins=installed("pinned_partner"), environment=environment)

    assert code == 0
    assert [each["host"] for each in result["recipients"]] == ["mx.dnssec-pkix.test", "mx.sts.test"]
    assert [each["security"] for each in result["recipients"]] == ["named-pkix", "sts-pkix"]
    [message] = lab.destination("mx.dnssec-pkix.test").messages
    assert [each.address for each in message.recipients] == ["bob@dane-ee.test"]
    assert message.requiretls
    assert lab.destination("mx.dane-ee.test").connections == []


def test_a_message_that_asks_for_nothing_takes_the_pinned_host_as_well(
    lab: Laboratory, load: Load, tmp_path: Path
) -> None:
    """The pin is for the domain, whatever the message."""
    pins = _pins(tmp_path, f'"dane-ee.test" = "mx.dnssec-pkix.test:{lab.port}"\n')
    [outcome] = _deliver(lab, load("pinned_partner", **pins), "bob@dane-ee.test")

    assert (outcome.host, outcome.disposition) == ("mx.dnssec-pkix.test", Disposition.DELIVERED)


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("mx.wrong-name.test", Reason.CERTIFICATE_NAME_MISMATCH),
        ("mx.expired.test", Reason.CERTIFICATE_EXPIRED),
        ("mx.no-keyword.test", Reason.REQUIRETLS_NOT_OFFERED),
    ],
)
def test_the_pinned_host_is_held_to_its_name(
    lab: Laboratory, load: Load, tmp_path: Path, host: str, reason: Reason
) -> None:
    """Under REQUIRETLS; there is no falling back to what DNS says."""
    pins = _pins(tmp_path, f'"dane-ee.test" = "{host}:{lab.port}"\n')
    [outcome] = _deliver(lab, load("pinned_partner", **pins), "bob@dane-ee.test", require_tls=True)

    assert (outcome.disposition, outcome.reason) == (Disposition.FAILED, reason)
    assert all("MAIL" not in each.verbs for each in lab.destination(host).connections)
    assert lab.destination("mx.dane-ee.test").connections == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param('"partner..example" = "mx.partner.example"\n', "partner..example", id="no domain"),
        pytest.param('"partner.example" = "mx partner"\n', '"partner.example": ', id="no server"),
        pytest.param('"partner.example" = 25\n', 'needs a "host:port"', id="a number"),
        pytest.param("partner.example = mx\n", "TOMLDecodeError", id="no TOML"),
    ],
)
def test_a_mistake_in_the_pins_stops_the_start(load: Load, tmp_path: Path, text: str, complaint: str) -> None:
    """A pin that is silently missing would send mail where nobody agreed to."""
    with pytest.raises(PluginError, match=r"^plugin pinned-partner cannot be loaded: ") as raised:
        load("pinned_partner", **_pins(tmp_path, text))

    assert complaint in str(raised.value)


def test_pins_that_are_not_there_stop_the_start(load: Load, tmp_path: Path) -> None:
    """Somebody installed the plugin for them."""
    with pytest.raises(PluginError, match=r"FileNotFoundError.*nowhere\.toml"):
        load("pinned_partner", PINNED_HOSTS_FILE=str(tmp_path / "nowhere.toml"))


# outcome_webhook


class _Application:
    """A web application on a port of its own that keeps what it is told and answers *status*."""

    def __init__(self, status: int = 204) -> None:
        self.told: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.status = status

    @contextmanager
    def running(self) -> Iterator[str]:
        """Yield its URL."""
        application = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.headers["Content-Type"] == "application/json"
                body = self.rfile.read(int(self.headers["Content-Length"]))
                application.told.append(json.loads(body))
                application.paths.append(self.path)
                self.send_response(application.status)
                self.end_headers()

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/outcomes?key=1"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def test_the_application_is_told_once_for_each_message_and_nothing_of_its_content(
    lab: Laboratory, installed: Installed, config: Path
) -> None:
    """Both recipients in one POST, with the receipt of the session that took the message."""
    application = _Application()
    arguments = ("--from", "alice@sender.test", "--require-tls", "--envid", "order 4711")
    with application.running() as url:
        code, result = send(
            config,
            *(*arguments, "bob@dane-ee.test", "carol@no-keyword.test"),
            plugins=installed("outcome_webhook"),
            environment={"OUTCOME_WEBHOOK_URL": url},
        )

    assert code == 69
    [told] = application.told
    assert application.paths == ["/outcomes?key=1"]
    assert (told["from"], told["envid"], told["requirement"]) == (
        "alice@sender.test",
        "order 4711",
        "required",
    )
    for each, shown in zip(told["outcomes"], result["recipients"], strict=True):
        same = {"recipient", "outcome", "code", "status", "reason", "host", "security", "requiretls"}
        assert {key: each[key] for key in same} == {key: shown[key] for key in same}
    delivered, failed = told["outcomes"]
    assert delivered["receipt"]["address"] == lab.destination("mx.dane-ee.test").address
    assert delivered["receipt"]["tlsa"].startswith("3 1 1 ")
    assert (failed["outcome"], failed["reason"]) == ("failed", "requiretls-not-offered")
    text = json.dumps(application.told)
    assert "salaries" not in text
    assert "secret" not in text


@pytest.mark.parametrize(
    "url", ["", "ftp://app.example/", "https:///path", "http://app.example:x/"], ids=repr
)
def test_a_url_that_is_none_stops_the_start(load: Load, url: str) -> None:
    """Also one that nobody set."""
    with pytest.raises(PluginError, match=r"^plugin outcome-webhook cannot be loaded: ValueError: "):
        load("outcome_webhook", OUTCOME_WEBHOOK_URL=url)


@contextmanager
def _refusing() -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{free.getsockname()[1]}/"


@contextmanager
def _hanging() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


@contextmanager
def _talking(answer: bytes) -> Iterator[str]:
    """A server that answers one connection with *answer*, whatever it is asked."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        thread.join()


@pytest.mark.parametrize(
    "application",
    [
        pytest.param(_refusing, id="it refuses connections"),
        pytest.param(_hanging, id="it never answers"),
        pytest.param(lambda: _Application(status=500).running(), id="it fails"),
        pytest.param(lambda: _talking(b""), id="it hangs up"),
        pytest.param(lambda: _talking(b"220 this is SMTP\r\n"), id="it speaks something else"),
    ],
)
def test_a_dead_application_never_harms_delivery(
    lab: Laboratory, load: Load, caplog: pytest.LogCaptureFixture, application: Callable[[], Any]
) -> None:
    """The message is there once, the outcome stands, one line in the log; the next message is not held up."""
    with application() as url:
        manager = load("outcome_webhook", OUTCOME_WEBHOOK_URL=url)
        outcomes = _deliver(lab, manager, "bob@dane-ee.test", times=2)

    assert [outcome.disposition for outcome in outcomes] == [Disposition.DELIVERED] * 2
    assert len(lab.destination("mx.dane-ee.test").messages) == 2
    warnings = [record.getMessage() for record in caplog.records if record.name == "outcome_webhook"]
    assert len(warnings) == 1
    assert warnings[0].startswith("webhook left alone for 30 seconds: ")


def test_the_application_hears_of_notices_too(lab: Laboratory, load: Load) -> None:
    """Every message that is concluded, with an empty sender."""
    application = _Application()
    notice = Notice(replace(PLAIN, return_path=None), MailAddress.parse("alice@sender.test"))
    with application.running() as url:
        manager = load("outcome_webhook", OUTCOME_WEBHOOK_URL=url)
        manager.register(Concluded([notice]), "telling")
        _deliver(lab, manager, "bob@dane-ee.test")

    assert sorted(told["from"] for told in application.told) == ["", "alice@sender.test"]
    recipients = {told["outcomes"][0]["recipient"] for told in application.told}
    assert recipients == {"bob@dane-ee.test", "alice@sender.test"}
