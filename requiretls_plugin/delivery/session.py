"""One session with one host: opened for a demand, then carrying messages that make no other."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from requiretls_plugin.certificate.tls_context import TLSContexts
from requiretls_plugin.delivery.connection import Connection
from requiretls_plugin.delivery.dialogue import Handshake, Opening, Ready, Say
from requiretls_plugin.delivery.envelope import Envelope
from requiretls_plugin.delivery.handshake import refusal_of, shake_hands, shown
from requiretls_plugin.delivery.outcome import Receipt
from requiretls_plugin.delivery.proof import Proof, security_of, shortfall
from requiretls_plugin.delivery.server_reply import ServerReply
from requiretls_plugin.delivery.transaction import Done, Listen, Send, SendContent, Transaction
from requiretls_plugin.errors import ProtocolViolation
from requiretls_plugin.message import Message, Recipient
from requiretls_plugin.policy.demand import Demand
from requiretls_plugin.policy.refusal import Refusal, Sureness
from requiretls_plugin.reason import Reason
from requiretls_plugin.security import Security
from requiretls_plugin.server_address import IPAddress
from requiretls_plugin.settings import DeliverySettings

# RFC 5321 section 4.5.3.1.8: every server takes this many.
MAX_RECIPIENTS = 100

# How many addresses of one host are tried; RFC 5321 section 5.1 asks for two at the least.
MAX_ADDRESSES = 5

# How long to wait for the answer to QUIT; nothing depends on it.
QUIT_TIMEOUT = 5.0


@dataclass(frozen=True, slots=True)
class SessionRules:
    """What all sessions of an engine share."""

    hostname: str
    delivery: DeliverySettings
    contexts: TLSContexts


@dataclass(frozen=True, slots=True)
class Handover:
    """What a session made of one message.

    *replies* has the server's last word for each recipient that it gave one
    for. *refusal* says what ended the session before it said all; the fate of
    the recipients without a reply is unknown if *content_sent*.
    """

    replies: dict[Recipient, ServerReply] = field(default_factory=dict)
    refusal: Refusal | None = None
    content_sent: bool = False


class Session:
    """A session whose demand is met. Make one with `open_session`."""

    def __init__(
        self, demand: Demand, connection: Connection, proof: Proof, address: IPAddress, rules: SessionRules
    ) -> None:
        missing = shortfall(demand, proof)
        if missing is not None:
            raise RuntimeError(f"a session must not exist: {missing.why}")
        self.demand = demand
        self.proof = proof
        self.address = address
        self.opened = self.last_used = time.monotonic()
        self._connection = connection
        self._rules = rules
        self._usable = True

    @property
    def usable(self) -> bool:
        """Whether another message may be tried."""
        return self._usable and self._connection.alive

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
        tls = self.proof.tls
        if tls is None:
            return Receipt(str(self.address))
        record = getattr(tls.verdict, "tlsa", None)
        return Receipt(
            address=str(self.address),
            tls_version=tls.version,
            cipher=tls.cipher,
            certificate_sha256=tls.certificate_sha256,
            tlsa=str(record) if record is not None else None,
            sts_policy_id=sts_policy_id,
        )

    async def send(self, message: Message, recipients: Sequence[Recipient], content: bytes) -> Handover:
        """Hand *message* to the server for *recipients*; nothing is raised for what it answers.

        *content* is `wire_content(message.content)`. Recipients the server has
        no room for in one transaction are sent in the next one.
        """
        envelope = Envelope(
            message,
            self.proof.extensions,
            content_size=len(content) - 3,
            requiretls=self.sends_requiretls,
            headers_only=self.demand.pass_requiretls and not self.sends_requiretls,
        )
        done = Handover()
        left = tuple(recipients)
        while left:
            part = await self._transact(envelope, left[:MAX_RECIPIENTS], content)
            crowded_out = _crowded_out(part)
            for recipient in crowded_out:
                del part.replies[recipient]
            done.replies.update(part.replies)
            if part.refusal is not None or not self._usable:
                return Handover(done.replies, part.refusal, part.content_sent)
            left = (*crowded_out, *left[MAX_RECIPIENTS:])
        return done

    async def _transact(
        self, envelope: Envelope, recipients: tuple[Recipient, ...], content: bytes
    ) -> Handover:
        transaction = Transaction(envelope, recipients)
        refusal = None
        try:
            done = await self._talk(transaction, content)
            self._usable = self._usable and done.usable
        except (ProtocolViolation, OSError) as error:
            self._usable = False
            self._connection.abort()
            refusal = refusal_of(error, self.demand)
        except BaseException:
            # Cancelled in the middle of a transaction: the next message must not meet its replies.
            self._usable = False
            self._connection.abort()
            raise
        finally:
            self.last_used = time.monotonic()
        return Handover(transaction.replies, refusal, transaction.content_sent)

    async def _talk(self, transaction: Transaction, content: bytes) -> Done:
        limits = self._rules.delivery
        timeout = limits.command_timeout
        action: Send | SendContent | Listen | Done = transaction.start()
        while True:
            match action:
                case Done():
                    return action
                case Send(data):
                    self._connection.write(data)
                case SendContent():
                    self._connection.write(content)
                    timeout = limits.data_timeout
            action = transaction.hear(await self._connection.read_reply(timeout))

    async def quit(self) -> None:
        """Say QUIT and close."""
        await say_goodbye(self._connection)


def _crowded_out(handover: Handover) -> list[Recipient]:
    """The recipients that the server had no room for beside others it took (RFC 5321 section 4.5.3.1.10)."""
    if not any(reply.kind == 2 for reply in handover.replies.values()):
        return []
    return [recipient for recipient, reply in handover.replies.items() if reply.code == 452]


async def open_session(demand: Demand, rules: SessionRules) -> Session | Refusal:
    """Open a session with the host of *demand*, over the first of its addresses that answers.

    Returns a Session that meets the demand, or why there is none; nothing is
    raised for what a server does. A session that falls short is ended by QUIT.
    """
    why = "has no address to connect to"
    refusal = Refusal(Reason.HOST_UNREACHABLE, Sureness.NOT_JUDGED, why, str(demand.host))
    for address in demand.addresses[:MAX_ADDRESSES]:
        session = await _open_at(address, demand, rules)
        if isinstance(session, Refusal) and _may_do_without_tls(session, demand):
            session = await _open_at(address, demand, rules, use_starttls=False)
        if isinstance(session, Session) or session.sureness is not Sureness.NOT_JUDGED:
            return session
        refusal = session
    return refusal


def _may_do_without_tls(refusal: Refusal, demand: Demand) -> bool:
    broken = (Reason.TLS_HANDSHAKE_FAILED, Reason.CONNECTION_LOST, Reason.PROTOCOL_VIOLATION)
    return demand.cleartext_after_tls_failure and refusal.reason in broken


async def _open_at(
    address: IPAddress, demand: Demand, rules: SessionRules, *, use_starttls: bool = True
) -> Session | Refusal:
    host = str(demand.host)
    try:
        connection = await Connection.open(address, demand.port, timeout=rules.delivery.connect_timeout)
    except OSError as error:
        why = f"no connection to {address} port {demand.port}: {shown(error)}"
        return Refusal(Reason.HOST_UNREACHABLE, Sureness.NOT_JUDGED, why, host)
    try:
        opened = await _open_over(connection, demand, rules, use_starttls=use_starttls)
    except (ProtocolViolation, OSError) as error:
        connection.abort()
        return refusal_of(error, demand)
    except BaseException:
        connection.abort()
        raise
    if isinstance(opened, Refusal):
        await say_goodbye(connection)
        return opened
    return Session(demand, connection, opened, address, rules)


async def _open_over(
    connection: Connection, demand: Demand, rules: SessionRules, *, use_starttls: bool
) -> Proof | Refusal:
    timeout = rules.delivery.command_timeout
    tls = None
    if demand.implicit_tls:
        secured = await shake_hands(connection, demand, rules.contexts, rules.delivery.command_timeout)
        if isinstance(secured, Refusal):
            return secured
        tls = secured
    opening = Opening(demand, rules.hostname, in_tls=tls, use_starttls=use_starttls)
    action = opening.hear(await connection.read_reply(timeout))
    while True:
        match action:
            case Ready(proof):
                return proof
            case Refusal():
                return action
            case Say(line):
                connection.write(line)
                action = opening.hear(await connection.read_reply(timeout))
            case Handshake():
                secured = await shake_hands(
                    connection, demand, rules.contexts, rules.delivery.command_timeout
                )
                if isinstance(secured, Refusal):
                    return secured
                action = opening.secured(secured)


async def say_goodbye(connection: Connection) -> None:
    """Say QUIT, wait a little for the answer, close (RFC 5321 section 4.1.1.10)."""
    if connection.alive:
        connection.write(b"QUIT\r\n")
        with contextlib.suppress(ProtocolViolation, OSError):
            await connection.read_reply(QUIT_TIMEOUT)
    connection.close()
