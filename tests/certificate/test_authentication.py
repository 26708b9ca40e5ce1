"""What is asked of a certificate decides who has to vouch for it."""

from __future__ import annotations

import pytest

from requiretls_plugin.certificate.authentication import AskedOfDANE, AskedOfPKIX, authenticate
from requiretls_plugin.certificate.verdict import Authenticated, Mechanism, NotAuthenticated
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.reason import Reason
from tests.certificate.combinations import other
from tests.certificate.forge import NOW, chain_of, server
from tests.certificate.shapes import MX, good, intermediate, root
from tests.certificate.tlsa import tlsa

REFERENCE = DomainName(MX)
CHAIN = chain_of(good(), intermediate(), root())
MATCHING = AskedOfDANE((tlsa("3 1 1", good().der),), (REFERENCE,))
MISMATCHING = AskedOfDANE((tlsa("3 1 1", other().der),), (REFERENCE,))
NAMED = AskedOfPKIX((REFERENCE,))
MISNAMED = AskedOfPKIX((DomainName("other.test"), DomainName("another.test")))


def test_dane_alone_needs_no_trust_anchor() -> None:
    """The record vouches."""
    verdict = authenticate(CHAIN, NOW, dane=MATCHING)

    assert verdict == Authenticated(Mechanism.DANE, MATCHING.records[0], None)


@pytest.mark.requirement("7672-3.2.2-1")
def test_dane_needs_the_name_where_a_trust_anchor_matches_and_says_which_it_was() -> None:
    """DANE-TA vouches for the CA, not for the server, and only while the certificates are valid."""
    asked = AskedOfDANE((tlsa("2 0 1", root().der),), (REFERENCE,))
    of_another = AskedOfDANE(asked.records, (DomainName("other.test"),))

    assert authenticate(CHAIN, NOW, dane=asked) == Authenticated(Mechanism.DANE, asked.records[0], REFERENCE)
    assert authenticate(CHAIN, NOW, dane=of_another) == NotAuthenticated(
        Reason.CERTIFICATE_NAME_MISMATCH, "the certificate is not for other.test"
    )


def test_pkix_alone_needs_the_name() -> None:
    """In a chain that the handshake verified."""
    verdict = authenticate(CHAIN, NOW, pkix=NAMED, chain_trusted=True)

    assert verdict == Authenticated(Mechanism.PKIX, None, REFERENCE)


@pytest.mark.requirement("7672-3.2-1")
def test_attack_a_chain_of_the_web_does_not_replace_a_match() -> None:
    """With DANE asked, PKIX success is nothing."""
    verdict = authenticate(CHAIN, NOW, dane=MISMATCHING, pkix=NAMED, chain_trusted=True)

    assert verdict == NotAuthenticated(Reason.DANE_MISMATCH, "no TLSA record matches the certificate")


UNTRUSTED = NotAuthenticated(Reason.CERTIFICATE_NOT_TRUSTED, "no trust anchor vouches for the certificate")


def test_attack_a_chain_of_which_nobody_said_that_it_was_verified_is_not_trusted() -> None:
    """A caller who forgets to tell gets a refusal."""
    assert authenticate(CHAIN, NOW, pkix=NAMED) == UNTRUSTED


@pytest.mark.parametrize(
    ("pkix", "chain_trusted", "expected"),
    [
        pytest.param(
            MISNAMED,
            True,
            NotAuthenticated(
                Reason.CERTIFICATE_NAME_MISMATCH, "the certificate is not for other.test, another.test"
            ),
            id="name differs",
        ),
        pytest.param(NAMED, False, UNTRUSTED, id="chain not verified"),
    ],
)
@pytest.mark.parametrize("dane", [None, MATCHING], ids=["PKIX alone", "beside a DANE match"])
def test_pkix_that_was_asked_has_to_pass(
    dane: AskedOfDANE | None, pkix: AskedOfPKIX, *, chain_trusted: bool, expected: NotAuthenticated
) -> None:
    """A DANE match does not replace it."""
    assert authenticate(CHAIN, NOW, dane=dane, pkix=pkix, chain_trusted=chain_trusted) == expected


def test_with_both_asked_and_passed_the_verdict_is_danes() -> None:
    """It says the more."""
    verdict = authenticate(CHAIN, NOW, dane=MATCHING, pkix=NAMED, chain_trusted=True)

    assert verdict == Authenticated(Mechanism.DANE, MATCHING.records[0], None)


@pytest.mark.parametrize("allowed", [True, False])
@pytest.mark.requirement("6125-6.4.4-1")
def test_a_common_name_counts_for_pkix_where_the_asker_allows_it(*, allowed: bool) -> None:
    """RFC 8689 does, RFC 8461 does not."""
    chain = chain_of(server(root(), common_name=MX), root())

    verdict = authenticate(chain, NOW, pkix=AskedOfPKIX((REFERENCE,), allowed), chain_trusted=True)

    assert isinstance(verdict, Authenticated) == allowed


def test_attack_nothing_asked_authenticates_nobody() -> None:
    """An empty demand is a mistake, not a success."""
    assert authenticate(CHAIN, NOW, chain_trusted=True) == NotAuthenticated(
        Reason.CERTIFICATE_NOT_TRUSTED, "nothing was asked of the certificate"
    )


@pytest.mark.parametrize("asked", [{"dane": MATCHING}, {"pkix": NAMED}], ids=["DANE", "PKIX"])
def test_a_server_without_certificate_is_nobody(asked: dict[str, AskedOfDANE | AskedOfPKIX]) -> None:
    """Whatever the handshake said."""
    dane, pkix = asked.get("dane"), asked.get("pkix")
    assert dane is None or isinstance(dane, AskedOfDANE)
    assert pkix is None or isinstance(pkix, AskedOfPKIX)

    assert isinstance(authenticate((), NOW, dane=dane, pkix=pkix, chain_trusted=True), NotAuthenticated)
