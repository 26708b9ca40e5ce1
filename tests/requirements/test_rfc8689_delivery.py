"""Messages under RFC 8689 on their way, and what their senders hear, against real servers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from requiretls_lab.laboratory import Laboratory
from requiretls_lab.smtp_record import AcceptedMessage
from requiretls_lab.smtp_script import Offer, Script
from requiretls_plugin.bounce import notices_for, send_notice
from requiretls_plugin.delivery.outcome import Disposition, Outcome
from requiretls_plugin.engine import Engine
from requiretls_plugin.hookspecs import hookimpl
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message, Ret
from requiretls_plugin.requirement import Requirement
from tests.delivery.delivering import deliver, delivered_by, in_words, message, plugins

REQUIRED, UNSTATED, OPTIONAL = Requirement.REQUIRED, Requirement.UNSTATED, Requirement.OPTIONAL
SENDER = MailAddress.parse("a@rollover.test")
SECRET = b"Subject: x\r\n\r\nsecret words\r\n"
NO_TLS_HERE = b"HTTP/1.1 400 Bad Request\r\n\r\n"


def bounced(
    lab: Laboratory, sent: Message, to: Sequence[str]
) -> tuple[tuple[Outcome, ...], list[AcceptedMessage]]:
    """Deliver *sent*, let its sender be told of failures, and return what arrived there."""

    async def run() -> tuple[Outcome, ...]:
        async with Engine(lab.settings(), plugins()) as engine:
            outcomes = await delivered_by(engine, sent, *to)
            tagged = await engine.receive(sent)
            failed = [outcome for outcome in outcomes if outcome.disposition is Disposition.FAILED]
            for notice in notices_for(
                tagged, failed, hostname=engine.settings.hostname, now=datetime.now(UTC)
            ):
                await send_notice(engine.deliver_as_it_is, notice)
            return outcomes

    return asyncio.run(run()), lab.destination("mx.rollover.test").messages


@pytest.mark.requirement("8689-4.2.1-4")
def test_a_server_that_knows_no_ehlo_is_told_quit(lab: Laboratory) -> None:
    """HELO cannot lead to REQUIRETLS."""
    lab.destination("mx.dane.test").script = Script(replies={"EHLO": "502 5.5.1 what?"})

    [outcome] = deliver(lab.settings(), message(REQUIRED), "u@dane.test")

    assert outcome.disposition is not Disposition.DELIVERED
    [connection] = lab.destination("mx.dane.test").connections
    assert connection.verbs == ["EHLO", "QUIT"]


@pytest.mark.requirement("8689-4.2.1-12", "8689-4.2.1-9", "8689-4.2.1-21")
def test_beside_a_message_that_may_not_go_there_others_may(lab: Laboratory) -> None:
    """To a host without the keyword, from one engine."""

    async def three() -> list[str]:
        async with Engine(lab.settings(), plugins()) as engine:
            return [
                in_words((await delivered_by(engine, message(each), "u@no-keyword.test"))[0])
                for each in (UNSTATED, REQUIRED, UNSTATED)
            ]

    assert asyncio.run(three()) == [
        "delivered dane",
        "failed 550 5.7.30 requiretls-not-offered",
        "delivered dane",
    ]
    accepted = lab.destination("mx.no-keyword.test").messages
    assert [each.requiretls for each in accepted] == [False, False]


FAILURES = [
    pytest.param("no-keyword.test", Script(requiretls=Offer.NEVER), "5.7.30", id="no keyword"),
    pytest.param("dane.test", Script(starttls=False, requiretls=Offer.NEVER), "5.7.10", id="no STARTTLS"),
    pytest.param("dane.test", Script(replies={"RCPT": "550 5.1.1 no such user"}), "5.1.1", id="no such user"),
]


@pytest.mark.requirement(
    "8689-4.2.1-14", "8689-4.2.1-15", "8689-4.2.1-16", "8689-4.2.1-22", "8689-5-1", "8689-5-2", "8689-5-3",
    "8689-5-4", "8689-5-5", "3464-2.3.3-1", "5321-3.6.3-1", "3461-5.2.6-1",
)  # fmt: skip
@pytest.mark.parametrize(("domain", "script", "status"), FAILURES)
def test_the_sender_hears_of_a_failure_under_requiretls(
    lab: Laboratory, domain: str, script: Script, status: str
) -> None:
    """One report, from nobody, about the recipient who failed and not about the other, without the body."""
    lab.destination(f"mx.{domain}").script = script
    sent = Message(SENDER, SECRET, mail_parameter=True, ret=Ret.FULL)

    outcomes, reports = bounced(lab, sent, [f"bad@{domain}", "good@other-name.test"])

    assert [outcome.disposition.value for outcome in outcomes] == ["failed", "delivered"]
    [report] = reports
    assert (report.mail_from, report.requiretls) == ("", True)
    assert [recipient.address for recipient in report.recipients] == [str(SENDER)]
    assert report.content.count(b"\r\nAction: failed\r\n") == 1
    assert f"\r\nStatus: {status}\r\n".encode() in report.content
    assert f"bad@{domain}".encode() in report.content
    assert b"good@" not in report.content
    assert b"secret words" not in report.content


@pytest.mark.requirement("8689-4.2.2-3", "8689-5-9")
def test_if_the_server_insists_on_tls_and_cannot_do_it_the_sender_hears(lab: Laboratory) -> None:
    """`TLS-Required: No` goes as far as cleartext; there it is refused for good."""
    lab.destination("mx.dane.test").script = Script(
        replies={"handshake": NO_TLS_HERE, "MAIL": "530 5.7.0 Must issue a STARTTLS command first"}
    )
    sent = Message(SENDER, b"TLS-Required: No\r\n" + SECRET)

    [outcome], reports = bounced(lab, sent, ["u@dane.test"])

    assert in_words(outcome) == "failed 530 5.7.0 rejected"
    broken, in_the_clear = lab.destination("mx.dane.test").connections
    assert broken.verbs == ["EHLO", "STARTTLS"]
    assert "MAIL" in in_the_clear.verbs
    [report] = reports
    assert b"\r\nStatus: 5.7.0\r\n" in report.content
    header = report.content.partition(b"\r\n\r\n")[0]
    assert (header.count(b"TLS-Required: No"), report.requiretls) == (1, False)


@pytest.mark.requirement("8689-3-7")
@pytest.mark.parametrize("field", [b"TLS-Required: No \r\n", b"TLS-Required : No\r\n"])
def test_a_field_outside_the_grammar_counts_for_nothing_and_stays(lab: Laboratory, field: bytes) -> None:
    """A blank behind the word, or before the colon: normal policy, and the same bytes."""
    content = field + SECRET

    [outcome] = deliver(lab.settings(), message(content=content), "u@dane.test")
    [refused] = deliver(lab.settings(), message(content=content), "u@sts-expired.test")

    assert in_words(outcome) == "delivered dane"
    assert in_words(refused) == "deferred 451 4.7.5 certificate-expired"
    assert [accepted.content for accepted in lab.destination("mx.dane.test").messages] == [content]


class ToTheBank:
    """A rule: what is written to bank.example is sent under REQUIRETLS."""

    @hookimpl
    def requiretls_receive(self, message: Message) -> Requirement | None:
        return REQUIRED if b"\r\nTo: clerk@bank.example\r\n" in b"\r\n" + message.header else None


@pytest.mark.requirement("8689-4.3-6")
@pytest.mark.parametrize(("to", "required"), [("clerk@bank.example", True), ("friend@home.example", False)])
def test_a_rule_can_ask_for_tls_in_the_senders_place(lab: Laboratory, to: str, required: bool) -> None:
    """The sender asked for nothing."""
    sent = message(content=b"To: " + to.encode() + b"\r\n" + SECRET)

    deliver(lab.settings(), sent, "u@dane.test", watching=[ToTheBank()])

    assert [accepted.requiretls for accepted in lab.destination("mx.dane.test").messages] == [required]
