"""Why a host does not get a message, and how sure that is."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from requiretls_plugin.reason import Reason
from requiretls_plugin.reply import Reply
from requiretls_plugin.security import Security


class Sureness(enum.Enum):
    """Whether a refusal is the host's last word."""

    PROVED = "proved"
    """The host was asked and cannot do what is demanded."""
    NOT_JUDGED = "not-judged"
    """The host could not be asked; another time it may do."""
    OUR_FAULT = "our-fault"
    """Our own settings stand in the way."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Both ends of a connection: the server's address, ours, and the name it greeted us with."""

    address: str
    local_address: str | None = None
    greeted_as: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """One host's verdict: no message goes there, for this reason.

    *reply* is the server's own, where it said something that decided the
    matter, and *server_text* its text as it came. *peer* is who refused, where
    there was a connection; refusals that differ in nothing else are equal.
    *security* and *requiretls* are those of the session, where MAIL was said.
    """

    reason: Reason
    sureness: Sureness
    why: str
    host: str | None = None
    reply: Reply | None = None
    server_text: str | None = None
    peer: Peer | None = field(default=None, compare=False)
    security: Security | None = None
    requiretls: bool = False
