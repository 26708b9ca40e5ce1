"""A server's chain and the TLSA records that DNS has for it (RFC 7672 section 3)."""

from __future__ import annotations

from datetime import UTC, datetime

from requiretls_plugin.certificate.dane_match import match_dane, usable_records
from requiretls_plugin.certificate.verdict import Authenticated, NotAuthenticated
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.policy.answers import TLSARecord
from tests.fuzz.parts import SEPARATOR
from tests.fuzz.targets import certificate

# When the certificates among the seeds are valid.
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def target(data: bytes) -> None:
    """A verdict; who is authenticated matched one of the usable records. Parts begin with r or c.

    A record is its rdata (RFC 6698 section 2.1), a certificate its DER.
    """
    found = data.split(SEPARATOR)
    records = [
        TLSARecord(part[1], part[2], part[3], part[4:])
        for part in found
        if part[:1] == b"r" and len(part) > 3
    ]
    chain = [part[1:] for part in found if part[:1] == b"c"]
    verdict = match_dane(chain, records, certificate.NAMES, NOW)
    if isinstance(verdict, NotAuthenticated):
        assert verdict.why.isprintable()
        return
    assert isinstance(verdict, Authenticated)
    assert verdict.tlsa in usable_records(records)
    assert (verdict.name is None) == (verdict.tlsa is not None and verdict.tlsa.usage == 3)
    assert verdict.name is None or isinstance(verdict.name, DomainName)
