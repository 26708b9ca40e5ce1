"""Whether a domain wants reports on TLS: its `_smtp._tls` TXT record (RFC 8460 section 3)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from requiretls_plugin.domain_name import DomainName

_VERSION = re.compile(r"v=TLSRPTv1[ \t]*;")
_FIELD = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9_.-]{0,31})=(?P<value>[\x20-\x3a\x3c-\x7e]+)")
_KNOWN_SCHEMES = ("mailto:", "https:")

# A record goes into every datagram. DNS allows more, but no use needs it.
_MAX_RECORD = 4_096


def record_name(domain: DomainName) -> DomainName:
    """Return the name of the TXT record that says where reports about *domain* go."""
    return domain.child("_smtp._tls")


def reporting_record(records: Sequence[bytes]) -> str | None:
    """Return the one record among *records* that asks for reports, None if there is none.

    Two of them count as none, so does one without a destination of a known kind.
    Fields that are not known are ignored. Where the destinations lead is not checked.
    """
    candidates = [text for text in map(_text, records) if _VERSION.match(text)]
    if len(candidates) != 1 or len(candidates[0]) > _MAX_RECORD:
        return None
    return candidates[0] if _has_destination(candidates[0]) else None


def _text(record: bytes) -> str:
    try:
        return record.decode("ascii")
    except UnicodeDecodeError:
        return ""


def _has_destination(record: str) -> bool:
    _version, *rest = (field.strip(" \t") for field in record.split(";"))
    if rest and not rest[-1]:
        rest.pop()  # the record may end in a semicolon
    fields = [_FIELD.fullmatch(field) for field in rest]
    if not all(fields):
        return False
    destinations = next((each["value"] for each in fields if each and each["name"] == "rua"), "")
    return any(uri.strip(" \t").lower().startswith(_KNOWN_SCHEMES) for uri in destinations.split(","))
