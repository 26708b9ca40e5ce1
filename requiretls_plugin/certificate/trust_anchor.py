"""Is there a path from the server's certificate to one trust anchor, and is it good enough?

The path is OpenSSL's to find and to check: signatures, dates, CA flags, path
lengths, name constraints, critical extensions. Strength, purpose and, above
all, names are not OpenSSL's here; `strength` and `name_match` have those.

The wheels of cryptography, on which pyOpenSSL stands, carry an OpenSSL of their
own. It is not the one that `ssl` shakes hands with, it is updated with the
wheel and not with the system, and it reads no openssl.cnf; certificates go from
one to the other as DER.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from OpenSSL import crypto

from requiretls_plugin.certificate.der import public_key_info
from requiretls_plugin.certificate.reading import read_certificate, read_public_key
from requiretls_plugin.certificate.strength import burden_of_key, weakness_of_path
from requiretls_plugin.certificate.verdict import NotAuthenticated, reason_of_verify_code
from requiretls_plugin.reason import Reason


@dataclass(frozen=True, slots=True)
class TrustAnchor:
    """A certificate in DER at which a path may end.

    *signed_above*: the anchor is a bare key, and this certificate is signed by it.
    """

    certificate: bytes
    signed_above: bool = False


def path_failure(chain: Sequence[bytes], anchor: TrustAnchor, now: datetime) -> NotAuthenticated | None:
    """Return why no good path leads from the first certificate of *chain* to *anchor*, None if one does.

    *now* is an aware datetime at which every certificate of the path has to be
    valid. The other certificates of *chain* may come in any order, and those
    that cannot be read, or have keys that take long, are passed over. Names are
    not looked at.
    """
    if burden := _burden(anchor.certificate):
        return NotAuthenticated(Reason.CERTIFICATE_NOT_TRUSTED, f"the trust anchor: {burden}")
    try:
        path = _verified_path(chain, anchor, now)
    except crypto.X509StoreContextError as error:
        code, depth, message = error.errors
        return NotAuthenticated(reason_of_verify_code(code), f"certificate {depth} of the chain: {message}")
    except crypto.Error:
        path = []
    certificates = [certificate for der in path if (certificate := read_certificate(der)) is not None]
    if not certificates or len(certificates) != len(path):
        return NotAuthenticated(Reason.CERTIFICATE_NOT_TRUSTED, "a certificate cannot be read")
    weakness = weakness_of_path(certificates, signed_above=anchor.signed_above)
    return NotAuthenticated(Reason.CERTIFICATE_NOT_TRUSTED, weakness) if weakness else None


def _verified_path(chain: Sequence[bytes], anchor: TrustAnchor, now: datetime) -> list[bytes]:
    """Return the path that OpenSSL finds, the leaf first, as DER; raises its errors if it finds none."""
    store = crypto.X509Store()
    store.add_cert(_load(anchor.certificate))
    store.set_time(now.astimezone(UTC))
    # The anchor is one because the domain says so, self-signed or not.
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
    context = crypto.X509StoreContext(store, _load(chain[0]), list(_loadable(chain[1:])))
    path = context.get_verified_chain()
    return [crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate) for certificate in path]


def _load(der: bytes) -> crypto.X509:
    return crypto.load_certificate(crypto.FILETYPE_ASN1, der)


def _loadable(chain: Iterable[bytes]) -> Iterator[crypto.X509]:
    for der in chain:
        with suppress(crypto.Error):
            if _burden(der) is None:
                yield _load(der)


def _burden(certificate: bytes) -> str | None:
    return burden_of_key(read_public_key(public_key_info(certificate) or b""))


def is_signed_by(certificate: bytes, public_key_info: bytes) -> bool:
    """Tell whether the signature on a certificate in DER is one by the key; its strength is not looked at."""
    signed, key = read_certificate(certificate), read_public_key(public_key_info)
    if signed is None or burden_of_key(key) is not None:
        return False
    try:
        _verify(signed, key)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True


def _verify(signed: x509.Certificate, key: object) -> None:
    """Raise unless the signature on *signed* is one by *key*."""
    signature, content = signed.signature, signed.tbs_certificate_bytes
    parameters, digest = signed.signature_algorithm_parameters, signed.signature_hash_algorithm
    match key, parameters:
        case rsa.RSAPublicKey(), padding.PKCS1v15() | padding.PSS() if digest is not None:
            key.verify(signature, content, parameters, digest)
        case ec.EllipticCurvePublicKey(), ec.ECDSA():
            key.verify(signature, content, parameters)
        case ((ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey()), None):
            key.verify(signature, content)
        case _:
            raise InvalidSignature
