"""A mailbox as it stands in an SMTP envelope (RFC 5321 §4.1.2)."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.errors import InvalidMailAddress

# RFC 5321 section 4.5.3.1.3, less the angle brackets. Its 64 octets for a local part are not
# held against anybody: return paths that name a recipient in them (VERP) are longer.
MAX_PATH_OCTETS = 254

# RFC 6531 allows all of UTF-8. Not here: C1 controls and the separators U+2028 and U+2029, at
# which much software ends a line, and surrogates, which no UTF-8 can carry.
_BEYOND_ASCII = r"\u00a0-\u2027\u202a-\ud7ff\ue000-\U0010ffff"
_ATEXT = rf"[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~{_BEYOND_ASCII}-]+"
_DOT_STRING = re.compile(rf"{_ATEXT}(?:\.{_ATEXT})*")
_QUOTED_STRING = re.compile(rf'"(?:[\x20\x21\x23-\x5b\x5d-\x7e{_BEYOND_ASCII}]|\\[\x20-\x7e])*"')
_SOURCE_ROUTE = re.compile(r"@[^:@]+(?:,@[^:@]+)*:")
_LITERAL = re.compile(r"\[(?:(?P<v4>[0-9.]+)|IPv6:(?P<v6>[0-9A-Fa-f:.]+))\]", re.IGNORECASE)


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
        shown = f"{text[:80]!r} is no mail address"
        local_part, at, domain = text.rpartition("@")
        if not at:
            raise InvalidMailAddress(f"{shown}: it has no @")
        if not (_DOT_STRING.fullmatch(local_part) or _QUOTED_STRING.fullmatch(local_part)):
            raise InvalidMailAddress(f"{shown}: its local part")
        try:
            parsed = _parse_literal(domain) if domain.startswith("[") else DomainName.parse(domain)
        except ValueError as error:
            raise InvalidMailAddress(f"{shown}: {error}") from None
        # With A-labels, as it may be passed on, it can be longer than it came.
        if any(len(form.encode()) > MAX_PATH_OCTETS for form in (text, f"{local_part}@{parsed}")):
            raise InvalidMailAddress(f"{shown}: longer than {MAX_PATH_OCTETS} octets")
        return cls(text, local_part, parsed)

    def __str__(self) -> str:
        return self.text

    def __hash__(self) -> int:
        return hash(self.text)


def _parse_literal(text: str) -> AddressLiteral:
    """Return the address literal that *text* writes; raises ValueError.

    Python's ipaddress takes any text for the zone of an IPv6 address, line ends
    included, so what it sees is restricted first.
    """
    match = _LITERAL.fullmatch(text)
    if match is None:
        raise ValueError("its address literal")
    if match["v4"]:
        return AddressLiteral(ipaddress.IPv4Address(match["v4"]))
    return AddressLiteral(ipaddress.IPv6Address(match["v6"]))
