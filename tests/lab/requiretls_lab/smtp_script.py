"""How a scripted SMTP destination behaves: what it offers, and where it lies."""

from __future__ import annotations

import enum
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


class Offer(enum.Enum):
    """In which EHLO replies REQUIRETLS is listed (RFC 8689 section 2 allows only `INSIDE_TLS`)."""

    INSIDE_TLS = "inside TLS"
    BEFORE_TLS = "before TLS"
    ALWAYS = "always"
    NEVER = "never"

    def counts(self, *, tls: bool) -> bool:
        """Whether the keyword is listed in a session with or without *tls*."""
        return self is Offer.ALWAYS or self is (Offer.INSIDE_TLS if tls else Offer.BEFORE_TLS)


class Act(enum.Enum):
    """Something to do in place of an answer."""

    SILENCE = "say nothing more, and keep the connection"
    CLOSE = "close the connection"
    RESET = "reset the connection"


@dataclass(frozen=True, slots=True)
class Drip:
    """An answer sent octet by octet, *interval* seconds apart."""

    text: str
    interval: float


@dataclass(frozen=True, slots=True)
class Endless:
    """An answer that goes on with *chunk* until the client has had enough."""

    chunk: bytes


# A str is a reply without its final line end, `\n` between lines; bytes are sent as they are.
Answer = str | bytes | Act | Drip | Endless

EXTENSIONS = ("PIPELINING", "8BITMIME", "SIZE 52428800", "DSN", "ENHANCEDSTATUSCODES", "SMTPUTF8")


@dataclass(frozen=True, slots=True)
class Script:
    """What a destination does; the default is a flawless server with REQUIRETLS.

    *starttls* tells whether STARTTLS is listed and understood; to list and
    refuse it, give an answer for it in *replies*.

    *replies* maps a step to its answer. Steps are `greeting`, the command
    verbs, `handshake` (bytes or an act instead of a ServerHello), `content`
    (an act as soon as the first line of the message came) and `end-of-data`.
    `"EHLO in TLS"` goes before `"EHLO"` inside TLS, likewise for every verb. A
    single answer is given every time. A sequence gives one answer each, in
    turn within one connection, and then the usual one again; for LMTP's
    end-of-data that is one per recipient. Whether a command took effect is
    read from the answer's first digit: to inject plaintext, answer STARTTLS
    with `b"220 go\\r\\n250 more\\r\\n"`.

    *cut_after* closes the connection when so many octets were sent to the
    client. *delay* seconds pass before each answer.
    """

    starttls: bool = True
    requiretls: Offer = Offer.INSIDE_TLS
    extensions: tuple[str, ...] = EXTENSIONS
    replies: Mapping[str, Answer | Sequence[Answer]] = field(default_factory=dict)
    minimum_version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
    maximum_version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
    cut_after: int | None = None
    delay: float = 0.0
    lmtp: bool = False

    def keywords(self, *, tls: bool) -> list[str]:
        """Return the EHLO lines for a session with or without *tls*."""
        return [
            *self.extensions,
            *(["STARTTLS"] if self.starttls and not tls else []),
            *(["REQUIRETLS"] if self.requiretls.counts(tls=tls) else []),
        ]
