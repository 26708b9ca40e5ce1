"""TXT records at _mta-sts (RFC 8461 section 3.1)."""

from __future__ import annotations

from requiretls_plugin.errors import InvalidSTSRecord
from requiretls_plugin.policy.sts_record import parse_sts_record
from tests.fuzz.parts import SEPARATOR


def target(data: bytes) -> None:
    """A record, none, or our error; its id alone is the same record."""
    try:
        record = parse_sts_record(data.split(SEPARATOR))
    except InvalidSTSRecord as refused:
        assert str(refused).isprintable()
        return
    if record is not None:
        assert parse_sts_record([b"unrelated", f"v=STSv1; id={record.id};".encode()]) == record
