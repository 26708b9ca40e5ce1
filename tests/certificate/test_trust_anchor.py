"""Signatures by bare keys."""

from __future__ import annotations

import functools
from itertools import permutations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from requiretls_plugin.certificate.trust_anchor import is_signed_by
from tests.certificate.forge import USUAL, ec_key, spki, subject
from tests.certificate.shapes import good

SIGNERS = ["RSA", "RSA-PSS", "P-256", "P-384", "Ed25519", "Ed448"]


@functools.cache
def signer(kind: str, number: int) -> CertificateIssuerPrivateKeyTypes:
    """Return one of two keys of a kind."""
    match kind:
        case "RSA" | "RSA-PSS":
            return rsa.generate_private_key(65537, 2048)
        case "P-256":
            return ec_key(number)
        case "P-384":
            return ec.generate_private_key(ec.SECP384R1())
        case "Ed25519":
            return ed25519.Ed25519PrivateKey.generate()
    return ed448.Ed448PrivateKey.generate()


def key_info(kind: str, number: int = 0) -> bytes:
    public = signer(kind, number).public_key()
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@functools.cache
def signed(kind: str) -> bytes:
    """Return a certificate signed by the first key of a kind."""
    builder = x509.CertificateBuilder(
        subject("CA"), subject("leaf"), ec_key(9).public_key(), 1, *USUAL
    )  # issuer, subject, key, serial number, period
    digest = None if kind.startswith("Ed") else hashes.SHA256()
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
    one = builder.sign(signer(kind, 0), digest, rsa_padding=pss if kind == "RSA-PSS" else None)
    return one.public_bytes(Encoding.DER)


@pytest.mark.parametrize("kind", SIGNERS)
@pytest.mark.requirement("7671-5.2.3-1")
def test_a_signature_of_every_kind_is_known_by_its_key(kind: str) -> None:
    """RFC 7671 wants it for `2 1 0`."""
    assert is_signed_by(signed(kind), key_info(kind))


@pytest.mark.parametrize("kind", SIGNERS)
def test_attack_another_key_of_the_same_kind_has_not_signed_it(kind: str) -> None:
    """Nor has any key if the signature is changed."""
    changed = bytearray(signed(kind))
    changed[-1] ^= 1

    assert not is_signed_by(signed(kind), key_info(kind, 1))
    assert not is_signed_by(bytes(changed), key_info(kind))


@pytest.mark.parametrize(("kind", "other"), list(permutations(SIGNERS, 2)))
def test_attack_a_key_of_another_kind_has_not_signed_it(kind: str, other: str) -> None:
    """And asking does not raise."""
    assert not is_signed_by(signed(kind), key_info(other))


@pytest.mark.parametrize(
    "octets", [b"", b"\x30\x00", good().der], ids=["nothing", "an empty sequence", "a certificate"]
)
def test_attack_what_is_no_key_has_signed_nothing(octets: bytes) -> None:
    """And what is no certificate is not signed."""
    assert not is_signed_by(signed("P-256"), octets)
    assert not is_signed_by(octets[:20], spki(ec_key(0)))
