"""The scripted mail servers, met by smtplib and by bare sockets."""

from __future__ import annotations

import dataclasses
import smtplib
import threading

import pytest

from requiretls_lab.destination import Destination
from requiretls_lab.errors import LabError
from requiretls_lab.laboratory import Laboratory
from requiretls_lab.smtp_clients import client_of, said_by, trusting
from requiretls_lab.smtp_record import Command, Recipient
from requiretls_lab.smtp_script import Offer, Script

HOST = "mx.dane-ee.test"


def test_smtplib_delivers_and_the_record_is_right(lab: Laboratory, host: Destination) -> None:
    """A message over verified TLS with REQUIRETLS is recorded with everything the client said."""
    content = b"Subject: x\r\n\r\nbody\r\n.dot\r\n"
    with client_of(host) as client:
        client.starttls(context=trusting(lab))
        client.ehlo()
        client.mail("a@sender.test", ["REQUIRETLS", "RET=HDRS"])
        client.rcpt("b@dane-ee.test", ["NOTIFY=NEVER"])
        assert client.data(content)[0] == 250
        client.quit()

    (connection,) = host.connections
    (message,) = host.messages
    assert connection.verbs == ["EHLO", "STARTTLS", "EHLO", "MAIL", "RCPT", "DATA", "QUIT"]
    assert [command.tls for command in connection.commands] == [False, False, True, True, True, True, True]
    assert connection.sni == HOST
    assert connection.tls_version == "TLSv1.3"
    assert (message.mail_from, message.mail_parameters) == ("a@sender.test", ("REQUIRETLS", "RET=HDRS"))
    assert message.recipients == (Recipient("b@dane-ee.test", ("NOTIFY=NEVER",)),)
    assert message.content == content
    assert message.requiretls
    assert message.tls
    assert message.sni == HOST


def test_what_was_listed_before_tls_is_forgotten(lab: Laboratory, host: Destination) -> None:
    """Without another EHLO after the handshake no parameter is allowed (RFC 3207 section 4.2)."""
    with client_of(host) as client:
        client.ehlo()
        client.starttls(context=trusting(lab))
        assert client.docmd("MAIL", "FROM:<a@b> RET=HDRS")[0] == 555


def test_plaintext_is_recorded_as_plaintext(host: Destination) -> None:
    """What comes without TLS says so in connection, commands and message."""
    with client_of(host) as client:
        client.sendmail("a@sender.test", ["b@dane-ee.test"], b"x\r\n")

    assert not host.connections[0].tls
    assert not host.messages[0].tls
    assert host.connections[0].commands[0] == Command("ehlo client.test", tls=False)


@pytest.mark.parametrize(
    ("offer", "before", "inside"),
    [
        (Offer.INSIDE_TLS, False, True),
        (Offer.BEFORE_TLS, True, False),
        (Offer.ALWAYS, True, True),
        (Offer.NEVER, False, False),
    ],
    ids=lambda value: value.value if isinstance(value, Offer) else None,
)
def test_requiretls_is_listed_where_the_script_says(
    lab: Laboratory, host: Destination, offer: Offer, before: bool, inside: bool
) -> None:
    """A server can offer REQUIRETLS at the right and at the wrong time."""
    host.script = Script(requiretls=offer)
    with client_of(host) as client:
        client.ehlo()
        assert client.has_extn("REQUIRETLS") is before
        client.starttls(context=trusting(lab))
        client.ehlo()
        assert client.has_extn("REQUIRETLS") is inside


@pytest.mark.parametrize(
    ("script", "lines", "reply"),
    [
        pytest.param(
            Script(requiretls=Offer.ALWAYS),
            ["EHLO c", "MAIL FROM:<a@b> REQUIRETLS"],
            b"530 5.7.10",
            id="in cleartext",
        ),
        pytest.param(
            Script(extensions=()), ["EHLO c", "MAIL FROM:<a@b> SIZE=1"], b"555 5.5.4", id="not offered"
        ),
        pytest.param(Script(), ["EHLO c", "MAIL FROM:<a@b> FOO"], b"555 5.5.4", id="unknown"),
        pytest.param(
            Script(), ["EHLO c", "HELO c", "MAIL FROM:<a@b> RET=HDRS"], b"555 5.5.4", id="after HELO"
        ),
        pytest.param(Script(), ["EHLO c", "RCPT TO:<a@b>"], b"503", id="RCPT before MAIL"),
        pytest.param(Script(), ["EHLO c", "MAIL FROM:<a@b>", "DATA"], b"503", id="DATA before RCPT"),
        pytest.param(Script(), ["EHLO c", "MAIL FROM:a@b"], b"501", id="no brackets"),
        pytest.param(Script(starttls=False), ["EHLO c", "STARTTLS"], b"500", id="STARTTLS stripped"),
        pytest.param(Script(), ["TURN"], b"500", id="unknown command"),
    ],
)
def test_client_that_breaks_the_rules_is_refused(
    host: Destination, script: Script, lines: list[str], reply: bytes
) -> None:
    """The flawless server is a strict judge of parameters and of the order of commands."""
    host.script = script

    assert said_by(host, *lines).splitlines()[-1].startswith(reply)


