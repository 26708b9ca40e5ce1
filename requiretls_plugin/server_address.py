"""Addresses of servers as settings write them: `host:port`, `[v6]:port`, `tls://name@ip:port`."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.errors import InvalidDomainName

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_HOST_PORT = re.compile(r"(?:\[(?P<bracketed>[^\]]+)\]|(?P<plain>[^:\[\]]+))(?::(?P<port>[0-9]{1,5}))?")


def _split(text: str, default_port: int) -> tuple[str, int]:
    if "%" in text:
        # asyncio hands such addresses to a thread, which a process that is shutting down cannot start.
        raise ValueError(f"{text!r} has a zone (%); name an address that needs none")
    try:
        return str(ipaddress.IPv6Address(text)), default_port
    except ValueError:
        pass
    match = _HOST_PORT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not of the form host:port")
    port = int(match["port"] or default_port)
    if not 1 <= port <= 65_535:
        raise ValueError(f"{text!r} has no port between 1 and 65535")
    return match["bracketed"] or match["plain"], port


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """A mail server the operator names: a host name or an IP address, and a port."""

    host: DomainName | IPAddress
    port: int

    @classmethod
    def parse(cls, text: str, default_port: int = 25) -> ServerAddress:
        """Return the server that *text* names; raises ValueError."""
        host, port = _split(text.strip(), default_port)
        try:
            return cls(ipaddress.ip_address(host), port)
        except ValueError:
            pass
        try:
            return cls(DomainName.parse(host), port)
        except InvalidDomainName as error:
            raise ValueError(str(error)) from None

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in str(self.host) else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Nameserver:
    """A resolver to ask: over UDP and TCP, or over TLS if *tls_name* is set.

    *tls_name* is the name its certificate has to carry (RFC 8310 section 5).
    """

    address: IPAddress
    port: int
    tls_name: DomainName | None = None

    @classmethod
    def parse(cls, text: str) -> Nameserver:
        """Return the resolver that *text* names; raises ValueError."""
        text = text.strip()
        tls_name = None
        if text.startswith("tls://"):
            name, at, text = text.removeprefix("tls://").rpartition("@")
            if not at:
                raise ValueError("write tls://name@ip:port, the certificate's name first")
            try:
                tls_name = DomainName.parse(name)
            except InvalidDomainName as error:
                raise ValueError(str(error)) from None
        host, port = _split(text, 853 if tls_name else 53)
        try:
            return cls(ipaddress.ip_address(host), port, tls_name)
        except ValueError:
            raise ValueError(f"{host!r} is not an IP address; resolvers are named by address") from None

    def __str__(self) -> str:
        place = (
            f"[{self.address}]:{self.port}" if self.address.version == 6 else f"{self.address}:{self.port}"
        )
        return f"tls://{self.tls_name}@{place}" if self.tls_name else place
