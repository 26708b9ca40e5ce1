"""What a certificate says about itself, for people to read. Nothing of it is believed or checked."""

from __future__ import annotations

import datetime
import hashlib
from dataclasses import dataclass

from requiretls_plugin.certificate.der import public_key_info
from requiretls_plugin.certificate.name_match import leaf_names
from requiretls_plugin.certificate.reading import UNREADABLE, read_certificate

# A certificate can have thousands of names; nobody reads them.
_MAX_NAMES = 10


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """The names in a certificate, who issued it, until when, and its digests.

    *issuer* and *expires* are None if the certificate cannot be read, *tlsa* is
    None if it has no public key: the TLSA record `3 1 1` that would match it.
    """

    sha256: str
    names: tuple[str, ...]
    issuer: str | None
    expires: datetime.datetime | None
    tlsa: str | None


def facts_of(certificate: bytes) -> CertificateFacts:
    """Return what *certificate*, as DER, says."""
    key = public_key_info(certificate)
    presented = leaf_names(certificate)
    common = (presented.common_name,) if presented.common_name is not None else ()
    issuer, expires = _issuer_and_end(certificate)
    return CertificateFacts(
        sha256=hashlib.sha256(certificate).hexdigest(),
        names=(presented.dns_ids or common)[:_MAX_NAMES],
        issuer=issuer,
        expires=expires,
        tlsa=f"3 1 1 {hashlib.sha256(key).hexdigest()}" if key is not None else None,
    )


def _issuer_and_end(certificate: bytes) -> tuple[str, datetime.datetime] | tuple[None, None]:
    readable = read_certificate(certificate)
    if readable is None:
        return None, None
    try:
        return readable.issuer.rfc4514_string(), readable.not_valid_after_utc
    except UNREADABLE:  # both are read when they are asked for
        return None, None
