"""How a session with a host ended, and what became of each recipient."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message, Recipient
from requiretls_plugin.policy.evidence import Evidence
from requiretls_plugin.policy.next_hop import NextHop
from requiretls_plugin.policy.refusal import Peer, Refusal
from requiretls_plugin.reason import Reason
from requiretls_plugin.reply import Reply
from requiretls_plugin.security import Security


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was proved about the session that took a message."""

    address: str
    tls_version: str | None = None
    cipher: str | None = None
    certificate_sha256: str | None = None
    tlsa: str | None = None
    sts_policy_id: str | None = None


class Disposition(enum.Enum):
    """What became of one recipient (RFC 3464 section 2.3.3 calls it Action)."""

    DELIVERED = "delivered"
    DEFERRED = "deferred"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one recipient of one message, and why.

    *reply* is the server's own where *from_server* is set, else ours. *host* is
    the host it happened at; None if no host was involved. *requiretls* tells
    that REQUIRETLS was sent on MAIL. *reason* is None exactly if delivered.
    *dsn_offered* tells that the server offered DSN (RFC 3461), so that it and
    not we report success.
    """

    recipient: Recipient
    disposition: Disposition
    reply: Reply
    host: str | None = None
    security: Security | None = None
    requiretls: bool = False
    reason: Reason | None = None
    from_server: bool = False
    server_text: str | None = None
    receipt: Receipt | None = None
    dsn_offered: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """One session with one host, for observers.

    *refusal* is None if the session was good enough for the message;
    *outcomes* are those of the recipients that this session settled. *evidence*
    is what the decision rested on, *seconds* how long the attempt took.
    *peer* is who refused, if it came to a connection.
    *reused* tells that the session had carried another message before. *trial*
    is what the domain's MTA-STS policy in mode `testing` would have refused
    the session for (RFC 8461 section 5), None if nothing or if nobody looked.
    """

    next_hop: NextHop
    host: str
    address: str | None
    demanded: str
    security: Security | None = None
    requiretls_offered: bool = False
    requiretls_sent: bool = False
    refusal: Reason | None = None
    why: str = ""
    outcomes: tuple[Outcome, ...] = field(default=())
    message: Message | None = field(default=None, repr=False)
    evidence: Evidence | None = field(default=None, repr=False)
    seconds: float = 0.0
    reused: bool = False
    trial: Refusal | None = None
    peer: Peer | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """A message that is sent because of another one: a bounce, a delay notice.

    *fallback* is what to send instead where this one, being REQUIRED, cannot
    go; it has none itself.
    """

    message: Message
    recipient: MailAddress
    fallback: Notice | None = None
