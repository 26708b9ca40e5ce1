"""What a session really proved, and what it still lacks."""

from __future__ import annotations

from dataclasses import dataclass, field

from requiretls_plugin.certificate.verdict import Authenticated, NotAuthenticated, Verdict
from requiretls_plugin.policy.demand import Demand
from requiretls_plugin.policy.refusal import Refusal, Sureness
from requiretls_plugin.reason import Reason
from requiretls_plugin.security import Security
from requiretls_plugin.smtp_extension import Extensions


@dataclass(frozen=True, slots=True)
class TLSProof:
    """A finished handshake: what was negotiated and what the certificate was worth.

    *verdict* is None where nobody had to be authenticated. *certificate* is the
    server's own, as DER; None if it showed none.
    """

    version: str
    cipher: str
    certificate_sha256: str | None
    verdict: Verdict | None
    certificate: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Proof:
    """What one session proved: its TLS, None for cleartext, and the last EHLO reply.

    *extensions* are those of the EHLO reply read after the handshake where
    there was one; what the server said before counts for nothing.
    """

    tls: TLSProof | None = None
    extensions: Extensions = field(default_factory=Extensions)

    @property
    def authenticated(self) -> bool:
        """Whether the server proved who it is."""
        return self.tls is not None and isinstance(self.tls.verdict, Authenticated)

    @property
    def requiretls_offered(self) -> bool:
        """Whether REQUIRETLS was offered where it counts: inside TLS (RFC 8689 section 4.2.1 step 5)."""
        return self.tls is not None and self.extensions.requiretls


def tls_shortfall(demand: Demand, tls: TLSProof | None) -> Refusal | None:
    """Return what the transport lacks of *demand*, None if it has all."""
    host = str(demand.host)
    if tls is None:
        if not demand.needs_tls:
            return None
        return Refusal(Reason.STARTTLS_NOT_OFFERED, Sureness.PROVED, "no TLS session", host)
    if isinstance(tls.verdict, NotAuthenticated):
        return Refusal(tls.verdict.reason, Sureness.PROVED, tls.verdict.why, host)
    if demand.authenticated and not isinstance(tls.verdict, Authenticated):
        return Refusal(Reason.CERTIFICATE_NOT_TRUSTED, Sureness.PROVED, "nothing was verified", host)
    return None


def shortfall(demand: Demand, proof: Proof) -> Refusal | None:
    """Return what a session lacks of *demand*, None if the message may go."""
    refusal = tls_shortfall(demand, proof.tls)
    if refusal is not None:
        return refusal
    if demand.requiretls and not proof.requiretls_offered:
        why = "the server does not offer REQUIRETLS inside TLS"
        return Refusal(Reason.REQUIRETLS_NOT_OFFERED, Sureness.PROVED, why, str(demand.host))
    return None


def security_of(demand: Demand, proof: Proof) -> Security:
    """Return what the session is, by what was proved in it."""
    if proof.tls is None:
        return Security.CLEARTEXT
    if demand.authenticated and proof.authenticated:
        return demand.security
    return Security.ENCRYPTED
