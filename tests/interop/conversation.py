"""One message by `Opening` and `Transaction`, whatever the wire leads to: a server or a transcript."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from requiretls_plugin.delivery import transaction as transactions
from requiretls_plugin.delivery.content import Content
from requiretls_plugin.delivery.dialogue import Handshake, Opening, Ready, Say
from requiretls_plugin.delivery.envelope import Envelope
from requiretls_plugin.delivery.proof import Proof, TLSProof
from requiretls_plugin.delivery.server_reply import ServerReply
from requiretls_plugin.delivery.transaction import Transaction
from requiretls_plugin.message import Message, Recipient
from requiretls_plugin.policy.demand import Demand
from requiretls_plugin.policy.refusal import Refusal

HOSTNAME = "relay.test"


class Wire(Protocol):
    """Where the words go."""

    def say(self, octets: bytes) -> None:
        """Send *octets*."""

    def hear(self) -> ServerReply:
        """Return the next reply."""

    def shake_hands(self) -> TLSProof:
        """Begin TLS."""


def converse(
    demand: Demand, message: Message, recipients: Sequence[Recipient], wire: Wire
) -> Refusal | Transaction:
    """Say what a delivery of *message* says, with QUIT at its end; return how far it came."""
    proof = _open(demand, wire)
    result: Refusal | Transaction
    result = proof if isinstance(proof, Refusal) else _transact(demand, proof, message, recipients, wire)
    wire.say(b"QUIT\r\n")
    wire.hear()
    return result


def _open(demand: Demand, wire: Wire) -> Proof | Refusal:
    opening = Opening(demand, HOSTNAME)
    action = opening.start()
    while True:
        match action:
            case Ready(proof):
                return proof
            case Refusal():
                return action
            case Handshake():
                action = opening.secured(wire.shake_hands())
                continue
            case Say(line):
                wire.say(line)
        action = opening.hear(wire.hear())


def _transact(
    demand: Demand, proof: Proof, message: Message, recipients: Sequence[Recipient], wire: Wire
) -> Transaction:
    content = Content.of(message.content)
    requiretls = demand.pass_requiretls and proof.requiretls_offered
    envelope = Envelope(message, content, proof.extensions, requiretls=requiretls)
    transaction = Transaction(envelope, tuple(recipients), lmtp=demand.lmtp, reset=False)
    action: transactions.Action = transaction.start()
    while not isinstance(action, transactions.Done):
        match action:
            case transactions.Send(data):
                wire.say(data)
            case transactions.SendContent():
                wire.say(content.wire)
        action = transaction.hear(wire.hear())
    return transaction
