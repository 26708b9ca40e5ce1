"""Foreign clients give messages to our receivers, which tag them as they were meant."""

from __future__ import annotations

import re
import smtplib

import pytest

from requiretls_lab.laboratory import Laboratory
from requiretls_plugin.requirement import Origin, Requirement, Tag
from tests.interop.clients import (
    Client,
    Letter,
    by_aiosmtplib,
    by_nodemailer,
    by_relay,
    by_smtplib,
    by_swaks,
)
from tests.interop.exim import Exim
from tests.interop.postfix import Postfix
from tests.interop.receiver import Taken, receiving, tagged

REQUIRED = Tag(Requirement.REQUIRED, Origin.MAIL_PARAMETER)

# Who can speak what; only nodemailer knows REQUIRETLS by name, the Python clients say what they are told.
WITH_PARAMETER = [
    pytest.param(by_nodemailer, "smtp", id="nodemailer"),
    pytest.param(by_nodemailer, "lmtp", id="nodemailer, LMTP"),
    pytest.param(by_smtplib, "smtp", id="smtplib"),
    pytest.param(by_smtplib, "lmtp", id="smtplib, LMTP"),
    pytest.param(by_aiosmtplib, "smtp", id="aiosmtplib"),
]
ALL = [
    *WITH_PARAMETER,
    pytest.param(by_swaks, "smtp", id="swaks"),
    pytest.param(by_swaks, "lmtp", id="swaks, LMTP"),
]
BY_HAND = [case for case in WITH_PARAMETER if case.values[0] is not by_nodemailer]


def sent(letter: Letter, taken: Taken) -> bool:
    """Whether the letter arrived, below the trace field that says how it came; swaks adds an empty line."""
    trace, _, rest = taken.message.content.partition(b"\r\nFrom:")
    assert trace.startswith(b"Received:")
    word = ("LMTP" if letter.protocol == "lmtp" else "ESMTP") + ("S" if letter.starttls else "")
    assert f" with {word};" in trace.decode()
    return (b"From:" + rest).rstrip() == letter.text.encode().rstrip()


@pytest.mark.requirement("8689-2-1", "8689-2-16", "8689-4.1-1")
@pytest.mark.parametrize(("client", "protocol"), WITH_PARAMETER)
def test_the_parameter_of_a_client_becomes_the_tag(
    lab: Laboratory, trust: str, client: Client, protocol: str
) -> None:
    """In TLS, whose certificate the client verified."""
    with receiving(protocol) as receiver:
        letter = Letter(receiver.port, trust, protocol, requiretls=True)
        answer = client(letter)
        taken = receiver.wait()

    assert answer.code == 250
    assert taken.tls
    assert sent(letter, taken)
    assert tagged(taken.message, lab.settings()).tag == REQUIRED


@pytest.mark.parametrize("starttls", [True, False], ids=["in TLS", "in cleartext"])
@pytest.mark.parametrize(("client", "protocol"), ALL)
def test_without_the_parameter_there_is_no_tag(
    lab: Laboratory, trust: str, client: Client, protocol: str, starttls: bool
) -> None:
    """However well protected the session was."""
    with receiving(protocol) as receiver:
        letter = Letter(receiver.port, trust, protocol, starttls=starttls)
        answer = client(letter)
        taken = receiver.wait()

    assert answer.code == 250, answer.said
    assert taken.tls == starttls
    assert sent(letter, taken)
    assert tagged(taken.message, lab.settings()).tag == Tag()


@pytest.mark.requirement("8689-4.1-2")
@pytest.mark.parametrize(("client", "protocol"), ALL)
def test_the_header_field_of_a_client_becomes_the_tag(
    lab: Laboratory, trust: str, client: Client, protocol: str
) -> None:
    """`TLS-Required: No`, as the client wrote it."""
    with receiving(protocol) as receiver:
        letter = Letter(receiver.port, trust, protocol, text="From: a\r\nTLS-Required: No\r\n\r\nhello\r\n")
        client(letter)
        taken = receiver.wait()

    assert tagged(taken.message, lab.settings()).tag == Tag(Requirement.OPTIONAL, Origin.HEADER_FIELD)


@pytest.mark.requirement("8689-4.1-3", "8689-4.1-4")
@pytest.mark.parametrize(("client", "protocol"), WITH_PARAMETER)
def test_the_parameter_beats_the_header_field(
    lab: Laboratory, trust: str, client: Client, protocol: str
) -> None:
    """The field stays in the message."""
    with receiving(protocol) as receiver:
        text = "From: a\r\nTLS-Required: No\r\n\r\nhello\r\n"
        client(Letter(receiver.port, trust, protocol, requiretls=True, text=text))
        taken = receiver.wait()

    message = tagged(taken.message, lab.settings())
    assert message.tag == REQUIRED
    assert b"\r\nTLS-Required: No\r\n" in message.content