def test_replies_come_in_turn_and_then_as_usual(host: Destination) -> None:
    """A list of answers is for one command each, a single answer for every one."""
    host.script = Script(replies={"RCPT": ["452 4.5.3 Too many", "550 5.1.1 No"], "NOOP": "421 4.3.2 Bye"})

    said = said_by(host, "EHLO c", "MAIL FROM:<a@b>", *["RCPT TO:<c@d>"] * 3, "NOOP", "NOOP")

    assert [line[:3] for line in said.splitlines()[-5:]] == [b"452", b"550", b"250", b"421", b"421"]


def test_end_of_data_can_be_refused(host: Destination) -> None:
    """A message that is refused at its end is not recorded as accepted."""
    host.script = Script(replies={"end-of-data": "550 5.7.1 Spam"})
    with client_of(host) as client, pytest.raises(smtplib.SMTPDataError):
        client.sendmail("a@sender.test", ["b@dane-ee.test"], b"x\r\n")

    assert host.messages == []


def test_answer_inside_tls_can_differ(lab: Laboratory, host: Destination) -> None:
    """`EHLO in TLS` is another step than `EHLO`, and its keywords are what counts."""
    host.script = Script(replies={"EHLO in TLS": "250-mx\n250 DSN"})
    with client_of(host) as client:
        client.starttls(context=trusting(lab))
        client.ehlo()
        assert client.esmtp_features.keys() == {"dsn"}
        assert client.mail("a@b", ["REQUIRETLS"])[0] == 555


def test_server_without_ehlo_takes_helo(host: Destination) -> None:
    """EHLO answered by 502 leaves plain RFC 821 mail."""
    host.script = Script(replies={"EHLO": "502 5.5.1 What?"})
    with client_of(host) as client:
        client.sendmail("a@sender.test", ["b@dane-ee.test"], b"x\r\n")

    assert host.connections[0].verbs[:2] == ["EHLO", "HELO"]


def test_lmtp_answers_for_each_recipient(host: Destination) -> None:
    """After DATA each recipient has a reply of his own (RFC 2033 section 4.2)."""
    host.script = Script(lmtp=True, replies={"end-of-data": ["250 2.1.5 Ok", "452 4.2.2 Full"]})

    said = said_by(host, "LHLO c", "MAIL FROM:<a@b>", "RCPT TO:<c@d>", "RCPT TO:<e@f>", "DATA", "x", ".")

    assert [line[:3] for line in said.splitlines()[-2:]] == [b"250", b"452"]
    assert [message.recipients for message in host.messages] == [(Recipient("c@d"),)]
    assert said_by(host, "EHLO c").splitlines()[-1].startswith(b"500")


def test_stopped_server_refuses_and_comes_back(lab: Laboratory, host: Destination) -> None:
    """Connections are refused between stop and start, and those open are aborted."""
    with client_of(host) as client:
        lab.stop(host)
        with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
            client.noop()
    with pytest.raises(ConnectionRefusedError), client_of(host):
        pass
    lab.start(host)
    with client_of(host) as client:
        assert client.noop()[0] == 250


def test_described_host_that_is_down_refuses_connections(lab: Laboratory) -> None:
    """The second host of down.test has an address where nobody listens."""
    with pytest.raises(ConnectionRefusedError), client_of(lab.destination("mx2.down.test")):
        pass


def test_reset_forgets_and_restores(lab: Laboratory, host: Destination) -> None:
    """After a reset a server is as the catalogue describes it, with nothing recorded."""
    described = host.script
    host.script = dataclasses.replace(described, starttls=False)
    said_by(host, "EHLO c")
    lab.reset()

    assert host.script == described
    assert host.connections == []
    assert b"STARTTLS" in said_by(host, "EHLO c")


def test_settling_waits_for_connections_to_end(lab: Laboratory, host: Destination) -> None:
    """`settle` returns when the last client has gone, and names the server where one stays."""
    with client_of(host) as client:
        with pytest.raises(LabError, match=HOST):
            lab.settle(0.02)
        later = threading.Timer(0.02, client.close)
        later.start()
        lab.settle()
        later.join()

    assert not host.connections[0].open
