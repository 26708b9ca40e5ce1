"""Which cipher suites and versions of TLS a client of ours offers (RFC 7672 section 8.2, BCP 195)."""

from __future__ import annotations

import ssl
from collections.abc import Callable

import pytest

from requiretls_lab.laboratory import Laboratory
from requiretls_plugin.certificate.tls_context import TLSContexts
from requiretls_plugin.requirement import Requirement
from tests.delivery.delivering import deliver, in_words, message

CONTEXTS: list[Callable[[TLSContexts], ssl.SSLContext]] = [
    lambda contexts: contexts.pkix,
    lambda contexts: contexts.dane,
    lambda contexts: contexts.policy_host,
]
authenticating = pytest.mark.parametrize("context", CONTEXTS, ids=["PKIX", "DANE", "policy host"])


def offered_by(context: ssl.SSLContext) -> set[int]:
    """Return the numbers of the cipher suites in the ClientHello (RFC 8446 section 4.1.2)."""
    outgoing = ssl.MemoryBIO()
    session = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="mx.example")
    with pytest.raises(ssl.SSLWantReadError):
        session.do_handshake()
    hello = outgoing.read()
    session_id = 5 + 4 + 2 + 32  # record, handshake, version, random
    suites = session_id + 1 + hello[session_id]
    end = suites + 2 + int.from_bytes(hello[suites : suites + 2], "big")
    return {int.from_bytes(hello[at : at + 2], "big") for at in range(suites + 2, end, 2)}


def numbers_of(ciphers: str) -> set[int]:
    """Return the numbers of the suites that OpenSSL means by *ciphers*, before TLS 1.3."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers(f"{ciphers}:@SECLEVEL=0")
    return {cipher["id"] & 0xFFFF for cipher in context.get_ciphers() if cipher["protocol"] != "TLSv1.3"}


@pytest.mark.requirement("7672-8.2-2")
@authenticating
def test_no_anonymous_suite_is_offered_where_authentication_is_demanded(
    context: Callable[[TLSContexts], ssl.SSLContext],
) -> None:
    """A server without a certificate could be anybody."""
    anonymous = numbers_of("aNULL")
    assert anonymous
    assert offered_by(context(TLSContexts())) & anonymous == set()


# TLS_RSA_EXPORT_*, *_WITH_RC4_*, *_WITH_DES_*: gone from OpenSSL, so they have no names there any more.
EXPORT_RC4_AND_DES = {*range(0x0003, 0x000A), *range(0x000B, 0x001C), 0xC007, 0xC011}


@pytest.mark.requirement("8461-7.2-2", "7671-3-1")
@authenticating
def test_no_outdated_suite_is_offered_where_authentication_is_demanded(
    context: Callable[[TLSContexts], ssl.SSLContext],
) -> None:
    """RC4, export grade and no encryption at all (BCP 195), with no version before TLS 1.2."""
    made = context(TLSContexts())

    assert offered_by(made) & (numbers_of("eNULL") | EXPORT_RC4_AND_DES) == set()
    assert made.minimum_version == ssl.TLSVersion.TLSv1_2


@pytest.mark.requirement("7672-8.2-1")
@authenticating
def test_usual_suites_with_certificates_are_offered(context: Callable[[TLSContexts], ssl.SSLContext]) -> None:
    """Those of every server: ECDHE with RSA and with ECDSA."""
    offered = offered_by(context(TLSContexts()))

    for cipher in ("ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"):
        assert numbers_of(cipher) <= offered


@pytest.mark.requirement("7672-8.2-1")
def test_a_server_without_anonymous_suites_is_spoken_to(lab: Laboratory) -> None:
    """STARTTLS and DANE with nothing but certificates."""
    context = lab.destination("mx.dane.test").certificate.server_context()
    assert {cipher["auth"] for cipher in context.get_ciphers()} & {"auth-null"} == set()

    [outcome] = deliver(lab.settings(), message(Requirement.REQUIRED), "u@dane.test")

    assert in_words(outcome) == "delivered dane requiretls"
