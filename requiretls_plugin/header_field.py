"""The header field TLS-Required (RFC 8689 section 3), read and written; fields removed without a trace.

Everything works on bytes and only on the header section of the whole message:
neither the body nor the header of an attached message counts. Line ends may be
LF or CRLF; a lone CR ends no line.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable

from requiretls_plugin.errors import InvalidHeaderField

TLS_REQUIRED = "TLS-Required"

# Postfix keeps its tag in this field of the queued message, and leaves it there.
REQUIRE_TLS_ESMTP = "Require-TLS-ESMTP"

_LINE_END = re.compile(rb"\r?\n")

_BLANK_LINE = re.compile(rb"^\r?\n", re.MULTILINE)

# [FWS] "No" of the RFC, FWS without its obsolete forms. Trailing blanks, comments and
# anything else lie outside this grammar and are not honoured.
_NO = re.compile(rb"(?:(?:[ \t]*\r?\n)?[ \t]+)?no(?:\r?\n)?", re.IGNORECASE)


@functools.cache
def _field_pattern(name: str) -> re.Pattern[bytes]:
    """Return what matches a field, its continuation lines and line end; group 1 stands before the colon."""
    return re.compile(
        rb"^%s([ \t]*):((?:[^\n]*\n[ \t])*[^\n]*(?:\n|\Z))" % re.escape(name.encode("ascii")),
        re.IGNORECASE | re.MULTILINE,
    )


def body_offset(content: bytes) -> int:
    """Return where the blank line that ends the header section begins; the length if there is none."""
    blank = _BLANK_LINE.search(content)
    return blank.start() if blank else len(content)


def field_values(header: bytes, name: str) -> list[bytes]:
    """Return the values of all fields called *name*, unfolded and without blanks around them."""
    matches = _field_pattern(name).finditer(header, 0, body_offset(header))
    return [b"".join(match[2].splitlines()).strip() for match in matches]


def read_tls_required(header: bytes) -> bool:
    """Return whether a header section, or a whole message, says `TLS-Required: No`.

    False means that it has no such field. Raises InvalidHeaderField if the
    field is there and is not exactly one with the value No: then nothing is
    relaxed. A blank before the colon or behind No is outside the grammar.
    """
    fields = list(_field_pattern(TLS_REQUIRED).finditer(header, 0, body_offset(header)))
    if not fields:
        return False
    if len(fields) > 1:
        raise InvalidHeaderField(f"{len(fields)} TLS-Required fields where one is allowed")
    if fields[0][1] or not _NO.fullmatch(fields[0][2]):
        said = fields[0][2].rstrip(b"\r\n")[:40]
        raise InvalidHeaderField(f"TLS-Required field says {said!r}, only No alone has a meaning")
    return True


def says_require_tls_esmtp(header: bytes) -> bool:
    """Return whether a header section says `Require-TLS-ESMTP: yes`, whoever wrote it."""
    return b"yes" in {value.lower() for value in field_values(header, REQUIRE_TLS_ESMTP)}


def strip_fields(content: bytes, names: Iterable[str]) -> bytes:
    """Return *content* without the header fields called *names*, continuation lines included.

    Every other byte stays as it is. Also gone are spellings with blanks before
    the colon.
    """
    end = body_offset(content)
    header = content[:end]
    stripped = header
    for name in names:
        stripped = _field_pattern(name).sub(b"", stripped)
    return content if stripped == header else stripped + content[end:]


def prepend_field(content: bytes, name: str, value: str) -> bytes:
    """Return *content* with a field put above all others, which no DKIM signature minds.

    A message that begins with a blank has no header, as that line would continue
    the new field; a blank line keeps the two apart. Not checked: *name* and
    *value* have to be ASCII without line ends.
    """
    first = _LINE_END.search(content)
    line_end = first[0] if first else b"\n"
    gap = line_end if content.startswith((b" ", b"\t")) else b""
    return f"{name}: {value}".encode("ascii") + line_end + gap + content


def with_tls_required_no(content: bytes) -> bytes:
    """Return *content* with exactly one `TLS-Required: No` (RFC 8689 sections 3 and 4.3).

    A message that has it is returned as it is; fields that say something else go.
    """
    try:
        if read_tls_required(content):
            return content
    except InvalidHeaderField:
        content = strip_fields(content, [TLS_REQUIRED])
    return prepend_field(content, TLS_REQUIRED, "No")
