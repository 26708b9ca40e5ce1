"""Where mail goes next: a domain whose servers DNS knows, or a server somebody named."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.mail_address import AddressLiteral
from requiretls_plugin.server_address import ServerAddress


class Wrapping(enum.Enum):
    """How a session with a named server gets its TLS."""

    STARTTLS = "starttls"
    IMPLICIT = "implicit"
    """TLS from the first octet (RFC 8314), for submission only."""


@dataclass(frozen=True, slots=True)
class DomainHop:
    """A mail domain: its MX records name the servers."""

    domain: DomainName | AddressLiteral

    def __str__(self) -> str:
        return str(self.domain)


@dataclass(frozen=True, slots=True)
class NamedHop:
    """A server that the operator, the app or a plugin named; no MX lookup."""

    server: ServerAddress
    wrapping: Wrapping = Wrapping.STARTTLS

    def __str__(self) -> str:
        return str(self.server)


NextHop = DomainHop | NamedHop
