"""MAIL and RCPT: what one server is told of a message, and what it must not be told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from requiretls_plugin.delivery.content import Content
from requiretls_plugin.delivery.envelope import MESSAGE_TOO_BIG, NO_COMMAND, SMTPUTF8_NEEDED, Envelope
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message, Notify, Recipient, Ret
from requiretls_plugin.smtp_extension import Extensions
from tests.delivery.demands import MESSAGE, ehlo, recipients

EVERYTHING = ehlo("PIPELINING", "SIZE 1000", "8BITMIME", "SMTPUTF8", "DSN", "REQUIRETLS")
SENDER = "<a@sender.example>"
[TO] = recipients(1)


def envelope(
    message: Message = MESSAGE,
    *keywords: str,
    requiretls: bool = False,
    headers_only: bool = False,
) -> Envelope:
    lines = ehlo(*keywords).lines if keywords else EVERYTHING.lines
    content = Content.of(message.content)
    extensions = Extensions.parse(lines)
    return Envelope(message, content, extensions, requiretls=requiretls, headers_only=headers_only)


def mail(message: Message = MESSAGE, *keywords: str, to: Recipient = TO, **flags: bool) -> str:
    return envelope(message, *keywords, **flags).mail((to,)).decode().removesuffix("\r\n")


def with_content(content: str, **changes: object) -> Message:
    return replace(MESSAGE, content=content.encode(), **changes)  # type: ignore[arg-type]


WITH_WISHES = replace(MESSAGE, ret=Ret.FULL, envid="Q1 +")

MAILS = [
    pytest.param(partial(mail, MESSAGE, "X"), f"MAIL FROM:{SENDER}", id="nothing offered"),
    pytest.param(partial(mail), f"MAIL FROM:{SENDER} SIZE=21", id="size"),
    pytest.param(
        partial(mail, with_content("é"), "8BITMIME"), f"MAIL FROM:{SENDER} BODY=8BITMIME", id="eight bits"
    ),
    pytest.param(
        partial(mail, with_content("é"), "SIZE"), f"MAIL FROM:{SENDER} SIZE=4", id="eight bits, not offered"
    ),
    pytest.param(
        partial(mail, MESSAGE, "REQUIRETLS"), f"MAIL FROM:{SENDER}", id="REQUIRETLS is not said by itself"
    ),
    pytest.param(
        partial(mail, MESSAGE, "REQUIRETLS", requiretls=True),
        f"MAIL FROM:{SENDER} REQUIRETLS",
        id="REQUIRETLS",
    ),
    pytest.param(
        partial(mail, WITH_WISHES, "DSN", requiretls=True),
        f"MAIL FROM:{SENDER} RET=FULL ENVID=Q1+20+2B REQUIRETLS",
        id="DSN wishes are passed on as they came",
    ),
    pytest.param(partial(mail, WITH_WISHES, "SIZE 0"), f"MAIL FROM:{SENDER} SIZE=21", id="no DSN, no wishes"),
    pytest.param(
        partial(mail, WITH_WISHES, "DSN", headers_only=True),
        f"MAIL FROM:{SENDER} RET=HDRS ENVID=Q1+20+2B",
        id="relaxed hop: headers only",
    ),
    pytest.param(
        partial(mail, MESSAGE, "DSN", headers_only=True), f"MAIL FROM:{SENDER} RET=HDRS", id="RET added"
    ),
    pytest.param(
        partial(mail, replace(MESSAGE, return_path=None), "SIZE"),
        "MAIL FROM:<> SIZE=21",
        id="null return path",
    ),
]


@pytest.mark.requirement("3461-5.2.1-1", "3461-5.2.2-1", "8689-4.2.1-20", "8689-4.2.2-4")
@pytest.mark.parametrize(("said", "expected"), MAILS)
def test_mail_says(said: Callable[[], str], expected: str) -> None:
    """Each parameter only where its extension is offered."""
    assert said() == expected


def test_an_envelope_says_nothing_by_itself() -> None:
    """Neither REQUIRETLS nor RET=HDRS, if nobody asked for them."""
    plain = Envelope(MESSAGE, Content.of(MESSAGE.content), Extensions.parse(ehlo("DSN", "REQUIRETLS").lines))

    assert plain.mail([TO]) == f"MAIL FROM:{SENDER}\r\n".encode()


@pytest.mark.requirement("3461-5.2.2-3")
def test_a_null_return_path_is_never_made_up() -> None:
    """RFC 3461 would allow it for NOTIFY=NEVER; under REQUIRETLS it would switch the rules off."""
    to = replace(TO, notify=frozenset({Notify.NEVER}))

    assert mail(MESSAGE, "REQUIRETLS", to=to, requiretls=True) == f"MAIL FROM:{SENDER} REQUIRETLS"


@pytest.mark.requirement("3461-5.2.1-1", "3461-5.2.2-1")
def test_rcpt_says_what_the_sender_wished_where_dsn_is_offered() -> None:
    """NOTIFY in the order of RFC 3461, ORCPT as it came."""
    to = Recipient(TO.address, frozenset({Notify.DELAY, Notify.SUCCESS}), "rfc822;r0+2Bx@recipient.example")

    assert envelope(MESSAGE, "DSN").rcpt(to) == (
        b"RCPT TO:<r0@recipient.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;r0+2Bx@recipient.example\r\n"
    )
    assert envelope(MESSAGE, "SIZE").rcpt(to) == b"RCPT TO:<r0@recipient.example>\r\n"


def test_a_message_over_the_limit_is_not_even_tried() -> None:
    """RFC 1870: a limit of 0 is none."""
    big = with_content("x" * 1000)

    assert envelope(big, "SIZE 1001").refusal(TO) == MESSAGE_TOO_BIG
    assert envelope(big, "SIZE 1002").refusal(TO) is None
    assert envelope(big, "SIZE 0").refusal(TO) is None
    assert envelope(big, "SIZE").refusal(TO) is None


INTERNATIONAL = Recipient.parse("jörg@bücher.example")
INTERNATIONAL_DOMAIN = Recipient.parse("joerg@bücher.example")


@pytest.mark.parametrize(
    ("message", "to", "parameter", "without"),
    [
        pytest.param(MESSAGE, TO, "", None, id="ASCII"),
        pytest.param(MESSAGE, INTERNATIONAL, " SMTPUTF8", SMTPUTF8_NEEDED, id="local part"),
        pytest.param(MESSAGE, INTERNATIONAL_DOMAIN, "", None, id="domain alone"),
        pytest.param(
            replace(MESSAGE, return_path=INTERNATIONAL.address), TO, " SMTPUTF8", SMTPUTF8_NEEDED, id="sender"
        ),
        pytest.param(
            with_content("Subject: é\r\n\r\n", smtputf8=True), TO, " SMTPUTF8", SMTPUTF8_NEEDED, id="header"
        ),
        pytest.param(with_content("S: e\r\n\r\né", smtputf8=True), TO, "", None, id="asked for, not needed"),
    ],
)
def test_smtputf8_is_said_where_it_is_needed(
    message: Message, to: Recipient, parameter: str, without: object
) -> None:
    """RFC 6531 section 3.2; a server without it is told so only where nothing else helps."""
    assert mail(message, "SMTPUTF8", to=to).endswith(">" + parameter)
    assert envelope(message, "SIZE").refusal(to) == without


def test_an_international_domain_goes_as_a_labels() -> None:
    """Every server can be told that (RFC 6531 section 3.2)."""
    assert (
        envelope(MESSAGE, "SMTPUTF8").rcpt(INTERNATIONAL_DOMAIN)
        == b"RCPT TO:<joerg@xn--bcher-kva.example>\r\n"
    )
    assert envelope(MESSAGE, "SMTPUTF8").rcpt(INTERNATIONAL) == "RCPT TO:<jörg@bücher.example>\r\n".encode()


EVIL = "x@recipient.example>\r\nRCPT TO:<evil@attacker.example"


@pytest.mark.parametrize(
    ("message", "to"),
    [
        pytest.param(
            MESSAGE, Recipient(MailAddress(EVIL, "x", DomainName("recipient.example"))), id="address"
        ),
        pytest.param(MESSAGE, Recipient(TO.address, None, "rfc822;x\r\nRCPT TO:<evil@x>"), id="ORCPT"),
        pytest.param(MESSAGE, Recipient(TO.address, None, "rfc822;x\x00"), id="NUL"),
        pytest.param(
            MESSAGE, Recipient(MailAddress("\ud800@x", "\ud800", DomainName("x"))), id="no character at all"
        ),
        pytest.param(
            replace(MESSAGE, return_path=MailAddress(EVIL, "x", DomainName("recipient.example"))),
            TO,
            id="sender",
        ),
    ],
)
def test_attack_a_line_is_never_ended_early(message: Message, to: Recipient) -> None:
    """A host server or plugin that did not parse its addresses injects no command."""
    assert envelope(message, "DSN", "SMTPUTF8").refusal(to) == NO_COMMAND
