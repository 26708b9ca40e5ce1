"""Every shape of chain: by the anchor's digest, by the anchor itself, by the server's key."""

from __future__ import annotations

import pytest

from requiretls_plugin.certificate.dane_match import match_dane
from requiretls_plugin.certificate.verdict import Authenticated, Mechanism, NotAuthenticated, Verdict
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.reason import Reason
from tests.certificate.forge import NOW
from tests.certificate.shapes import MX, Shape, shapes
from tests.certificate.tlsa import tlsa

REFERENCE = DomainName(MX)

every_shape = pytest.mark.parametrize("shape", shapes(), ids=str)


def failure_of(verdict: Verdict) -> Reason | None:
    return verdict.reason if isinstance(verdict, NotAuthenticated) else None


def test_there_are_thirty_three_shapes() -> None:
    """None was lost on the way."""
    assert [shape.label[:2] for shape in shapes()] == [f"{number:02}" for number in range(1, 34)]


@every_shape
@pytest.mark.requirement("7672-3.1.2-1", "7672-3.1.2-2", "7672-3.1.2-3", "7671-5.2.1-1")
def test_the_digest_of_an_anchor_vouches_for_the_shapes_that_hang_together(shape: Shape) -> None:
    """`2 0 1` needs the anchor on the wire, and a path that OpenSSL and we accept."""
    record = tlsa("2 0 1", shape.anchor)

    verdict = match_dane(shape.chain, [record], [REFERENCE], NOW)

    assert failure_of(verdict) == (shape.failure if shape.anchor_is_sent else Reason.DANE_MISMATCH)
    if isinstance(verdict, Authenticated):
        assert verdict == Authenticated(Mechanism.DANE, record, REFERENCE)


@every_shape
@pytest.mark.requirement("7671-5.2.2-1")
def test_an_anchor_in_dns_vouches_for_the_same_shapes_sent_or_not(shape: Shape) -> None:
    """`2 0 0` brings the anchor along."""
    verdict = match_dane(shape.chain, [tlsa("2 0 0", shape.anchor)], [REFERENCE], NOW)

    assert failure_of(verdict) == shape.failure


@every_shape
@pytest.mark.requirement("7672-3.1.1-1", "7672-3.1.1-2", "7672-3.2.1-1", "7671-5.1-2", "7671-4.2-1")
def test_a_matching_key_is_enough_whatever_else_the_certificate_says(shape: Shape) -> None:
    """`3 1 1` looks at no name, date, usage or issuer; only a weak key fails."""
    record = tlsa("3 1 1", shape.chain[0])

    verdict = match_dane(shape.chain, [record], [], NOW)

    assert failure_of(verdict) == shape.end_entity
    if isinstance(verdict, Authenticated):
        assert verdict == Authenticated(Mechanism.DANE, record, None)
