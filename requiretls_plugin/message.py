"""One message and its envelope, as the hooks and the delivery see it."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field, replace
from functools import cached_property

from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.policy.next_hop import NextHop
from requiretls_plugin.requirement import Requirement, Tag

_END_OF_HEADER = re.compile(rb"(?:\A|\r?\n)\r?\n")


class Ret(enum.Enum):
    """How much of a message its sender wants back (RFC 3461 section 4.3)."""

    FULL = "FULL"
    HDRS = "HDRS"


class Notify(enum.Enum):
    """When a recipient's fate is to be reported (RFC 3461 section 4.1)."""

    NEVER = "NEVER"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    DELAY = "DELAY"


@dataclass(frozen=True, slots=True)
class Recipient:
    """One recipient and what RFC 3461 lets its sender say about it.

    *notify* is None if NOTIFY was not given. *orcpt* is the parameter's value
    as it came, with its address type and still in xtext.
    """

    address: MailAddress
    notify: frozenset[Notify] | None = None
    orcpt: str | None = None

    @classmethod
    def parse(cls, text: str) -> Recipient:
        """Return the recipient *text* without DSN wishes; raises InvalidMailAddress."""
        return cls(MailAddress.parse(text))

    def __str__(self) -> str:
        return self.address.text

    def __hash__(self) -> int:
        return hash(self.address.text)


@dataclass(frozen=True)
class Message:
    """A message as it was accepted. Nothing here is ever changed.

    *return_path* is None for the null return path `<>`. *content* is header and
    body as bytes; line ends may be LF or CRLF. *mail_parameter* tells whether
    REQUIRETLS stood on MAIL, *peer* is the IP address it came from, if any.
    *tag* is what the receive hooks made of it; `Engine.receive` fills it in.
    *next_hop* is the server that the host server or the app named for it; None
    leaves that to plugins, settings and DNS.
    """

    return_path: MailAddress | None
    content: bytes = field(repr=False)
    mail_parameter: bool = False
    peer: str | None = None
    tag: Tag = field(default_factory=Tag)
    ret: Ret | None = None
    envid: str | None = None
    smtputf8: bool = False
    next_hop: NextHop | None = None

    @property
    def requirement(self) -> Requirement:
        """What the sender asked of TLS."""
        return self.tag.requirement

    @cached_property
    def header(self) -> bytes:
        """The header section, without the line end of its last line."""
        end = _END_OF_HEADER.search(self.content)
        return self.content if end is None else self.content[: end.start()]

    def with_tag(self, tag: Tag) -> Message:
        """Return the same message with another tag."""
        return replace(self, tag=tag)
