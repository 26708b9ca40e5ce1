"""Read a certificate that a stranger sent, or say that it cannot be read.

Everything that the library raises for broken bytes ends here.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import load_der_public_key

# Warning: where warnings are errors, a certificate that a later version of the library
# will refuse (such as one with the serial number 0) is refused today.
UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    Warning,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


def read_certificate(der: bytes) -> x509.Certificate | None:
    """Return the certificate in *der*, its subject and extensions known to be readable.

    None if it cannot be read. Nothing it says is believed or checked; its key
    and signature algorithm may still be unknown to the library.
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
        _ = certificate.extensions, certificate.subject
    except UNREADABLE:
        return None
    return certificate


def read_public_key(public_key_info: bytes) -> PublicKeyTypes | None:
    """Return the key in a subjectPublicKeyInfo, None if it cannot be read."""
    try:
        return load_der_public_key(public_key_info)
    except UNREADABLE:
        return None
