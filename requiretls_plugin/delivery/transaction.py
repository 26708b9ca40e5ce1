"""One mail transaction as a state table: MAIL, RCPT, DATA, content. No sockets, no clock.

A transaction is made for a session whose demand is met; `session` sees to it.
What a server may answer at each step stands in `ALLOWED`.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from requiretls_plugin.delivery.envelope import Envelope
from requiretls_plugin.delivery.server_reply import ServerReply
from requiretls_plugin.errors import ProtocolViolation
from requiretls_plugin.message import Recipient


class Step(enum.Enum):
    """What a reply answers."""

    MAIL = enum.auto()
    RCPT = enum.auto()
    DATA = enum.auto()
    CONTENT = enum.auto()


ALLOWED: Mapping[Step, frozenset[int]] = {
    Step.MAIL: frozenset({2, 4, 5}),
    Step.RCPT: frozenset({2, 4, 5}),
    Step.DATA: frozenset({3, 4, 5}),
    Step.CONTENT: frozenset({2, 4, 5}),
}


@dataclass(frozen=True, slots=True)
class Send:
    """Send these bytes, then go on handing in replies."""

    data: bytes


@dataclass(frozen=True, slots=True)
class SendContent:
    """Send the message's content now. From here on a lost connection leaves its fate unknown."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Hand in the next reply."""


@dataclass(frozen=True, slots=True)
class Done:
    """The transaction is over. *usable* tells whether the session can take another one."""

    usable: bool = True


Action = Send | SendContent | Listen | Done


class Transaction:
    """One message to some recipients over one session.

    Do what the last action says, hand in each reply, until it is `Done`; then
    `replies` holds the deciding reply for each recipient that has one. With
    PIPELINING everything up to DATA is one flight (RFC 2920), without it each
    command waits for its answer. With *lmtp* each accepted recipient gets a
    reply of its own after the content (RFC 2033).
    """

    def __init__(self, envelope: Envelope, recipients: tuple[Recipient, ...], *, lmtp: bool = False) -> None:
        self.replies: dict[Recipient, ServerReply] = {}
        self.content_sent = False
        self._envelope = envelope
        self._recipients = recipients
        self._lmtp = lmtp
        self._accepted: list[Recipient] = []
        self._waiting: deque[tuple[Step, Recipient | None]] = deque()
        self._unsaid: deque[tuple[Step, Recipient | None]] = deque(
            [(Step.MAIL, None), *((Step.RCPT, recipient) for recipient in recipients), (Step.DATA, None)]
        )
        self._mail_accepted = False
        self._hung_up = False

    def start(self) -> Send:
        """Return the first bytes to send."""
        if self._envelope.extensions.pipelining:
            return self._say(len(self._unsaid))
        return self._say(1)

    def hear(self, reply: ServerReply) -> Action:
        """Return what to do after *reply*; raises ProtocolViolation if it does not fit."""
        step, recipient = self._waiting.popleft()
        if reply.kind not in ALLOWED[step]:
            raise ProtocolViolation(f"{step.name} was answered {reply.quoted[:80]!r}")
        self._hung_up = self._hung_up or reply.code == 421
        match step:
            case Step.MAIL:
                return self._after_mail(reply)
            case Step.RCPT:
                assert recipient is not None  # RCPT is always waited for with its recipient
                return self._after_recipient(recipient, reply)
            case Step.DATA:
                return self._after_data(reply)
        return self._after_content(recipient, reply)

    def _say(self, count: int) -> Send:
        commands = []
        for _ in range(count):
            step, recipient = self._unsaid.popleft()
            self._waiting.append((step, recipient))
            commands.append(self._command(step, recipient))
        return Send(b"".join(commands))

    def _command(self, step: Step, recipient: Recipient | None) -> bytes:
        if step is Step.MAIL:
            return self._envelope.mail(self._recipients)
        return b"DATA\r\n" if recipient is None else self._envelope.rcpt(recipient)

    def _next(self) -> Action:
        if self._hung_up:
            return Done(usable=False)
        if self._waiting:
            return Listen()
        if not self._unsaid:
            return Done()
        if not self._mail_accepted or (self._unsaid[0][0] is Step.DATA and not self._accepted):
            # After an accepted MAIL the server holds a transaction open and would answer the next
            # MAIL with 503; such a session is not worth a RSET.
            return Done(usable=not self._mail_accepted)
        return self._say(1)

    def _after_mail(self, reply: ServerReply) -> Action:
        self._mail_accepted = reply.kind == 2
        if not self._mail_accepted:
            self.replies.update(dict.fromkeys(self._recipients, reply))
        return self._next()

    def _after_recipient(self, recipient: Recipient, reply: ServerReply) -> Action:
        if not self._mail_accepted:
            return self._next()  # the answer to MAIL said it already
        if reply.kind == 2:
            self._accepted.append(recipient)
        else:
            self.replies[recipient] = reply
        return self._next()

    def _after_data(self, reply: ServerReply) -> Action:
        if reply.kind == 3 and self._accepted and not self._hung_up:
            self.content_sent = True
            readers: list[Recipient | None] = [*self._accepted] if self._lmtp else [None]
            self._waiting.extend((Step.CONTENT, recipient) for recipient in readers)
            return SendContent()
        if reply.kind == 3:
            # It waits for a message nobody is to get; hanging up is the way not to give it one.
            return Done(usable=False)
        self.replies.update(dict.fromkeys(self._accepted, reply))
        return Done(usable=not self._hung_up and not self._mail_accepted)

    def _after_content(self, recipient: Recipient | None, reply: ServerReply) -> Action:
        self.replies.update(dict.fromkeys(self._accepted if recipient is None else [recipient], reply))
        if self._hung_up and self._waiting:
            return Done(usable=False)
        return Listen() if self._waiting else Done(usable=not self._hung_up)
