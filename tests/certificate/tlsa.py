"""Make TLSA records."""

from __future__ import annotations

import hashlib

from requiretls_plugin.certificate.der import public_key_info
from requiretls_plugin.policy.answers import TLSARecord


def tlsa(parameters: str, certificate: bytes) -> TLSARecord:
    """Return the record that `2 0 1`, `3 1 1` and so on make of a certificate in DER."""
    usage, selector, matching_type = map(int, parameters.split())
    data = (public_key_info(certificate) or b"") if selector else certificate
    return TLSARecord(usage, selector, matching_type, associated(matching_type, data))


def associated(matching_type: int, data: bytes) -> bytes:
    """Return *data* itself or its digest."""
    match matching_type:
        case 1:
            return hashlib.sha256(data).digest()
        case 2:
            return hashlib.sha512(data).digest()
    return data
