"""The opening of an outgoing SMTP or LMTP session as a state table. No sockets, no clock.

    [HANDSHAKE →] GREETING → EHLO → STARTTLS → HANDSHAKE → EHLO_IN_TLS → [AUTH →] READY
                              └→ HELO → READY

Rules of this file: what a reply leads to stands in `AFTER`, and a pair that is
missing there ends the talk. READY is reached only where the demand is met; no
MAIL command is made here (see `transaction`), and no password leaves before
the server proved who it is.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from requiretls_plugin.delivery.authentication_exchange import AuthenticationExchange
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
    AUTH = enum.auto()
    READY = enum.auto()
    REFUSED = enum.auto()


@dataclass(frozen=True, slots=True)
class Say:
    """Send this, then hand in the next reply."""

    line: bytes


@dataclass(frozen=True, slots=True)
class Listen:
    """Hand in the next reply."""


@dataclass(frozen=True, slots=True)
class Handshake:
    """Start TLS now, then call `Opening.secured`."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The demand is met; this is what was proved."""

    proof: Proof


Action = Say | Listen | Handshake | Ready | Refusal

# What a reply's first digit leads to. Where a pair is missing, the reply ends the talk.
AFTER: Mapping[tuple[Step, int], Step] = {
    (Step.GREETING, 2): Step.EHLO,
    (Step.EHLO, 2): Step.STARTTLS,  # if it is offered
    (Step.EHLO, 5): Step.HELO,
    (Step.HELO, 2): Step.READY,
    (Step.STARTTLS, 2): Step.HANDSHAKE,
    (Step.STARTTLS, 4): Step.READY,  # in cleartext, if the demand allows it
    (Step.STARTTLS, 5): Step.READY,
    (Step.EHLO_IN_TLS, 2): Step.READY,
    (Step.AUTH, 2): Step.READY,
    (Step.AUTH, 3): Step.AUTH,
}


class Opening:
    """The talk from the connection until MAIL may be said, or until it is clear that it may not.

    Do what the last action says, hand in what came of it, until the action is
    `Ready` or a `Refusal`. Without *use_starttls* it does not even try, after a
    handshake broke that nothing depends on.
    """

    def __init__(self, demand: Demand, hostname: str, *, use_starttls: bool = True) -> None:
        self.step = Step.GREETING
        self.greeted_as: str | None = None
        """What the server called itself in its last EHLO reply."""
        self._demand = demand
        self._hostname = hostname.encode("ascii")
        self._use_starttls = use_starttls
        self._tls: TLSProof | None = None
        self._extensions = Extensions()
        self._exchange: AuthenticationExchange | None = None

    def start(self) -> Action:
        """Return what to do on a new connection."""
        if self._demand.implicit_tls:
            self.step = Step.HANDSHAKE
            return Handshake()
        return Listen()

    def secured(self, tls: TLSProof) -> Action:
        """Return what to do after the handshake ended as *tls* says.

        Everything heard before it is forgotten (RFC 3207 section 4.2).
        """
        if self.step is not Step.HANDSHAKE:
            raise RuntimeError(f"no handshake was due at {self.step}")
        self._tls = tls
        self._extensions = Extensions()
        refusal = tls_shortfall(self._demand, tls)
        if refusal is not None:
            return self._refuse(refusal)
        if self._demand.implicit_tls:
            self.step = Step.GREETING
            return Listen()
        return self._say_ehlo()

    def hear(self, reply: ServerReply) -> Action:
        """Return what to do after *reply*."""
        heard, step = self.step, AFTER.get((self.step, reply.kind))
        if step is None or reply.code == 421:
            return self._refused_by(reply)
        if heard in (Step.EHLO, Step.EHLO_IN_TLS) and reply.kind == 2:
            self._extensions = Extensions.parse(reply.lines)
            self.greeted_as = reply.lines[0].partition(" ")[0]
        match step:
            case Step.EHLO:
                return self._say_ehlo()
            case Step.HELO:
                return self._say_helo(reply)
            case Step.STARTTLS:
                return self._say_starttls()
            case Step.HANDSHAKE:
                self.step = step
                return Handshake()
            case Step.AUTH:
                return self._say_more(reply)
        if heard is Step.STARTTLS:
            return self._without_tls(reply)
        return self._met()

    def _say_ehlo(self) -> Say:
        self.step = Step.EHLO if self._tls is None else Step.EHLO_IN_TLS
        return Say(b"%s %s\r\n" % (b"LHLO" if self._demand.lmtp else b"EHLO", self._hostname))

    def _say_helo(self, reply: ServerReply) -> Action:
        # RFC 8689 section 4.2.1 step 3 wants EHLO; after HELO there is no STARTTLS either.
        if self._demand.lmtp or self._demand.needs_tls:
            return self._refused_by(reply)
        self.step = Step.HELO
        return Say(b"HELO %s\r\n" % self._hostname)

    def _say_starttls(self) -> Action:
        if self._extensions.starttls and self._use_starttls:
            self.step = Step.STARTTLS
            return Say(b"STARTTLS\r\n")
        return self._met()

    def _without_tls(self, reply: ServerReply) -> Action:
        if not self._demand.needs_tls:
            return self._met()
        sureness = Sureness.PROVED if reply.kind == 5 else Sureness.NOT_JUDGED
        return self._refuse(self._refusal(Reason.STARTTLS_REFUSED, sureness, reply))

    def _met(self) -> Action:
        """Return Ready if the demand is met by what was proved, and a login where one is due before that."""
        proof = Proof(self._tls, self._extensions)
        refusal = shortfall(self._demand, proof)
        if refusal is not None:
            return self._refuse(refusal)
        if self._demand.login is not None and self.step is not Step.AUTH:
            return self._say_auth(proof)
        self.step = Step.READY
        return Ready(proof)

    def _say_auth(self, proof: Proof) -> Action:
        assert self._demand.login is not None  # looked at by the only caller
        if not proof.authenticated:
            raise RuntimeError("a password is only for a server that proved who it is")
        exchange = AuthenticationExchange.choose(self._demand.login, self._extensions.auth_mechanisms)
        if exchange is None:
            why = "the server offers neither AUTH PLAIN nor AUTH LOGIN"
            return self._refuse(
                Refusal(Reason.CONFIGURATION, Sureness.OUR_FAULT, why, str(self._demand.host))
            )
        self._exchange, self.step = exchange, Step.AUTH
        return Say(exchange.begin())

    def _say_more(self, reply: ServerReply) -> Action:
        line = self._exchange.answer() if self._exchange is not None else None
        return self._refused_by(reply) if line is None else Say(line)

    def _refused_by(self, reply: ServerReply) -> Refusal:
        """Return what a reply means that ends the talk."""
        if reply.kind in (2, 3):
            return self._refuse(self._refusal(Reason.PROTOCOL_VIOLATION, Sureness.NOT_JUDGED, reply))
        if reply.kind == 5 and self.step is Step.EHLO:
            # No EHLO, so no STARTTLS on offer.
            return self._refuse(self._refusal(Reason.STARTTLS_NOT_OFFERED, Sureness.PROVED, reply))
        if reply.kind == 5 and self.step is Step.AUTH:
            return self._refuse(self._refusal(Reason.CONFIGURATION, Sureness.OUR_FAULT, reply))
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
