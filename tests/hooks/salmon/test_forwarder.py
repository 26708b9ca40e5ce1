"""The example app, run as its operator does, between a client and the laboratory."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator

import pytest

from requiretls_lab.laboratory import Laboratory
from tests.hooks.salmon.apps import FORWARDER, RunningApp, copy_of, free_port, running

TEXT = b"From: a@sender.test\r\nTo: b@x.test\r\nSubject: Hello\r\n\r\n.dots and lines\r\n"


@pytest.fixture(scope="module")
def forwarder(laboratory: Laboratory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """The app, up for all tests of this file."""
    folder = tmp_path_factory.mktemp("forwarder")
    settings = laboratory.write_settings(folder / "requiretls.toml")
    port = free_port()
    with running(copy_of(FORWARDER, folder), port, settings=settings) as app:
        yield app


def client_of(app: RunningApp, lab: Laboratory) -> smtplib.SMTP:
    """Return a foreign client, inside TLS."""
    client = smtplib.SMTP("127.0.0.1", app.port, local_hostname="client.test", timeout=20)
    context = ssl.create_default_context(cafile=str(lab.authority.ca_file))
    context.check_hostname = False
    client.starttls(context=context)
    client.ehlo()
    return client


def send(app: RunningApp, lab: Laboratory, to: str, *options: str, text: bytes = TEXT) -> tuple[int, bytes]:
    """Send a message through the app and return the reply to its end."""
    with client_of(app, lab) as client:
        assert client.mail("a@sender.test", options)[0] == 250
        assert client.rcpt(to)[0] == 250
        return client.data(text)


DELIVERED = ["dane-ee.test", "dane-ta.test", "dnssec-pkix.test", "sts.test", "two-hosts.test"]


@pytest.mark.requirement("8689-4.1-1", "8689-6-1")
@pytest.mark.parametrize("domain", DELIVERED)
def test_a_tagged_message_goes_on_with_requiretls(
    forwarder: RunningApp, lab: Laboratory, domain: str
) -> None:
    """The next hop sees the parameter, inside TLS, and the bytes as they came below our trace."""
    code, reply = send(forwarder, lab, f"b@{domain}", "REQUIRETLS")

    assert (code, reply[:6]) == (250, b"2.0.0 "), forwarder.log[-2000:]
    host = "mx2.two-hosts.test" if domain == "two-hosts.test" else f"mx.{domain}"
    [message] = lab.destination(host).messages
    assert message.requiretls
    assert message.tls
    assert message.mail_from == "a@sender.test"
    assert message.content.endswith(TEXT)
    assert message.content.startswith(b"Received: from client.test ")


REFUSED = [
    ("no-keyword.test", 550, b"5.7.30 "),
    ("sticky-ehlo.test", 550, b"5.7.30 "),
    ("no-starttls.test", 550, b"5.7.10 "),
    ("wrong-tlsa.test", 550, b"5.7.10 "),
    ("expired.test", 550, b"5.7.10 "),
    ("unproven.test", 550, b"5.7.10 "),
    ("null-mx.test", 556, b"5.1.10 "),
    ("no-such.test", 550, b"5.1.2 "),
    ("sts-down.test", 451, b"4."),
    ("bogus.test", 451, b"4."),
]


@pytest.mark.requirement("7505-4.1-2")
@pytest.mark.parametrize(("domain", "code", "status"), REFUSED, ids=[case[0] for case in REFUSED])
def test_a_tagged_message_that_may_not_travel_is_refused_to_its_sender(
    forwarder: RunningApp, lab: Laboratory, domain: str, code: int, status: bytes
) -> None:
    """The reply to the end of the message has the code, and no message leaves."""
    answer = send(forwarder, lab, f"b@{domain}", "REQUIRETLS")

    assert (answer[0], answer[1][: len(status)]) == (code, status)
    if lab._described[domain].hosts:
        assert lab.destination(f"mx.{domain}").messages == []


@pytest.mark.requirement("8689-4.1-2", "8689-6-1")
@pytest.mark.parametrize("domain", ["wrong-tlsa.test", "no-starttls.test", "sts-mismatch.test"])
def test_tls_required_no_goes_on_and_is_delivered_all_the_same(
    forwarder: RunningApp, lab: Laboratory, domain: str
) -> None:
    """The field stays in the message, and the broken policy is set aside."""
    code, _ = send(forwarder, lab, f"b@{domain}", text=b"TLS-Required: No\r\n" + TEXT)

    assert code == 250
    [message] = lab.destination(f"mx.{domain}").messages
    assert b"\r\nTLS-Required: No\r\n" in message.content
    assert not message.requiretls
    assert message.tls == (domain != "no-starttls.test")


@pytest.mark.requirement("8689-4.1-3", "8689-4.1-4")
def test_the_parameter_beats_the_field(forwarder: RunningApp, lab: Laboratory) -> None:
    """With both the message is held to REQUIRETLS, and the field stays where it is."""
    text = b"TLS-Required: No\r\n" + TEXT
    refused = send(forwarder, lab, "b@no-starttls.test", "REQUIRETLS", text=text)
    taken = send(forwarder, lab, "b@dane-ee.test", "REQUIRETLS", text=text)

    assert (refused[0], taken[0]) == (550, 250)
    assert lab.destination("mx.no-starttls.test").messages == []
    assert lab.destination("mx.dane-ee.test").messages[0].content.endswith(text)


def test_untagged_mail_honours_dane_and_passes_by_cleartext_where_nothing_is_published(
    forwarder: RunningApp, lab: Laboratory
) -> None:
    """A TLSA record that does not match defers; no STARTTLS and no policy does not."""
    assert send(forwarder, lab, "b@wrong-tlsa.test")[0] == 451
    assert send(forwarder, lab, "b@no-starttls.test")[0] == 250


def test_log_has_no_message_bodies(forwarder: RunningApp, lab: Laboratory) -> None:
    """Salmon logs at DEBUG by default; what people write to each other is not in it."""
    send(forwarder, lab, "b@dane-ee.test", text=TEXT.replace(b".dots", b"secret-word"))

    assert "secret-word" not in forwarder.log
