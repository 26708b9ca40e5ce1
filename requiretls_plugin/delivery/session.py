"""One session with one host: opened for a demand, then carrying messages that make no other."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from requiretls_plugin.certificate.tls_context import TLSContexts
from requiretls_plugin.delivery.connection import Connection
from requiretls_plugin.delivery.content import Content
from requiretls_plugin.delivery.envelope import Envelope
from requiretls_plugin.delivery.farewell import Farewells
from requiretls_plugin.delivery.handshake import shown
from requiretls_plugin.delivery.outcome import Receipt
from requiretls_plugin.delivery.proof import Proof, security_of, shortfall
from requiretls_plugin.delivery.server_reply import ServerReply
from requiretls_plugin.delivery.transaction import After, Done, Send, SendContent, Transaction
from requiretls_plugin.errors import ProtocolViolation
from requiretls_plugin.message import Message, Recipient
from requiretls_plugin.policy.demand import Demand
from requiretls_plugin.policy.next_hop import UNIXSocket
from requiretls_plugin.policy.refusal import Refusal, Sureness
from requiretls_plugin.reason import Reason
from requiretls_plugin.reply import Reply
from requiretls_plugin.security import Security
from requiretls_plugin.server_address import IPAddress
from requiretls_plugin.settings import DeliverySettings

# RFC 5321 section 4.5.3.1.8: every server takes this many.
MAX_RECIPIENTS = 100


@dataclass(frozen=True, slots=True)
class SessionRules:
    """What all sessions of an engine share."""

    hostname: str
    delivery: DeliverySettings
    contexts: TLSContexts
    farewells: Farewells = field(default_factory=Farewells)


@dataclass(slots=True)
class Handover:
    """What a session made of one message, recipient by recipient.

    *replies* has the server's last word for each recipient that it gave one
    for. *unsendable* are those whom it could not even be asked about, with the
    reply in its place. *doubtful* are those for whom it may have taken the
    message, although it did not say so. *refusal* says what ended the session
    before it said all; None if nothing did.
    """

    replies: dict[Recipient, ServerReply] = field(default_factory=dict)
    unsendable: dict[Recipient, Reply] = field(default_factory=dict)
    doubtful: set[Recipient] = field(default_factory=set)
    refusal: Refusal | None = None

    @property
    def never_begun(self) -> bool:
        """Whether the session was over before the server took up the message."""
        return not (self.doubtful or self.unsendable) and all(
            reply.code == 421 for reply in self.replies.values()
        )


class Session:
    """A session whose demand is met. Make one with `opening.open_session`."""

    def __init__(
        self,
        demand: Demand,
        connection: Connection,
        proof: Proof,
        address: IPAddress | UNIXSocket,
        rules: SessionRules,
    ) -> None:
        missing = shortfall(demand, proof)
        if missing is not None:
            raise RuntimeError(f"a session must not exist: {missing.why}")
        self.demand = demand
        self.proof = proof
        self.address = address
        self.opened = self.last_used = time.monotonic()
        self.messages = 0
        """How many messages it was given so far."""
        self.trial: Refusal | None = None
        """What an MTA-STS policy in mode `testing` would have refused it for."""
        self._connection = connection
        self._limits = rules.delivery
        self._farewells = rules.farewells
        self._after = After.REUSE
        self._receipt: Receipt | None = None

    @property
    def usable(self) -> bool:
        """Whether another message may be tried."""
        return self._after is not After.HANG_UP and self._connection.alive

    @property
    def security(self) -> Security:
        """What was proved."""
        return security_of(self.demand, self.proof)

    @property
    def sends_requiretls(self) -> bool:
        """Whether REQUIRETLS is given on MAIL."""
        return self.demand.pass_requiretls and self.proof.requiretls_offered

    def receipt(self, sts_policy_id: str | None = None) -> Receipt:
        """Return what a delivery over this session proves."""
        if self._receipt is None or self._receipt.sts_policy_id != sts_policy_id:
            self._receipt = self._make_receipt(sts_policy_id)
        return self._receipt

    def _make_receipt(self, sts_policy_id: str | None) -> Receipt:
        tls = self.proof.tls
        if tls is None:
            return Receipt(str(self.address), sts_policy_id=sts_policy_id)
        record = getattr(tls.verdict, "tlsa", None)
        return Receipt(
            address=str(self.address),
            tls_version=tls.version,
            cipher=tls.cipher,
            certificate_sha256=tls.certificate_sha256,
            tlsa=str(record) if record is not None else None,
            sts_policy_id=sts_policy_id,
        )

    async def send(self, message: Message, recipients: Sequence[Recipient], content: Content) -> Handover:
        """Hand *message* to the server for *recipients*; nothing is raised for what it answers.

        *content* is that of *message*. Recipients the server has no room for in
        one transaction are sent in the next one; none is sent twice.
        """
        self.messages += 1
        envelope = Envelope(
            message,
            content,
            self.proof.extensions,
            requiretls=self.sends_requiretls,
            headers_only=self._asks_for_headers_only(message),
        )
        done = Handover()
        left = []
        for recipient in recipients:
            refusal = envelope.refusal(recipient)
            if refusal is None:
                left.append(recipient)
            else:
                done.unsendable[recipient] = refusal
        while left and done.refusal is None and self._after is not After.HANG_UP:
            transaction = Transaction(
                envelope,
                tuple(left[:MAX_RECIPIENTS]),
                lmtp=self.demand.lmtp,
                reset=self._after is After.RESET,
            )
            done.refusal = await self._transact(transaction, content)
            done.replies |= transaction.replies
            done.doubtful.update(transaction.doubtful)
            left = [*transaction.crowded_out, *left[MAX_RECIPIENTS:]]
        return done

    def _asks_for_headers_only(self, message: Message) -> bool:
        relaxed = self.demand.pass_requiretls and not self.sends_requiretls
        return relaxed and message.return_path is not None

    async def _transact(self, transaction: Transaction, content: Content) -> Refusal | None:
        """Carry *transaction* through; return what broke the session, if anything did."""
        self._after, refusal = After.HANG_UP, None  # until the end is reached
        try:
            self._after = await self._talk(transaction, content)
        except ProtocolViolation as violation:
            refusal = self._refusal(Reason.PROTOCOL_VIOLATION, str(violation))
        except OSError as error:
            refusal = self._refusal(Reason.CONNECTION_LOST, shown(error))
        finally:
            # Cancelled in the middle of a transaction it is of no use either: the next message
            # must not meet the replies to this one.
            self.last_used = time.monotonic()
            if self._after is After.HANG_UP:
                self._connection.abort()
        return refusal

    async def _talk(self, transaction: Transaction, content: Content) -> After:
        timeout = self._limits.command_timeout
        action: object = transaction.start()
        while True:
            match action:
                case Done(after):
                    return after
                case Send(data):
                    self._connection.say(data)
                case SendContent():
                    timeout = self._limits.data_timeout
                    await self._connection.say_content(content.wire, timeout)
            action = transaction.hear(await self._connection.read_reply(timeout))

    def _refusal(self, reason: Reason, why: str) -> Refusal:
        return Refusal(reason, Sureness.NOT_JUDGED, why, str(self.demand.host))

    async def quit(self) -> None:
        """Say QUIT and wait until the connection is closed."""
        await self._farewells.say(self._connection)
