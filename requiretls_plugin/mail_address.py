"""A mailbox as it stands in an SMTP envelope (RFC 5321 §4.1.2)."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.errors import InvalidDomainName, InvalidMailAddress

# RFC 5321 sections 4.5.3.1.1 and 4.5.3.1.3.
MAX_LOCAL_PART = 64
MAX_PATH = 254

_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff-]+"
_DOT_STRING = re.compile(rf"{_ATEXT}(?:\.{_ATEXT})*")
_QUOTED_STRING = re.compile(r'"(?:[\x20\x21\x23-\x5b\x5d-\x7e\u0080-\U0010ffff]|\\[\x20-\x7e])*"')
_SOURCE_ROUTE = re.compile(r"@[^:@]+(?:,@[^:@]+)*:")


@dataclass(frozen=True, slots=True)
class AddressLiteral:
    """An address literal such as `[192.0.2.1]`; no certificate can name it."""

    address: ipaddress.IPv4Address | ipaddress.IPv6Address

    def __str__(self) -> str:
        prefix = "IPv6:" if self.address.version == 6 else ""
        return f"[{prefix}{self.address}]"


@dataclass(frozen=True, slots=True)
class MailAddress:
    """A mailbox: local part and domain, with the spelling it arrived in.

    Make one with `MailAddress.parse`; the constructor does not check.
    """

    text: str
    local_part: str
    domain: DomainName | AddressLiteral

    @classmethod
    def parse(cls, text: str) -> MailAddress:
        """Return the mailbox that *text* writes, without angle brackets.

        A source route is cut off (RFC 5321 section 4.1.1.3). Raises
        InvalidMailAddress, also for anything that could end an SMTP line early.
        """
        if route := _SOURCE_ROUTE.match(text):
            text = text[route.end() :]
        local_part, at, domain = text.rpartition("@")
        if not at:
            raise InvalidMailAddress(f"{text[:80]!r} is no mail address: it has no @")
        if not (_DOT_STRING.fullmatch(local_part) or _QUOTED_STRING.fullmatch(local_part)):
            raise InvalidMailAddress(f"{text[:80]!r} is no mail address: its local part")
        if len(local_part.encode(errors="replace")) > MAX_LOCAL_PART or len(text) > MAX_PATH:
            raise InvalidMailAddress(f"{text[:80]!r} is no mail address: too long")
        return cls(text, local_part, _parse_domain(text, domain))

    def __str__(self) -> str:
        return self.text


def _parse_domain(text: str, domain: str) -> DomainName | AddressLiteral:
    if domain.startswith("[") and domain.endswith("]"):
        literal = domain[1:-1]
        if literal.lower().startswith("ipv6:"):
            literal = literal[5:]
        try:
            return AddressLiteral(ipaddress.ip_address(literal))
        except ValueError:
            raise InvalidMailAddress(f"{text!r} is no mail address: its literal") from None
    try:
        return DomainName.parse(domain)
    except InvalidDomainName as error:
        raise InvalidMailAddress(f"{text[:80]!r} is no mail address: {error}") from None
