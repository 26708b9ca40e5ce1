"""Why a message did not travel, or a host was passed over, in stable words.

The values are part of the outside surface: reports, JSON and logs use them.
`docs/reasons.md` explains each.
"""

from __future__ import annotations

import enum


class Reason(enum.Enum):
    """One cause, named for machines."""

    REQUIRETLS_NOT_OFFERED = "requiretls-not-offered"
    STARTTLS_NOT_OFFERED = "starttls-not-offered"
    STARTTLS_REFUSED = "starttls-refused"
    TLS_HANDSHAKE_FAILED = "tls-handshake-failed"
    CERTIFICATE_NOT_TRUSTED = "certificate-not-trusted"
    CERTIFICATE_EXPIRED = "certificate-expired"
    CERTIFICATE_NAME_MISMATCH = "certificate-name-mismatch"
    DANE_MISMATCH = "dane-mismatch"
    NAME_NOT_PROVEN = "name-not-proven"
    STS_MISMATCH = "sts-mismatch"
    STS_UNAVAILABLE = "sts-unavailable"
    DNS_FAILURE = "dns-failure"
    DNSSEC_BOGUS = "dnssec-bogus"
    NULL_MX = "null-mx"
    NO_SUCH_DOMAIN = "no-such-domain"
    HOST_UNREACHABLE = "host-unreachable"
    REJECTED = "rejected"
    CONNECTION_LOST = "connection-lost"
    PROTOCOL_VIOLATION = "protocol-violation"
    CONFIGURATION = "configuration"
