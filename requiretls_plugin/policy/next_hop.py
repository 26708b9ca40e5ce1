"""Where mail goes next: a domain whose servers DNS knows, or a server somebody named."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.mail_address import AddressLiteral
from requiretls_plugin.server_address import IPAddress, ServerAddress

# RFC 8314 section 3.3: submission with TLS from the first octet has this port to itself.
SUBMISSIONS_PORT = 465

_UNIX_PREFIX = "unix:"


class Wrapping(enum.Enum):
    """How a session with a named server gets its TLS."""

    STARTTLS = "starttls"
    IMPLICIT = "implicit"
    """TLS from the first octet (RFC 8314), for submission only."""


class Protocol(enum.Enum):
    """What a named server speaks."""

    SMTP = "smtp"
    LMTP = "lmtp"
    """RFC 2033: final delivery, one answer for each recipient after the message."""


@dataclass(frozen=True, slots=True)
class UNIXSocket:
    """A server on this machine, reached by a socket in the file system."""

    path: str

    def __str__(self) -> str:
        return f"{_UNIX_PREFIX}{self.path}"


LocalHop = UNIXSocket | ServerAddress


def parse_local_hop(text: str) -> LocalHop:
    """Return the server on this machine or network that *text* names: `unix:/path` or `ip:port`.

    Raises ValueError, also for a host name: whoever forges DNS answers could
    make it somebody else's.
    """
    if text.startswith(_UNIX_PREFIX):
        path = text.removeprefix(_UNIX_PREFIX)
        if not path.startswith("/"):
            raise ValueError(f"{text!r}: write the socket's path from the root, as in unix:/run/lmtp")
        return UNIXSocket(path)
    server = ServerAddress.parse(text)
    if isinstance(server.host, DomainName):
        raise ValueError(f"{text!r}: name a trusted local hop by IP address or as unix:/path")
    return server


@dataclass(frozen=True, slots=True)
class Login:
    """Who we are at a server that asks (RFC 4954)."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class DomainHop:
    """A mail domain: its MX records name the servers."""

    domain: DomainName | AddressLiteral

    def __str__(self) -> str:
        return str(self.domain)


@dataclass(frozen=True, slots=True)
class NamedHop:
    """A server that the operator, the app or a plugin named; no MX lookup.

    With *login* every message has to go over a session in which the server
    proved who it is, whatever its sender asked for; with *encrypted* over TLS
    at the least.
    """

    server: ServerAddress | UNIXSocket
    wrapping: Wrapping = Wrapping.STARTTLS
    protocol: Protocol = Protocol.SMTP
    login: Login | None = None
    encrypted: bool = False

    @property
    def implicit_tls(self) -> bool:
        """Whether TLS starts with the first octet."""
        if isinstance(self.server, UNIXSocket):
            return False
        return self.wrapping is Wrapping.IMPLICIT or self.server.port == SUBMISSIONS_PORT

    def __str__(self) -> str:
        return str(self.server)


NextHop = DomainHop | NamedHop

Host = DomainName | IPAddress | UNIXSocket
"""What a session is opened with: a server by its name, or by its address where it has none."""
