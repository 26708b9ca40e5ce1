"""One message on its way out: in as many copies as Mailman makes of it, many of them at once."""

from __future__ import annotations

import concurrent.futures
import contextlib
import threading
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from requiretls_mailman.adapter import Adapter
from requiretls_plugin.delivery.outcome import Disposition, Outcome
from requiretls_plugin.errors import EngineStopped, InvalidMailAddress
from requiretls_plugin.header_field import TLS_REQUIRED, strip_fields
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message, Recipient
from requiretls_plugin.message_tag import strip_private_fields
from requiretls_plugin.reason import Reason
from requiretls_plugin.reorigination import inherit_into
from requiretls_plugin.reply import INTERNAL_ERROR, Reply
from requiretls_plugin.requirement import Requirement, Tag

BAD_ADDRESS = Reply(553, "5.1.3", "Address cannot be used")

# What smtplib takes away from every message it sends.
_FOR_NO_RECIPIENT = ("Bcc", "Resent-Bcc")

Refused = dict[str, tuple[int, str]]
"""Recipients that do not have the message, with reply code and text: what smtplib returns."""

_Delivery = tuple[concurrent.futures.Future[tuple[Outcome, ...]], dict[Recipient, str]]


@dataclass
class Sending:
    """One message that Mailman is sending; at the end *outcomes* has one for each recipient."""

    adapter: Adapter
    tag: Tag
    keeps_tls_required_no: bool
    outcomes: list[Outcome] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._under_way: list[_Delivery] = []
        # A copy for each member of a large list would not fit into the memory.
        self._slots = threading.Semaphore(self.adapter.settings.delivery.max_connections)

    def start(self, sender: str, recipients: Sequence[str], msg: Any) -> Refused:
        """Begin to deliver one copy; return the recipients for whom that cannot even be tried.

        Waits while too many are under way.
        """
        refused: Refused = {}
        parsed: dict[Recipient, str] = {}
        for text in recipients:
            try:
                parsed[Recipient.parse(text)] = text
            except InvalidMailAddress:
                refused[text] = _as_smtplib(BAD_ADDRESS)
        try:
            return_path = MailAddress.parse(sender) if sender else None
        except InvalidMailAddress:
            return dict.fromkeys(recipients, _as_smtplib(BAD_ADDRESS))
        addresses_are_ascii = all(text.isascii() for text in (sender, *recipients))
        self._submit(self._message(return_path, msg, smtputf8=not addresses_are_ascii), parsed)
        return refused

    def _message(self, return_path: MailAddress | None, msg: Any, *, smtputf8: bool) -> Message:
        """Return a copy as the engine takes it, its header fitting the tag and nothing private in it."""
        content = strip_private_fields(strip_fields(msg.as_bytes(), _FOR_NO_RECIPIENT))
        if not self.keeps_tls_required_no:
            content = strip_fields(content, [TLS_REQUIRED])
        return Message(
            return_path=return_path,
            content=inherit_into(content, self.tag),
            mail_parameter=self.tag.requirement is Requirement.REQUIRED,
            tag=self.tag,
            smtputf8=smtputf8,
        )

    def _submit(self, message: Message, parsed: dict[Recipient, str]) -> None:
        engine = self.adapter.started_engine()
        self._slots.acquire()
        try:
            future = engine.submit(engine.deliver(message, tuple(parsed)))
        except EngineStopped as error:
            self._slots.release()
            raise ConnectionError(str(error)) from error  # which Mailman takes for a reason to try again
        future.add_done_callback(lambda _: self._slots.release())
        self._under_way.append((future, parsed))

    def finish(self) -> Refused:
        """Wait for everything under way and return the recipients that do not have the message."""
        refused: Refused = {}
        under_way, self._under_way = self._under_way, []
        for future, parsed in under_way:
            for outcome in self._outcomes(future, parsed):
                self.outcomes.append(outcome)
                if outcome.disposition is not Disposition.DELIVERED:
                    refused[parsed[outcome.recipient]] = _as_smtplib(outcome.reply)
        return refused

    def _outcomes(
        self, future: concurrent.futures.Future[tuple[Outcome, ...]], recipients: dict[Recipient, str]
    ) -> Sequence[Outcome]:
        try:
            return future.result(self.adapter.patience)
        except (TimeoutError, EngineStopped, concurrent.futures.CancelledError):
            future.cancel()
            why = Reason.CONFIGURATION
            return [Outcome(each, Disposition.DEFERRED, INTERNAL_ERROR, reason=why) for each in recipients]


def _as_smtplib(reply: Reply) -> tuple[int, str]:
    return reply.code, f"{reply.status} {reply.text}".rstrip()


_sending: ContextVar[Sending | None] = ContextVar("requiretls_mailman_sending", default=None)


def current_sending() -> Sending | None:
    """Return the message that Mailman is sending now, if it does so by our leave."""
    return _sending.get()


@contextlib.contextmanager
def now_sending(sending: Sending) -> Iterator[None]:
    """Let Mailman send; whatever ends it, nothing of it is under way any more afterwards."""
    token = _sending.set(sending)
    try:
        yield
    finally:
        sending.finish()
        _sending.reset(token)
