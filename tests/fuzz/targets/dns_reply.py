"""A resolver's reply as it comes over the wire, TLSA records among others."""

from __future__ import annotations

import contextlib

import dns.exception
from dns.rdatatype import AAAA, CNAME, MX, NS, TLSA, TXT, A

from requiretls_plugin.certificate.dane_match import usable_records
from requiretls_plugin.policy.answers import Absent, Found, LookupFailed
from requiretls_plugin.policy.dns_cache import AnswerCache
from requiretls_plugin.policy.dns_reply import read_reply
from requiretls_plugin.policy.dns_wire import parse_message, read_message
from tests.fuzz.parts import choice
from tests.policy.dns_messages import query_for

TYPES = (TLSA, A, AAAA, MX, TXT, CNAME, NS)


def target(data: bytes) -> None:
    """An answer, or an error that the callers expect: DNSException; from `read_message` ValueError, too."""
    number, wire = choice(data)
    rdtype = TYPES[number % len(TYPES)]
    query = query_for("a.test", rdtype.name)
    query.id = int.from_bytes(wire[:2], "big")
    try:
        reply = parse_message(wire, rdtype)
    except dns.exception.DNSException:
        return
    judge(read_reply(reply, ad_counts=True), secure=True)
    try:
        reply = read_message(wire, query)
    except (dns.exception.DNSException, ValueError):
        return
    judge(read_reply(reply, ad_counts=False), secure=False)


def arrive(data: bytes) -> None:
    """Only read."""
    number, wire = choice(data)
    with contextlib.suppress(dns.exception.DNSException):
        read_reply(parse_message(wire, TYPES[number % len(TYPES)]), ad_counts=True)


def judge(answer: object, *, secure: bool) -> None:
    """Use *answer* as its readers do."""
    assert isinstance(answer, Found | Absent | LookupFailed)
    if isinstance(answer, LookupFailed):
        assert answer.why.isprintable()
        return
    assert secure or not answer.secure
    assert answer.ttl >= 0
    AnswerCache(lambda: 0.0).put("question", answer)
    if isinstance(answer, Found):
        assert answer.records
        assert all(str(record) is not None for record in answer.records)
        usable_records([record for record in answer.records if hasattr(record, "usage")])
