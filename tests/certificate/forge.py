"""Certificates of every kind, also those no library wants to make: version 1, SHA-1, odd numbers."""

from __future__ import annotations

import functools
import itertools
import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)

Period = tuple[datetime, datetime]
"""When a certificate begins and ceases to be valid."""

USUAL: Period = (NOW - 30 * DAY, NOW + 60 * DAY)
EXPIRED: Period = (NOW - 60 * DAY, NOW - DAY)

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

_serial_numbers = itertools.count(1000)


@functools.cache
def ec_key(number: int = 0) -> ec.EllipticCurvePrivateKey:
    """Return a key that is the same for the same *number*."""
    return ec.derive_private_key(0x1234567 + number, ec.SECP256R1())


@functools.cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return a key that is made once for each length."""
    return rsa.generate_private_key(65537, bits)


@dataclass(frozen=True)
class Issued:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: Key

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)


def spki(key: Key) -> bytes:
    """Return the subjectPublicKeyInfo of *key*, points uncompressed."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def subject(common_name: str | None) -> x509.Name:
    """Return a name with one common name, or none."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else [])


def dns_names(*names: str) -> x509.SubjectAlternativeName:
    """Return the extension with DNS-IDs; they are not checked."""
    return x509.SubjectAlternativeName([x509.DNSName(name) for name in names])


def key_usage(*, sign: bool = True, certificates: bool = False) -> x509.KeyUsage:
    """Return the extension with digitalSignature and keyCertSign as given."""
    return x509.KeyUsage(sign, False, False, False, False, certificates, certificates, False, False)


CA_BASIC = x509.BasicConstraints(ca=True, path_length=None)
SERVER = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
CLIENT = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])


def certificate(
    name: str | None,
    key: Key,
    issuer: Issued | None = None,
    extensions: Iterable[x509.ExtensionType] = (),
    *,
    critical: Iterable[x509.ExtensionType] = (),
    valid: Period = USUAL,
) -> Issued:
    """Return a certificate with exactly these extensions, signed by *issuer* or itself."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject(name))
        .issuer_name(issuer.certificate.subject if issuer else subject(name))
        .public_key(key.public_key())
        .serial_number(next(_serial_numbers))
        .not_valid_before(valid[0])
        .not_valid_after(valid[1])
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    for extension in critical:
        builder = builder.add_extension(extension, critical=True)
    signer = issuer.key if issuer else key
    digest = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return Issued(builder.sign(signer, digest), key)


def authority(
    name: str,
    key: Key,
    issuer: Issued | None = None,
    *,
    path_length: int | None = None,
    valid: Period = USUAL,
) -> Issued:
    """Return a CA as CAs are: basicConstraints, keyUsage, key identifiers."""
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    above = x509.AuthorityKeyIdentifier.from_issuer_public_key((issuer.key if issuer else key).public_key())
    critical = [x509.BasicConstraints(ca=True, path_length=path_length), key_usage(certificates=True)]
    return certificate(name, key, issuer, [own, above], critical=critical, valid=valid)


def server(
    issuer: Issued, *names: str, number: int = 9, common_name: str | None = None, valid: Period = USUAL
) -> Issued:
    """Return a server's certificate as CAs issue them, with *names* as DNS-IDs."""
    key = ec_key(number)
    above = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
    extensions: list[x509.ExtensionType] = [SERVER, key_usage(), above]
    if names:
        extensions.append(dns_names(*names))
    return certificate(common_name, key, issuer, extensions, valid=valid)


def element(tag: int, *content: bytes) -> bytes:
    """Return one DER element."""
    body = b"".join(content)
    if len(body) < 0x80:
        return bytes([tag, len(body)]) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + body


def elements(content: bytes) -> list[bytes]:
    """Return the DER elements that *content* consists of."""
    found = []
    while content:
        start, length = 2, content[1]
        if length & 0x80:
            start += length & 0x7F
            length = int.from_bytes(content[2:start], "big")
        found.append(content[: start + length])
        content = content[start + length :]
    return found


def inside(encoded: bytes) -> bytes:
    """Return the content of one DER element."""
    return encoded[2 + (encoded[1] & 0x7F if encoded[1] & 0x80 else 0) :]


ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
ECDSA_SHA1 = bytes.fromhex("300906072a8648ce3d0401")
RSA_SHA1 = bytes.fromhex("300d06092a864886f70d0101050500")
RSA_SHA256 = bytes.fromhex("300d06092a864886f70d01010b0500")
INTEGER, BIT_STRING, SEQUENCE, VERSION = 0x02, 0x03, 0x30, 0xA0
SERIAL_NUMBER, SIGNATURE, KEY = 0, 1, 5


def resigned(
    issued: Issued,
    signer: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
    *,
    version_1: bool = False,
    sha_1: bool = False,
    serial_number: bytes | None = None,
    public_key_info: bytes | None = None,
) -> bytes:
    """Return the certificate with some fields changed, signed again, as DER."""
    version, *fields = elements(inside(elements(inside(issued.der))[0]))
    by_rsa = isinstance(signer, rsa.RSAPrivateKey)
    algorithm = (RSA_SHA1 if by_rsa else ECDSA_SHA1) if sha_1 else (RSA_SHA256 if by_rsa else ECDSA_SHA256)
    fields[SIGNATURE] = algorithm
    if serial_number is not None:
        fields[SERIAL_NUMBER] = element(INTEGER, serial_number)
    if public_key_info is not None:
        fields[KEY] = public_key_info
    to_be_signed = element(SEQUENCE, *(fields[: KEY + 1] if version_1 else [version, *fields]))
    digest = hashes.SHA1() if sha_1 else hashes.SHA256()
    if isinstance(signer, rsa.RSAPrivateKey):
        signature = signer.sign(to_be_signed, padding.PKCS1v15(), digest)
    else:
        signature = signer.sign(to_be_signed, ec.ECDSA(digest))
    return element(SEQUENCE, to_be_signed, algorithm, element(BIT_STRING, b"\0", signature))


def in_der(issued: Issued | bytes) -> bytes:
    """Return a certificate as DER."""
    return issued if isinstance(issued, bytes) else issued.der


def chain_of(*issued: Issued | bytes) -> tuple[bytes, ...]:
    """Return certificates as a server sends them, in DER."""
    return tuple(map(in_der, issued))


def pem(chain: Sequence[bytes]) -> str:
    """Return *chain* as a PEM file has it."""
    return "".join(ssl.DER_cert_to_PEM_cert(der) for der in chain)
