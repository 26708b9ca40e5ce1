"""The `_mta-sts` TXT record: that a domain has an MTA-STS policy, and which (RFC 8461 section 3.1)."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from requiretls_plugin.errors import InvalidSTSRecord

# RFC 8461 section 3.1: records that do not begin like this are thrown away before they are
# counted. The grammar would allow a blank before this semicolon, the rule for throwing away
# does not; such a record is no MTA-STS record to us.
_BEGINNING = b"v=STSv1;"

_BLANKS = " \t"
_FIELD = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,31})=([\x21-\x3a\x3c\x3e-\x7e]+)")
_ID = re.compile(r"[A-Za-z0-9]{1,32}")


@dataclass(frozen=True, slots=True)
class STSRecord:
    """The `_mta-sts` record of a domain; *id* names one instance of its policy.

    Ids have no order; two of them are equal or not.
    """

    id: str


def parse_sts_record(texts: Sequence[bytes]) -> STSRecord | None:
    """Return the MTA-STS record among *texts*, or None if there is none.

    *texts* are all TXT records found at the name, the strings of each joined
    without a separator. Raises InvalidSTSRecord if there are several, or if
    the one there is breaks the grammar; to RFC 8461 section 3.1 both mean that
    no policy is available.
    """
    candidates = [text for text in texts if text.startswith(_BEGINNING)]
    if not candidates:
        return None
    if len(candidates) > 1:
        raise InvalidSTSRecord(f"{len(candidates)} MTA-STS records where only one may be")
    return STSRecord(_policy_id(candidates[0]))


# The same record is read for every message to its domain. What was refused is not remembered.
@functools.lru_cache(maxsize=512)
def _policy_id(record: bytes) -> str:
    try:
        text = record.decode("ascii")
    except UnicodeDecodeError:
        raise InvalidSTSRecord("the MTA-STS record has octets outside US-ASCII") from None
    # Split and strip, no pattern with blanks on both sides of the semicolon: that one would take
    # quadratic time on a record of nothing but blanks.
    _version, *fields = (field.strip(_BLANKS) for field in text.split(";"))
    if fields[-1] == "":
        fields.pop()
    elif text[-1] in _BLANKS:
        raise InvalidSTSRecord("the MTA-STS record ends in a blank that follows no semicolon")
    known: dict[str, str] = {}
    for field in fields:
        match = _FIELD.fullmatch(field)
        if match is None:
            raise InvalidSTSRecord(f"the MTA-STS record has a malformed field: {field[:80]!r}")
        # RFC 8461 section 3.1: of a repeated field, the first counts.
        known.setdefault(match[1], match[2])
    if not _ID.fullmatch(known.get("id", "")):
        raise InvalidSTSRecord("the MTA-STS record has no id of 1 to 32 letters and digits")
    return known["id"]
