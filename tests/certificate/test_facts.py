"""What certificates say about themselves, for people to read."""

from __future__ import annotations

from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from requiretls_lab.authority import Leaf
from requiretls_lab.laboratory import Laboratory
from requiretls_plugin.certificate.facts import facts_of
from tests.certificate.forge import authority, ec_key, server


def test_names_issuer_end_and_the_record_that_would_match(lab: Laboratory) -> None:
    """All of a good certificate."""
    certificate = lab.authority.issue(Leaf(("mx.facts.test", "mail.facts.test")))

    facts = facts_of(certificate.leaf.public_bytes(Encoding.DER))

    assert facts.names == ("mx.facts.test", "mail.facts.test")
    assert facts.issuer == "CN=requiretls lab root"
    assert facts.expires == certificate.leaf.not_valid_after_utc
    assert facts.tlsa is not None
    assert facts.tlsa.split() == certificate.tlsa("3 1 1").split()


def test_without_alternative_names_the_common_name_is_shown(lab: Laboratory) -> None:
    """As it stands there; whether it counts is not the question."""
    certificate = lab.authority.issue(Leaf(common_name="mx.facts.test"))

    assert facts_of(certificate.leaf.public_bytes(Encoding.DER)).names == ("mx.facts.test",)


def test_attack_a_name_of_the_wrong_kind_gives_facts() -> None:
    """A common name of bits and not of text: only who reads the issuer finds out."""
    good = server(authority("Authority", ec_key(1)), "mx.facts.test").der
    text, bits = b"\x0c\x09Authority", b"\x03\x09\x00uthority"
    assert good.count(text) == 1

    facts = facts_of(good.replace(text, bits))

    assert facts.names == ("mx.facts.test",)
    assert (facts.issuer, facts.expires) == (None, None)


@given(st.binary(max_size=200))
def test_attack_any_bytes_give_facts(data: bytes) -> None:
    """Unreadable ones have a digest and nothing else."""
    facts = facts_of(data)

    assert len(facts.sha256) == 64
    assert (facts.names, facts.issuer, facts.expires) == ((), None, None)
