"""What is strong enough, and made for a server: the bounds of keys, signatures and purposes."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.types import (
    CertificateIssuerPrivateKeyTypes,
    CertificatePublicKeyTypes,
    PublicKeyTypes,
)
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from requiretls_plugin.certificate.strength import (
    burden_of_key,
    weakness_of_key,
    weakness_of_path,
    weakness_of_signature,
)
from tests.certificate.forge import (
    CLIENT,
    ECDSA_SHA256,
    SERVER,
    USUAL,
    certificate,
    ec_key,
    resigned,
    rsa_key,
    subject,
)
from tests.certificate.shapes import good, intermediate, root

EDWARDS = ed25519.Ed25519PrivateKey.generate()


def signed(
    key: CertificatePublicKeyTypes,
    signer: CertificateIssuerPrivateKeyTypes,
    digest: hashes.SHA224 | hashes.SHA256 | None,
) -> x509.Certificate:
    """Return a certificate for *key*, signed by *signer* over *digest*."""
    builder = x509.CertificateBuilder(
        subject("CA"), subject("leaf"), key, 1, *USUAL
    )  # issuer, subject, key, serial number, period
    return builder.sign(signer, digest)


@pytest.mark.parametrize(
    ("key", "weakness"),
    [
        pytest.param(rsa_key(1024), "its key has 1024 bits, fewer than 2048", id="RSA 1024"),
        pytest.param(rsa_key(2047), "its key has 2047 bits, fewer than 2048", id="RSA 2047"),
        pytest.param(rsa_key(2048), None, id="RSA 2048"),
        pytest.param(
            ec.generate_private_key(ec.SECP192R1()), "its key has 192 bits, fewer than 224", id="EC 192"
        ),
        pytest.param(ec.generate_private_key(ec.SECP224R1()), None, id="EC 224"),
        pytest.param(EDWARDS, None, id="Ed25519"),
        pytest.param(ed448.Ed448PrivateKey.generate(), None, id="Ed448"),
        pytest.param(
            x25519.X25519PrivateKey.generate(), "its key is of a kind that cannot be judged", id="X25519"
        ),
    ],
)
@pytest.mark.requirement("6698-4.1-4")
def test_a_key_is_strong_from_112_bits_of_security_on(
    key: CertificateIssuerPrivateKeyTypes | x25519.X25519PrivateKey, weakness: str | None
) -> None:
    """As at OpenSSL's security level 2."""
    der = signed(key.public_key(), ec_key(), hashes.SHA256()).public_bytes(Encoding.DER)

    assert weakness_of_key(der) == weakness


def test_attack_the_key_of_what_is_no_certificate_counts_as_weak() -> None:
    """Nothing is known about it."""
    assert weakness_of_key(b"no certificate") == "its key is of a kind that cannot be judged"


def public_rsa_key(*, bits: int, exponent: int) -> rsa.RSAPublicKey:
    """Return a key that nobody has the other half of."""
    return rsa.RSAPublicNumbers(exponent, 2**bits - 1).public_key()


TAKES_LONG = "its key takes too long to check signatures with"


@pytest.mark.parametrize(
    ("key", "burden"),
    [
        pytest.param(public_rsa_key(bits=8192, exponent=65_537), None, id="RSA 8192"),
        pytest.param(public_rsa_key(bits=8193, exponent=65_537), TAKES_LONG, id="RSA 8193"),
        pytest.param(public_rsa_key(bits=2048, exponent=2**32 - 1), None, id="an exponent of 32 bits"),
        pytest.param(public_rsa_key(bits=2048, exponent=2**32 + 1), TAKES_LONG, id="an exponent of 33 bits"),
        pytest.param(ec.generate_private_key(ec.SECP521R1()).public_key(), None, id="EC 521"),
        pytest.param(EDWARDS.public_key(), None, id="Ed25519"),
        pytest.param(
            x25519.X25519PrivateKey.generate().public_key(),
            "its key is of a kind that cannot be judged",
            id="X25519",
        ),
        pytest.param(None, "its key is of a kind that cannot be judged", id="unreadable"),
    ],
)
def test_attack_a_key_with_which_a_signature_takes_long_is_not_tried(
    key: PublicKeyTypes | None, burden: str | None
) -> None:
    """Whoever sends a chain could hold up all other mail with it."""
    assert burden_of_key(key) == burden


UNKNOWN_ALGORITHM = ECDSA_SHA256[:-1] + b"\x7f"


@pytest.mark.parametrize(
    ("certificate", "weakness"),
    [
        pytest.param(
            x509.load_der_x509_certificate(resigned(good(), ec_key(2), sha_1=True)),
            "its signature is made over SHA1",
            id="SHA-1",
        ),
        pytest.param(signed(ec_key().public_key(), ec_key(), hashes.SHA224()), None, id="SHA-224"),
        pytest.param(good().certificate, None, id="SHA-256"),
        pytest.param(signed(ec_key().public_key(), EDWARDS, None), None, id="Ed25519"),
        pytest.param(
            x509.load_der_x509_certificate(good().der.replace(ECDSA_SHA256, UNKNOWN_ALGORITHM)),
            "its signature is of a kind that cannot be judged",
            id="an algorithm nobody knows",
        ),
    ],
)
def test_a_signature_is_strong_from_224_bits_of_digest_on(
    certificate: x509.Certificate, weakness: str | None
) -> None:
    """Which leaves out MD5 and SHA-1; what cannot be judged counts as weak."""
    assert weakness_of_signature(certificate) == weakness


def usage(*, sign: bool = False, encipher: bool = False, agree: bool = False) -> x509.KeyUsage:
    """Return the extension with the three uses that TLS has for a key, and keyCertSign."""
    return x509.KeyUsage(sign, False, encipher, False, agree, True, False, False, False)


@pytest.mark.parametrize(
    ("extension", "unfit"),
    [
        pytest.param(usage(sign=True), None, id="digitalSignature"),
        pytest.param(usage(encipher=True), None, id="keyEncipherment"),
        pytest.param(usage(agree=True), None, id="keyAgreement"),
        pytest.param(usage(), "its key usage excludes TLS", id="keyCertSign alone"),
        pytest.param(SERVER, None, id="serverAuth"),
        pytest.param(CLIENT, "its extended key usage excludes servers", id="clientAuth"),
        pytest.param(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]),
            "its extended key usage excludes servers",
            id="anyExtendedKeyUsage",
        ),
    ],
)
def test_a_servers_certificate_is_for_servers(extension: x509.ExtensionType, unfit: str | None) -> None:
    """One of the uses is enough, as for OpenSSL's purpose sslserver."""
    leaf = certificate("leaf", ec_key(9), root(), [extension]).certificate

    weakness = weakness_of_path([leaf, root().certificate], signed_above=False)

    assert weakness == (unfit and f"certificate 0 of the chain: {unfit}")


def test_a_ca_need_not_be_for_servers_by_its_key_usage_but_by_its_extended_one() -> None:
    """Its key signs certificates, for whatever its extended key usage allows."""
    clients = certificate("Clients", ec_key(3), root(), [usage(), CLIENT]).certificate
    path = [good().certificate, intermediate().certificate, root().certificate]

    assert weakness_of_path(path, signed_above=False) is None
    assert weakness_of_path([path[0], clients, path[2]], signed_above=False) == (
        "certificate 1 of the chain: its extended key usage excludes servers"
    )
