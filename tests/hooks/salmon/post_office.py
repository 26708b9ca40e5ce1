"""A place to send to without a network: an engine whose deliveries a plugin records and answers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from requiretls_plugin.delivery.outcome import Disposition, Outcome
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.engine import Engine
from requiretls_plugin.hookspecs import hookimpl
from requiretls_plugin.message import Message, Recipient
from requiretls_plugin.plugins import plugin_manager
from requiretls_plugin.reason import Reason
from requiretls_plugin.reply import Reply
from requiretls_plugin.requirement import Requirement
from requiretls_plugin.settings import Settings
from requiretls_salmon.shared_engine import share_engine

OK = Reply(250, "2.0.0", "OK")
NO_REQUIRETLS = Reply(550, "5.7.30", "REQUIRETLS support required")
LATER = Reply(451, "4.4.1", "No answer from host")


class PostOffice:
    """What was sent, and what is answered: *replies* by recipient, else by domain, else OK."""

    def __init__(self) -> None:
        self.sent: list[tuple[Message, tuple[str, ...]]] = []
        self.replies: dict[str, Reply] = {}
        self.plugin_failure: Exception | None = None

    @hookimpl
    def requiretls_deliver(self, message: Message, recipients: Sequence[Recipient]) -> Sequence[Outcome]:
        """Record a message and answer for it."""
        if self.plugin_failure is not None:
            raise self.plugin_failure
        self.sent.append((message, tuple(str(recipient) for recipient in recipients)))
        return [self._outcome(recipient) for recipient in recipients]

    @hookimpl
    def requiretls_receive(self, message: Message) -> Requirement | None:
        """Say nothing, or fail."""
        if self.plugin_failure is not None:
            raise self.plugin_failure
        return None

    def _outcome(self, recipient: Recipient) -> Outcome:
        reply = self.replies.get(str(recipient)) or self.replies.get(str(recipient.address.domain)) or OK
        if reply.code < 300:
            return Outcome(recipient, Disposition.DELIVERED, reply)
        disposition = Disposition.FAILED if reply.permanent else Disposition.DEFERRED
        return Outcome(recipient, disposition, reply, reason=Reason.REQUIRETLS_NOT_OFFERED)

    @property
    def messages(self) -> list[Message]:
        """The messages sent, without their recipients."""
        return [message for message, _ in self.sent]

    @property
    def notices(self) -> list[tuple[Message, tuple[str, ...]]]:
        """What was sent with the null return path."""
        return [(message, recipients) for message, recipients in self.sent if message.return_path is None]


@contextlib.contextmanager
def open_post_office(settings: Settings | None = None) -> Iterator[PostOffice]:
    """Let Salmon's relays send to a post office until the block ends."""
    office = PostOffice()
    manager = plugin_manager(installed=False)
    manager.register(office)
    engine = Engine(settings or Settings(hostname=DomainName("relay.test")), manager)
    undo = share_engine(engine)
    try:
        yield office
    finally:
        undo()
        engine.stop()
