"""The function for `[mta] outgoing`: Mailman prepares each copy as ever, the engine delivers it.

Mailman's own delivery decorates, personalizes, signs, splits and logs; only
the connection to its one smarthost is replaced. What comes back is the dialect
of smtplib, which Mailman turns into retries and bounces.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from lazr.config import as_boolean
from mailman.config import config
from mailman.interfaces.mta import SomeRecipientsFailed
from mailman.mta import base, connection
from mailman.mta import deliver as stock

from requiretls_mailman.adapter import Adapter, installed
from requiretls_mailman.errors import NotInstalledError
from requiretls_mailman.refused import report_refusals
from requiretls_plugin.delivery.outcome import Disposition, Outcome
from requiretls_plugin.errors import EngineStopped, InvalidMailAddress
from requiretls_plugin.header_field import TLS_REQUIRED, strip_fields
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message, Recipient
from requiretls_plugin.message_tag import strip_private_fields
from requiretls_plugin.reorigination import inherit_into
from requiretls_plugin.reply import Reply
from requiretls_plugin.requirement import Requirement, Tag
from requiretls_plugin.tls_refusal import is_tls_refusal

BAD_ADDRESS = Reply(553, "5.1.3", "Address cannot be used")

# What smtplib takes away from every message it sends.
_FOR_NO_RECIPIENT = ("Bcc", "Resent-Bcc")

Refused = dict[str, tuple[int, str]]
"""Recipients that do not have the message, with reply code and text: what smtplib returns."""


@dataclass
class Sending:
    """One message on its way out, in as many copies as Mailman makes of it."""

    adapter: Adapter
    tag: Tag
    keeps_tls_required_no: bool
    outcomes: list[Outcome] = field(default_factory=list)

    def content_of(self, msg: Any) -> bytes:
        """Return the bytes of a copy, its header fitting the tag and nothing private in it."""
        content = strip_private_fields(strip_fields(msg.as_bytes(), _FOR_NO_RECIPIENT))
        if not self.keeps_tls_required_no:
            content = strip_fields(content, [TLS_REQUIRED])
        return inherit_into(content, self.tag)

    def send(self, sender: str, recipients: Sequence[str], msg: Any) -> Refused:
        """Deliver one copy; raises OSError if that could not be tried, for Mailman to try again."""
        refused: Refused = {}
        parsed: dict[Recipient, str] = {}
        for text in recipients:
            try:
                parsed[Recipient.parse(text)] = text
            except InvalidMailAddress:
                refused[text] = _in_words_of_smtplib(BAD_ADDRESS)
        message = Message(
            return_path=MailAddress.parse(sender) if sender else None,
            content=self.content_of(msg),
            mail_parameter=self.tag.requirement is Requirement.REQUIRED,
            tag=self.tag,
            smtputf8=not all(text.isascii() for text in (sender, *recipients)),
        )
        outcomes = self._deliver(message, tuple(parsed))
        self.outcomes.extend(outcomes)
        for outcome in outcomes:
            if outcome.disposition is not Disposition.DELIVERED:
                refused[parsed[outcome.recipient]] = _in_words_of_smtplib(outcome.reply)
        return refused

    def _deliver(self, message: Message, recipients: tuple[Recipient, ...]) -> tuple[Outcome, ...]:
        adapter = self.adapter
        try:
            return adapter.run(adapter.engine.deliver(message, recipients), adapter.patience)
        except EngineStopped as error:
            raise ConnectionError(str(error)) from error


def _in_words_of_smtplib(reply: Reply) -> tuple[int, str]:
    return reply.code, f"{reply.status} {reply.text}".rstrip()


_sending: ContextVar[Sending | None] = ContextVar("requiretls_mailman_sending", default=None)


@contextlib.contextmanager
def _now_sending(sending: Sending) -> Iterator[None]:
    token = _sending.set(sending)
    try:
        yield
    finally:
        _sending.reset(token)


class EngineConnection(connection.Connection):
    """Takes the place of Mailman's connection to its smarthost."""

    def sendmail(self, envsender: str, recipients: Sequence[str], msg: Any) -> Refused:
        """Deliver *msg* and return the recipients that do not have it, as smtplib does."""
        sending = _sending.get()
        if sending is None:
            raise NotInstalledError(
                "mail may leave by requiretls_mailman.deliver only: see [mta] in mailman.cfg"
            )
        if as_boolean(config.devmode.enabled):
            recipients = [config.devmode.recipient]
        return sending.send(envsender, recipients, msg)

    def quit(self) -> None:
        """Keep sessions: the engine knows how long."""


def send_through_engine() -> None:
    """Let Mailman's delivery agents connect to the engine."""
    base.Connection = EngineConnection


def deliver(mlist: Any, msg: Any, msgdata: Any) -> None:
    """Deliver *msg* to `msgdata["recipients"]`; named as `[mta] outgoing` in mailman.cfg.

    Raises NotInstalledError, so that the message is shunted, and Mailman's
    SomeRecipientsFailed without those refused for REQUIRETLS: the members'
    addresses are good.
    """
    adapter = installed()
    sending = Sending(
        adapter,
        adapter.tag_for_leaving(mlist, msg, msgdata),
        keeps_tls_required_no=adapter.policy_of(mlist).tls_required_no == "honor",
    )
    failed = None
    with _now_sending(sending):
        try:
            stock.deliver(mlist, msg, msgdata)
        except SomeRecipientsFailed as error:
            failed = _without_tls_refusals(error, sending.outcomes)
    report_refusals(adapter, mlist, msg, msgdata, sending.outcomes)
    if failed is not None and (failed.temporary_failures or failed.permanent_failures):
        raise failed


def _without_tls_refusals(error: SomeRecipientsFailed, outcomes: Sequence[Outcome]) -> SomeRecipientsFailed:
    blameless = {str(outcome.recipient) for outcome in outcomes if is_tls_refusal(outcome)}
    permanent = [failure for failure in error.permanent_failures if failure[0] not in blameless]
    return SomeRecipientsFailed(error.temporary_failures, permanent)
