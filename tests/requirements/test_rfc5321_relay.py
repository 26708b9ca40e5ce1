"""A relay passes on what it was given (RFC 5321 section 3.6.3), and answers no null return path (4.5.5)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from requiretls_lab.laboratory import Laboratory
from requiretls_plugin.bounce import notices_for
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.engine import Engine
from requiretls_plugin.message import Message, Recipient
from requiretls_plugin.requirement import Requirement
from tests.delivery.delivering import deliver, in_words, message, plugins
from tests.hooks.aiosmtpd.serving import Keeper, serving, talking

# Nothing of it is as a tidy program would write it.
UNTIDY = (
    b"tls-required:  NO\r\n"
    b"X-Folded: a\r\n\tb \r\n"
    b"subject:x  \r\n"
    b"X-8-bit: \xfc\r\n"
    b"From:a@sender.test\r\n"
    b"\r\n"
    b"a body \t\r\n.\r\n..with dots\r\nand no Message-ID\r\n"
)


def _received_over_smtp(text: bytes) -> Message:
    keeper = Keeper()
    with serving(keeper) as port, talking(port) as client:
        client.say("MAIL FROM:<a@sender.test> BODY=8BITMIME")
        client.say("RCPT TO:<u@dane.test>")
        client.say("DATA")
        stuffed = text.replace(b"\r\n.", b"\r\n..")
        client.send(stuffed + b".\r\n")
        assert client.reply()[-1].startswith("250 ")
    return keeper.taken[0].message("192.0.2.1")


@pytest.mark.requirement("5321-3.6.3-3")
def test_a_relayed_message_stays_as_it_is_below_our_trace(lab: Laboratory) -> None:
    """From the client through our server and out again: its `TLS-Required` field is read, not edited."""
    received = _received_over_smtp(UNTIDY)
    [outcome] = deliver(lab.settings(), received, "u@dane.test")

    assert in_words(outcome) == "delivered encrypted"
    [accepted] = lab.destination("mx.dane.test").messages
    trace = accepted.content.removesuffix(UNTIDY)
    assert accepted.content != trace, "all of it at the end"
    assert [line.partition(b":")[0] for line in trace.splitlines() if line[:1] not in b" \t"] == [b"Received"]


@pytest.mark.requirement("5321-4.5.5-1", "8689-5-8")
def test_a_null_return_path_stays_null_and_is_never_answered(lab: Laboratory) -> None:
    """Forwarded it is `<>` again, and if it cannot go nobody is told."""
    notice = replace(message(Requirement.REQUIRED), return_path=None)

    async def forwarded() -> list[Message]:
        async with Engine(lab.settings(), plugins()) as engine:
            tagged = await engine.receive(notice)
            recipients = [Recipient.parse("u@dane.test"), Recipient.parse("u@no-such-domain.test")]
            outcomes = await engine.deliver(tagged, recipients)
            failed = [outcome for outcome in outcomes if outcome.reason is not None]
            assert [str(outcome.recipient) for outcome in failed] == ["u@no-such-domain.test"]
            now = datetime.now(UTC)
            made = notices_for(
                tagged, failed, hostname=DomainName("relay.test"), now=now, requiretls="prefer"
            )
            return [each.message for each in made]

    assert asyncio.run(forwarded()) == []
    assert [accepted.mail_from for accepted in lab.destination("mx.dane.test").messages] == [""]
