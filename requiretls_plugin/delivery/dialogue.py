"""The opening of an outgoing SMTP or LMTP session as a state table. No sockets, no clock.

    GREETING → EHLO → STARTTLS → HANDSHAKE → EHLO_IN_TLS → READY
                 └→ HELO ──────────────────────────────────┘

Rules of this file: what a reply leads to stands in `AFTER`, and a pair that is
missing there ends the talk. READY is reached only where the demand is met; no
MAIL command is made here (see `transaction`).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from requiretls_plugin.delivery.proof import Proof, TLSProof, shortfall, tls_shortfall
from requiretls_plugin.delivery.server_reply import ServerReply
from requiretls_plugin.policy.demand import Demand
from requiretls_plugin.policy.refusal import Refusal, Sureness
from requiretls_plugin.reason import Reason
from requiretls_plugin.smtp_extension import Extensions


class Step(enum.Enum):
    """Where an opening stands: what is waited for."""

    GREETING = enum.auto()
    EHLO = enum.auto()
    HELO = enum.auto()
    STARTTLS = enum.auto()
    HANDSHAKE = enum.auto()
    EHLO_IN_TLS = enum.auto()
    READY = enum.auto()
    REFUSED = enum.auto()


@dataclass(frozen=True, slots=True)
class Say:
    """Send this, then hand in the next reply."""

    line: bytes


@dataclass(frozen=True, slots=True)
class Handshake:
    """Start TLS now, then call `Opening.secured`."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The demand is met; this is what was proved."""

    proof: Proof


Action = Say | Handshake | Ready | Refusal

# What a reply's first digit leads to. Where a step is missing, the reply ends the talk.
AFTER: Mapping[tuple[Step, int], Step] = {
    (Step.GREETING, 2): Step.EHLO,
    (Step.EHLO, 2): Step.STARTTLS,  # or READY, see `_after_first_ehlo`
    (Step.EHLO, 5): Step.HELO,
    (Step.HELO, 2): Step.READY,
    (Step.STARTTLS, 2): Step.HANDSHAKE,
    (Step.STARTTLS, 4): Step.READY,  # in cleartext, if the demand allows it
    (Step.STARTTLS, 5): Step.READY,
    (Step.EHLO_IN_TLS, 2): Step.READY,
}


class Opening:
    """The talk from the greeting until MAIL may be said, or until it is clear that it may not.

    Do what the last action says, hand in what came of it, until the action is
    `Ready` or a `Refusal`. With *lmtp* it says LHLO; with *in_tls* the
    connection was wrapped in TLS before the greeting (RFC 8314). Without
    *use_starttls* it does not even try, after a handshake broke that nothing
    depends on.
    """

    def __init__(
        self,
        demand: Demand,
        hostname: str,
        *,
        lmtp: bool = False,
        in_tls: TLSProof | None = None,
        use_starttls: bool = True,
    ) -> None:
        self.step = Step.GREETING
        self._demand = demand
        self._lmtp = lmtp
        self._hostname = hostname.encode("ascii")
        self._tls = in_tls
        self._use_starttls = use_starttls
        self._extensions = Extensions()

    def hear(self, reply: ServerReply) -> Action:
        """Return what to do after *reply*."""
        step = AFTER.get((self.step, reply.kind))
        if step is None or reply.code == 421:
            return self._refused_by(reply)
        if self.step is Step.STARTTLS and step is Step.READY:
            return self._without_starttls(reply)
        match step:
            case Step.EHLO:
                return self._greet(Step.EHLO if self._tls is None else Step.EHLO_IN_TLS)
            case Step.HELO:
                return self._helo(reply)
            case Step.HANDSHAKE:
                self.step = step
                return Handshake()
            case Step.STARTTLS:
                self._extensions = Extensions.parse(reply.lines)
                return self._after_first_ehlo()
        self._extensions = Extensions.parse(reply.lines) if self.step is Step.EHLO_IN_TLS else Extensions()
        return self._ready()

    def secured(self, tls: TLSProof) -> Action:
        """Return what to do after the handshake ended as *tls* says.

        Everything heard before it is forgotten (RFC 3207 section 4.2).
        """
        if self.step is not Step.HANDSHAKE:
            raise RuntimeError(f"no handshake was due at {self.step}")
        self._extensions = Extensions()
        self._tls = tls
        refusal = tls_shortfall(self._demand, tls)
        if refusal is not None:
            return self._refuse(refusal)
        return self._greet(Step.EHLO_IN_TLS)

    def _greet(self, step: Step) -> Say:
        self.step = step
        return Say(b"%s %s\r\n" % (b"LHLO" if self._lmtp else b"EHLO", self._hostname))

    def _helo(self, reply: ServerReply) -> Action:
        # RFC 8689 section 4.2.1 step 3 wants EHLO; HELO could list no STARTTLS either.
        if self._lmtp or self._demand.encryption or self._demand.authenticated:
            return self._refused_by(reply)
        self.step = Step.HELO
        return Say(b"HELO %s\r\n" % self._hostname)

    def _after_first_ehlo(self) -> Action:
        if self._extensions.starttls and self._use_starttls:
            self.step = Step.STARTTLS
            return Say(b"STARTTLS\r\n")
        return self._ready()

    def _without_starttls(self, reply: ServerReply) -> Action:
        if not (self._demand.encryption or self._demand.authenticated):
            return self._ready()
        sureness = Sureness.PROVED if reply.kind == 5 else Sureness.NOT_JUDGED
        return self._refuse(self._refusal(Reason.STARTTLS_REFUSED, sureness, reply))

    def _ready(self) -> Action:
        proof = Proof(self._tls, self._extensions)
        refusal = shortfall(self._demand, proof)
        if refusal is not None:
            return self._refuse(refusal)
        self.step = Step.READY
        return Ready(proof)

    def _refused_by(self, reply: ServerReply) -> Refusal:
        if reply.kind == 5 and self.step is Step.EHLO:
            # No EHLO, so no STARTTLS on offer.
            return self._refuse(self._refusal(Reason.STARTTLS_NOT_OFFERED, Sureness.PROVED, reply))
        if reply.kind == 3 or (reply.kind == 2 and reply.code != 220):
            return self._refuse(self._refusal(Reason.PROTOCOL_VIOLATION, Sureness.NOT_JUDGED, reply))
        # Only these two greetings say that no mail will ever be taken here (RFC 7504, RFC 5321 section 3.1).
        for_good = self.step is Step.GREETING and reply.code in (521, 554)
        sureness = Sureness.PROVED if for_good else Sureness.NOT_JUDGED
        return self._refuse(self._refusal(Reason.REJECTED, sureness, reply))

    def _refusal(self, reason: Reason, sureness: Sureness, reply: ServerReply) -> Refusal:
        answer = reply.as_reply() if reply.kind in (4, 5) else None
        why = f"{self.step.name.lower().replace('_', ' ')} was answered {reply.quoted!r}"
        return Refusal(reason, sureness, why, str(self._demand.host), answer, reply.quoted)

    def _refuse(self, refusal: Refusal) -> Refusal:
        self.step = Step.REFUSED
        return refusal