@pytest.mark.requirement("8689-2-3")
@pytest.mark.parametrize(("client", "protocol"), BY_HAND)
def test_the_parameter_is_refused_in_cleartext(trust: str, client: Client, protocol: str) -> None:
    """530 5.7.10, and nothing is taken."""
    with receiving(protocol) as receiver:
        answer = client(Letter(receiver.port, trust, protocol, requiretls=True, starttls=False))

    assert (answer.code, "5.7.10" in answer.said) == (530, True)
    assert receiver.taken == []


@pytest.mark.requirement("8689-2-8")
@pytest.mark.parametrize(("client", "protocol"), BY_HAND)
def test_the_parameter_is_refused_where_it_is_not_offered(trust: str, client: Client, protocol: str) -> None:
    """555 5.5.4, and nothing is taken."""
    with receiving(protocol, advertise=False) as receiver:
        answer = client(Letter(receiver.port, trust, protocol, requiretls=True))

    assert (answer.code, "5.5.4" in answer.said) == (555, True)
    assert receiver.taken == []


@pytest.mark.requirement("8689-2-1", "8689-2-2", "8689-2-8")
@pytest.mark.parametrize(
    ("starttls", "advertise", "expected"),
    [
        pytest.param(False, True, "EREQUIRETLS: REQUIRETLS can only be used over TLS", id="in cleartext"),
        pytest.param(True, False, "EREQUIRETLS: Server does not support REQUIRETLS", id="switched off"),
    ],
)
@pytest.mark.parametrize("protocol", ["smtp", "lmtp"])
def test_nodemailer_gives_up_by_itself_where_the_keyword_is_missing(
    trust: str, protocol: str, starttls: bool, advertise: bool, expected: str
) -> None:
    """It reads our EHLO reply as we mean it."""
    with receiving(protocol, advertise=advertise) as receiver:
        answer = by_nodemailer(
            Letter(receiver.port, trust, protocol, requiretls=True, starttls=starttls)
        )  # fmt: skip

    assert answer.code == 0
    assert answer.said.startswith(expected)
    assert receiver.taken == []


@pytest.mark.requirement("8689-2-1", "8689-2-2", "8689-2-16", "3207-4.2-3")
@pytest.mark.parametrize("protocol", ["smtp", "lmtp"])
def test_swaks_is_shown_the_keyword_inside_tls_only(trust: str, protocol: str) -> None:
    """Its transcript marks what came in TLS with a tilde; STARTTLS is shown outside only."""
    with receiving(protocol) as receiver:
        answer = by_swaks(Letter(receiver.port, trust, protocol))

    in_cleartext = re.findall(r"^<-  250[- ](.*)", answer.said, re.MULTILINE)
    in_tls = re.findall(r"^<~  250[- ](.*)", answer.said, re.MULTILINE)
    assert ("REQUIRETLS" in in_cleartext, "STARTTLS" in in_cleartext) == (False, True)
    assert ("REQUIRETLS" in in_tls, "STARTTLS" in in_tls) == (True, False)


@pytest.mark.parametrize("protocol", ["smtp", "lmtp"])
def test_what_older_servers_pass_on_arrives_untagged(
    lab: Laboratory, trust: str, relay: Postfix | Exim, protocol: str
) -> None:
    """Postfix and Exim see the keyword in TLS and do not use it."""
    with receiving(protocol) as receiver:
        letter = Letter(receiver.port, trust, protocol)
        by_relay(relay.place)(letter)
        taken = receiver.wait()

    assert taken.tls
    assert taken.message.content.endswith(b"\r\n\r\nhello\r\n.dot\r\n")
    assert tagged(taken.message, lab.settings()).tag == Tag()


@pytest.mark.requirement("8689-4.1-2", "8689-4.2.2-4")
@pytest.mark.parametrize("protocol", ["smtp", "lmtp"])
def test_older_servers_pass_the_header_field_on(
    lab: Laboratory, trust: str, relay: Postfix | Exim, protocol: str
) -> None:
    """So that it still counts behind them."""
    with receiving(protocol) as receiver:
        letter = Letter(receiver.port, trust, protocol, text="From: a\r\nTLS-Required: No\r\n\r\nhello\r\n")
        by_relay(relay.place)(letter)
        taken = receiver.wait()

    assert tagged(taken.message, lab.settings()).tag == Tag(Requirement.OPTIONAL, Origin.HEADER_FIELD)


def test_older_servers_refuse_the_parameter(relay: Postfix | Exim) -> None:
    """A client that insists is told so; nothing gets through them that would lose its tag."""
    with smtplib.SMTP(relay.place.address, relay.place.port, local_hostname="client.test") as client:
        client.ehlo()
        code, _ = client.docmd("MAIL FROM:<a@sender.test> REQUIRETLS")

    assert code in (501, 555)
