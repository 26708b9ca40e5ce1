"""How a notice is sent: REQUIRED first, redacted if that cannot be, and never a notice about it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from requiretls_plugin.bounce import failure_notice, send_notice
from requiretls_plugin.delivery.outcome import Disposition, Notice, Outcome
from requiretls_plugin.errors import EngineStopped, PluginError
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message, Notify, Recipient
from requiretls_plugin.requirement import Requirement, Tag
from tests.reading_notices import (
    HOSTNAME,
    NOW,
    OPTIONAL,
    REQUIRED,
    UNSTATED,
    deferred,
    delivered,
    message,
    refused,
)


@dataclass
class Mailer:
    """Delivers nothing; answers with the next of its outcomes and keeps what it was given."""

    answers: list[Outcome]
    sent: list[tuple[Message, Sequence[Recipient]]] = field(default_factory=list)

    async def __call__(self, message: Message, recipients: Sequence[Recipient]) -> Sequence[Outcome]:
        self.sent.append((message, recipients))
        return [self.answers.pop(0)]


def notice_about(tag: Tag) -> Notice:
    notice = failure_notice(message(tag), [refused()], hostname=HOSTNAME, now=NOW)
    assert notice is not None
    return notice


@pytest.mark.requirement("8689-5-1", "8689-5-5", "3461-6.1-2")
def test_a_notice_about_a_required_message_is_tried_under_requiretls_first() -> None:
    """One attempt is enough where the way back can do it; NOTIFY=NEVER, no RET."""
    mailer = Mailer([delivered()])

    outcome = asyncio.run(send_notice(mailer, notice_about(REQUIRED)))

    assert outcome.disposition is Disposition.DELIVERED
    [(sent, [to])] = mailer.sent
    assert sent.requirement is Requirement.REQUIRED
    assert sent.return_path is None
    assert sent.ret is None
    assert to == Recipient(MailAddress.parse("alice@sender.example"), frozenset({Notify.NEVER}))


@pytest.mark.requirement("8689-5-6", "8689-5-7")
@pytest.mark.parametrize("first", [refused(), deferred()], ids=["failed", "deferred"])
def test_where_the_way_back_lacks_requiretls_the_redacted_notice_goes(first: Outcome) -> None:
    """The notice is not lost, and the header of the message is not shown."""
    mailer = Mailer([first, delivered()])

    outcome = asyncio.run(send_notice(mailer, notice_about(REQUIRED)))

    assert outcome.disposition is Disposition.DELIVERED
    (first_try, _), (second_try, _) = mailer.sent
    assert first_try.requirement is Requirement.REQUIRED
    assert b"merger" in first_try.content
    assert second_try.requirement is Requirement.UNSTATED
    assert b"merger" not in second_try.content


def test_a_caller_with_a_queue_gets_a_deferral_back() -> None:
    """He tries the REQUIRED notice again later, rather than the redacted one now."""
    mailer = Mailer([deferred()])

    outcome = asyncio.run(send_notice(mailer, notice_about(REQUIRED), kept_if_deferred=True))

    assert outcome.disposition is Disposition.DEFERRED
    assert len(mailer.sent) == 1


@pytest.mark.parametrize("tag", [UNSTATED, OPTIONAL], ids=lambda tag: tag.requirement.value)
def test_other_notices_are_tried_once(tag: Tag) -> None:
    """There is nothing to fall back to."""
    mailer = Mailer([refused()])

    asyncio.run(send_notice(mailer, notice_about(tag)))

    assert len(mailer.sent) == 1
    assert mailer.sent[0][0].tag == tag


@pytest.mark.requirement("5321-3.6.3-2", "8689-5-8")
def test_a_notice_that_fails_in_every_form_is_logged_and_nothing_follows(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No notice about a notice."""
    mailer = Mailer([refused(), refused()])

    outcome = asyncio.run(send_notice(mailer, notice_about(REQUIRED)))

    assert outcome.disposition is Disposition.FAILED
    assert [record.getMessage() for record in caplog.records] == [
        "notice could not be sent: to=<alice@sender.example>, dsn=5.7.30"
    ]
    for sent, recipients in mailer.sent:
        assert failure_notice(sent, [refused(recipients[0])], hostname=HOSTNAME, now=NOW) is None


@pytest.mark.parametrize("where", ["notice", "fallback"])
def test_attack_a_notice_with_a_return_path_is_not_sent(where: str) -> None:
    """A plugin that makes one could start a loop."""
    looping = Notice(message(), MailAddress.parse("alice@sender.example"))
    notice = looping if where == "notice" else replace(notice_about(REQUIRED), fallback=looping)
    mailer = Mailer([refused()])

    with pytest.raises(PluginError, match="null return path"):
        asyncio.run(send_notice(mailer, notice))
    assert all(sent.return_path is None for sent, _ in mailer.sent)


def test_what_the_mailer_raises_is_the_callers_to_handle() -> None:
    """An engine that has stopped is no reason to send less protected."""

    async def stopped(_message: Message, _recipients: Sequence[Recipient]) -> Sequence[Outcome]:
        raise EngineStopped("stopped")

    with pytest.raises(EngineStopped):
        asyncio.run(send_notice(stopped, notice_about(REQUIRED)))
