"""TXT records at _smtp._tls (RFC 8460 section 3)."""

from __future__ import annotations

from requiretls_plugin.observe.tlsrpt_record import reporting_record
from tests.fuzz.parts import SEPARATOR


def target(data: bytes) -> None:
    """One of the records, printable but for tabs, or none; alone it is the same."""
    records = data.split(SEPARATOR)
    record = reporting_record(records)
    if record is not None:
        assert record.encode() in records
        assert record.replace("\t", " ").isprintable()
        assert reporting_record([record.encode()]) == record
