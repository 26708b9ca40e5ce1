"""What judging a certificate chain came to: authenticated, and by what, or not, and why."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.policy.answers import TLSARecord
from requiretls_plugin.reason import Reason


class Mechanism(enum.Enum):
    """What vouches for a server's certificate."""

    DANE = "dane"
    """A DNSSEC-secure TLSA record (RFC 7672)."""
    PKIX = "pkix"
    """A trust anchor of ours (RFC 5280)."""


@dataclass(frozen=True, slots=True)
class Authenticated:
    """The server is the one we looked for.

    *tlsa* is the record that matched, if DANE was asked for. *name* is the
    reference name the certificate carries; None where names do not count,
    which is DANE-EE(3) alone (RFC 7672 section 3.1.1).
    """

    by: Mechanism
    tlsa: TLSARecord | None
    name: DomainName | None


@dataclass(frozen=True, slots=True)
class NotAuthenticated:
    """Nothing proves who the server is.

    *reason* is one of the four about certificates; *why* is one line for people,
    which never repeats text that a stranger chose.
    """

    reason: Reason
    why: str


Verdict = Authenticated | NotAuthenticated

# X509_V_ERR_CERT_HAS_EXPIRED and X509_V_ERR_HOSTNAME_MISMATCH of OpenSSL's x509_vfy.h. Every other
# code says in one way or another that no trusted chain could be built.
_REASONS = {10: Reason.CERTIFICATE_EXPIRED, 62: Reason.CERTIFICATE_NAME_MISMATCH}


def reason_of_verify_code(code: int) -> Reason:
    """Return the reason for one of OpenSSL's X509_V_ERR codes."""
    return _REASONS.get(code, Reason.CERTIFICATE_NOT_TRUSTED)


# How far a chain came before it failed: the furthest failure is the one worth telling.
_PROGRESS = (
    Reason.DANE_MISMATCH,
    Reason.CERTIFICATE_NOT_TRUSTED,
    Reason.CERTIFICATE_EXPIRED,
    Reason.CERTIFICATE_NAME_MISMATCH,
)


def furthest(*failures: NotAuthenticated) -> NotAuthenticated:
    """Return the failure that came closest to success; among equals the first. Give at least one."""
    return max(failures, key=lambda failure: _PROGRESS.index(failure.reason))
