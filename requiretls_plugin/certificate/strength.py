"""Is a certificate strong enough, and made for a server?

OpenSSL decides whether a chain hangs together; through pyOpenSSL it is not told
how strong keys and signatures have to be, nor what the chain is for. These
checks add both, as OpenSSL has them at security level 2 for purpose sslserver.
"""

from __future__ import annotations

from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, SignatureAlgorithmOID

from requiretls_plugin.certificate.der import public_key_info
from requiretls_plugin.certificate.reading import read_public_key

# 112 bits of security: NIST SP 800-57 part 1, tables 2 and 3.
MIN_RSA_BITS = 2048
MIN_EC_BITS = 224
MIN_DIGEST_OCTETS = 28

# With these a signature is checked in less than a millisecond. With the exponent that its maker likes
# best, an RSA key of 3072 bits takes six, and so do the kinds of keys that nobody uses any more.
MAX_RSA_BITS = 8192
MAX_EXPONENT_BITS = 32

_WITHOUT_DIGEST = (SignatureAlgorithmOID.ED25519, SignatureAlgorithmOID.ED448)


def weakness_of_key(certificate: bytes) -> str | None:
    """Return why the key of the certificate in DER is too weak, None if it is strong enough.

    A key of an unknown kind counts as weak, as nothing is known about it.
    """
    key = read_public_key(public_key_info(certificate) or b"")
    match key:
        case rsa.RSAPublicKey():
            return _too_few(key.key_size, MIN_RSA_BITS)
        case ec.EllipticCurvePublicKey():
            return _too_few(key.curve.key_size, MIN_EC_BITS)
        case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
            return None
    return "its key is of a kind that cannot be judged"


def burden_of_key(key: PublicKeyTypes | None) -> str | None:
    """Return why no signature is to be checked with *key*, None if that is quick; not how strong it is.

    None for *key* is one that could not be read.
    """
    match key:
        case rsa.RSAPublicKey():
            modest = key.key_size <= MAX_RSA_BITS and key.public_numbers().e.bit_length() <= MAX_EXPONENT_BITS
            return None if modest else "its key takes too long to check signatures with"
        case ec.EllipticCurvePublicKey() | ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
            return None
    return "its key is of a kind that cannot be judged"


def _too_few(bits: int, minimum: int) -> str | None:
    return f"its key has {bits} bits, fewer than {minimum}" if bits < minimum else None


def weakness_of_signature(certificate: x509.Certificate) -> str | None:
    """Return why the signature on *certificate* is too weak (MD5, SHA-1), None if it is not."""
    if certificate.signature_algorithm_oid in _WITHOUT_DIGEST:
        return None
    try:
        digest = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        digest = None
    if digest is None:
        return "its signature is of a kind that cannot be judged"
    if digest.digest_size < MIN_DIGEST_OCTETS:
        return f"its signature is made over {digest.name.upper()}"
    return None


def weakness_of_path(path: Sequence[x509.Certificate], *, signed_above: bool) -> str | None:
    """Return what makes a path, the leaf first, too weak or unfit for a server; None if nothing.

    The last certificate is the trust anchor, on whose signature nothing hangs,
    unless *signed_above* says that a key above it is the anchor.
    """
    for depth, certificate in enumerate(path):
        weakness = weakness_of_key(certificate.public_bytes(Encoding.DER)) or _unfit(certificate, depth)
        if weakness is None and (signed_above or depth < len(path) - 1):
            weakness = weakness_of_signature(certificate)
        if weakness is not None:
            return f"certificate {depth} of the chain: {weakness}"
    return None


def _unfit(certificate: x509.Certificate, depth: int) -> str | None:
    """Return why a certificate is not for TLS servers, as OpenSSL's purpose sslserver has it."""
    for extension in certificate.extensions:
        match extension.value:
            # anyExtendedKeyUsage is not enough for OpenSSL, and RFC 5280 lets us require more.
            case x509.ExtendedKeyUsage() as usages if ExtendedKeyUsageOID.SERVER_AUTH not in usages:
                return "its extended key usage excludes servers"
            case x509.KeyUsage() as usage if depth == 0 and not (
                usage.digital_signature or usage.key_encipherment or usage.key_agreement
            ):
                return "its key usage excludes TLS"
    return None
