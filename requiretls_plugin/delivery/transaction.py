"""One mail transaction as a state table: MAIL, RCPT, DATA, content. No sockets, no clock.

A transaction is made for a session whose demand is met; `session` sees to it.
What a server may answer at each step stands in `Step`.
"""

from __future__ import annotations

import enum
from collections import deque
from dataclasses import dataclass

from requiretls_plugin.delivery.envelope import Envelope
from requiretls_plugin.delivery.server_reply import ServerReply
from requiretls_plugin.errors import ProtocolViolation
from requiretls_plugin.message import Recipient


class Step(enum.Enum):
    """What a reply answers, and the first digits that such a reply may have."""

    RSET = "RSET", frozenset({2, 4})
    MAIL = "MAIL", frozenset({2, 4, 5})
    RCPT = "RCPT", frozenset({2, 4, 5})
    DATA = "DATA", frozenset({3, 4, 5})
    CONTENT = "CONTENT", frozenset({2, 4, 5})

    def __init__(self, command: str, allowed: frozenset[int]) -> None:
        self.line = f"{command}\r\n".encode()
        self.allowed = allowed


class After(enum.Enum):
    """What can be done with the session when a transaction is over."""

    REUSE = enum.auto()
    """Start another transaction."""
    RESET = enum.auto()
    """The same, with RSET before it: the server still holds the one that came to nothing."""
    HANG_UP = enum.auto()
    """Close it without a word: the server is leaving, or takes any word for content."""


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
    """The transaction is over."""

    after: After


Action = Send | SendContent | Listen | Done

_Expected = tuple[Step, Recipient | None]


class Transaction:
    """One message to some recipients over one session.

    Do what the last action says, hand in each reply, until it is `Done`. With
    PIPELINING everything up to DATA is one flight (RFC 2920), without it each
    command waits for its answer. With *lmtp* each accepted recipient gets a
    reply of its own after the content (RFC 2033). With *reset* RSET is said first.

    *replies* holds the deciding reply for each recipient that has one.
    *crowded_out* are the recipients for whom there was no room beside others
    (RFC 5321 section 4.5.3.1.10).
    """

    def __init__(
        self,
        envelope: Envelope,
        recipients: tuple[Recipient, ...],
        *,
        lmtp: bool,
        reset: bool,
    ) -> None:
        self.replies: dict[Recipient, ServerReply] = {}
        self.crowded_out: list[Recipient] = []
        self._envelope = envelope
        self._recipients = recipients
        self._lmtp = lmtp
        self._waiting: deque[_Expected] = deque()
        self._unsaid: deque[_Expected] = deque(
            [(Step.MAIL, None), *((Step.RCPT, recipient) for recipient in recipients), (Step.DATA, None)]
        )
        if reset:
            self._unsaid.appendleft((Step.RSET, None))
        self._mail_accepted = False
        self._accepted: list[Recipient] = []
        self._content_sent = False
        self._hung_up = False

    @property
    def doubtful(self) -> list[Recipient]:
        """The recipients whose message the server may have, although it did not say so."""
        if not self._content_sent:
            return []
        return [recipient for recipient in self._accepted if recipient not in self.replies]

    def start(self) -> Send:
        """Return the first bytes to send."""
        return self._say(len(self._unsaid) if self._envelope.extensions.pipelining else 1)

    def hear(self, reply: ServerReply) -> Action:
        """Return what to do after *reply*; raises ProtocolViolation if it does not fit."""
        step, recipient = self._waiting.popleft()
        if reply.kind not in step.allowed:
            raise ProtocolViolation(f"{step.name} was answered {reply.quoted[:80]!r}")
        self._hung_up = self._hung_up or reply.code == 421
        match step:
            case Step.RSET:
                self._hung_up = self._hung_up or reply.kind == 4
                return self._next()
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
        return step.line if recipient is None else self._envelope.rcpt(recipient)

    def _next(self) -> Action:
        if self._hung_up:
            return Done(After.HANG_UP)
        if self._waiting:
            return Listen()
        if self._unsaid[0][0] is Step.DATA and not self._accepted:
            return Done(After.RESET)
        return self._say(1)

    def _after_mail(self, reply: ServerReply) -> Action:
        self._mail_accepted = reply.kind == 2
        if not self._mail_accepted:
            self.replies = dict.fromkeys(self._recipients, reply)
            if not self._waiting:
                return Done(After.HANG_UP if self._hung_up else After.REUSE)
        return self._next()

    def _after_recipient(self, recipient: Recipient, reply: ServerReply) -> Action:
        if not self._mail_accepted:
            return self._next()  # the answer to MAIL said it already
        if reply.kind == 2:
            self._accepted.append(recipient)
        elif self._accepted and _no_room(reply):
            self.crowded_out.append(recipient)
        else:
            self.replies[recipient] = reply
        return self._next()

    def _after_data(self, reply: ServerReply) -> Action:
        if reply.kind == 3 and self._accepted and not self._hung_up:
            self._content_sent = True
            readers: list[Recipient | None] = [*self._accepted] if self._lmtp else [None]
            self._waiting.extend((Step.CONTENT, recipient) for recipient in readers)
            return SendContent()
        if reply.kind == 3:
            # It waits for a message nobody is to get.
            return Done(After.HANG_UP)
        self.replies.update(dict.fromkeys(self._accepted, reply))
        if self._hung_up:
            return Done(After.HANG_UP)
        return Done(After.RESET if self._mail_accepted else After.REUSE)

    def _after_content(self, recipient: Recipient | None, reply: ServerReply) -> Action:
        self.replies.update(dict.fromkeys(self._accepted if recipient is None else [recipient], reply))
        if self._hung_up:
            return Done(After.HANG_UP)
        return Listen() if self._waiting else Done(After.REUSE)


def _no_room(reply: ServerReply) -> bool:
    """Whether a RCPT was refused for being one too many; RFC 5321 wants an old 552 taken for 452."""
    return reply.code == 452 or (reply.code == 552 and (reply.status or "5.5.3") == "5.5.3")
