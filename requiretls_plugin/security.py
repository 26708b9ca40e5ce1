"""What a session was proved to be, in stable words."""

from __future__ import annotations

import enum


class Security(enum.Enum):
    """What a session was proved to be. The values are part of the outside surface."""

    DANE = "dane"
    """Authenticated by DANE (RFC 7672)."""
    DNSSEC_PKIX = "dnssec-pkix"
    """Name from a DNSSEC-secure MX RRset, authenticated by PKIX."""
    STS_PKIX = "sts-pkix"
    """Name from an MTA-STS policy, authenticated by PKIX."""
    IMPLICIT_PKIX = "implicit-pkix"
    """The recipient domain itself for want of MX records, authenticated by PKIX."""
    NAMED_PKIX = "named-pkix"
    """A server the operator named, authenticated by PKIX."""
    ENCRYPTED = "encrypted"
    """TLS with nobody authenticated."""
    CLEARTEXT = "cleartext"
