"""Open a session with a host: connect, shake hands, greet, until its demand is met or cannot be."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import replace

from requiretls_plugin.delivery.connection import Connection
from requiretls_plugin.delivery.dialogue import Action, Handshake, Opening, Ready, Say
from requiretls_plugin.delivery.handshake import shake_hands, shown
from requiretls_plugin.delivery.proof import Proof
from requiretls_plugin.delivery.session import Session, SessionRules
from requiretls_plugin.errors import ProtocolViolation
from requiretls_plugin.policy.demand import Demand
from requiretls_plugin.policy.next_hop import UNIXSocket
from requiretls_plugin.policy.refusal import Peer, Refusal, Sureness
from requiretls_plugin.reason import Reason
from requiretls_plugin.server_address import IPAddress

# How many addresses of one host are tried; RFC 5321 section 5.1 asks for two at the least.
MAX_ADDRESSES = 5

# How long one address may keep the next one waiting, in seconds. A network that drops IPv6
# without a word is the usual cause.
FAILOVER = 5.0

# What a trial ends with that has nothing to do with the policy on trial.
_NO_MATTER_OF_STS = (
    Reason.HOST_UNREACHABLE,
    Reason.REJECTED,
    Reason.REQUIRETLS_NOT_OFFERED,
    Reason.DANE_MISMATCH,
    Reason.CONFIGURATION,
)

_BROKEN = (Reason.TLS_HANDSHAKE_FAILED, Reason.CONNECTION_LOST, Reason.PROTOCOL_VIOLATION)


async def open_session(demand: Demand, rules: SessionRules) -> Session | Refusal:
    """Open a session with the host of *demand*, over the first of its addresses that answers.

    Returns a Session that meets the demand, or why there is none; nothing is
    raised for what a server does. A session that falls short is ended by QUIT.
    """
    why = "has no address to connect to"
    refusal = Refusal(Reason.HOST_UNREACHABLE, Sureness.NOT_JUDGED, why, str(demand.host))
    addresses = _addresses_to_try(demand.addresses)
    for number, address in enumerate(addresses, start=1):
        patience = rules.delivery.connect_timeout
        if number < len(addresses):
            patience = min(patience, FAILOVER)
        opened = await _open_at(address, demand, rules, patience)
        if isinstance(opened, Session) or opened.sureness is not Sureness.NOT_JUDGED:
            return opened
        refusal = opened
    return refusal


def _addresses_to_try(addresses: Sequence[IPAddress | UNIXSocket]) -> Sequence[IPAddress | UNIXSocket]:
    """Return the first addresses in the resolver's order, the last one of another family if there is one."""
    chosen, rest = addresses[:MAX_ADDRESSES], addresses[MAX_ADDRESSES:]
    families = {type(address) for address in chosen}
    other = next((address for address in rest if type(address) not in families), None)
    return chosen if other is None else (*chosen[:-1], other)


async def _open_at(
    address: IPAddress | UNIXSocket, demand: Demand, rules: SessionRules, patience: float
) -> Session | Refusal:
    if demand.trial_name is not None:
        return await _open_on_trial(address, demand, rules, patience)
    opened = await _attempt(address, demand, rules, patience)
    if demand.cleartext_after_tls_failure and isinstance(opened, Refusal) and opened.reason in _BROKEN:
        return await _attempt(address, demand, rules, patience, use_starttls=False)
    return opened


async def _open_on_trial(
    address: IPAddress | UNIXSocket, demand: Demand, rules: SessionRules, patience: float
) -> Session | Refusal:
    """Open a session as if an MTA-STS policy in mode `testing` were enforced, then as it is.

    RFC 8461 section 5: what would fail is reported, and the message goes all the same.
    """
    enforced = replace(demand, pkix_name=demand.trial_name)
    opened = await _attempt(address, demand, rules, patience, held_to=enforced)
    if isinstance(opened, Session) or opened.reason in _NO_MATTER_OF_STS:
        return opened
    untried = await _open_at(address, replace(demand, trial_name=None), rules, patience)
    if isinstance(untried, Session):
        untried.demand = demand
        untried.trial = opened
    return untried


async def _attempt(
    address: IPAddress | UNIXSocket,
    demand: Demand,
    rules: SessionRules,
    patience: float,
    *,
    use_starttls: bool = True,
    held_to: Demand | None = None,
) -> Session | Refusal:
    try:
        connection = await Connection.open(address, demand.port, timeout=patience)
    except OSError as error:
        place = address if isinstance(address, UNIXSocket) else f"{address} port {demand.port}"
        why = f"no connection to {place}: {shown(error)}"
        return Refusal(Reason.HOST_UNREACHABLE, Sureness.NOT_JUDGED, why, str(demand.host))
    opening = Opening(held_to or demand, rules.hostname, use_starttls=use_starttls)
    local_address = connection.local_address
    try:
        opened = await _talk(connection, opening, held_to or demand, rules)
    except (ProtocolViolation, OSError) as error:
        connection.abort()
        peer = Peer(str(address), local_address, opening.greeted_as)
        return replace(_refusal_of(error, demand), peer=peer)
    except BaseException:
        connection.abort()
        raise
    if isinstance(opened, Refusal):
        rules.farewells.say(connection)
        return replace(opened, peer=Peer(str(address), local_address, opening.greeted_as))
    return Session(demand, connection, opened, address, rules)


async def _talk(
    connection: Connection, opening: Opening, demand: Demand, rules: SessionRules
) -> Proof | Refusal:
    timeout = rules.delivery.command_timeout
    action: Action = opening.start()
    while True:
        match action:
            case Ready(proof):
                return proof
            case Refusal():
                return action
            case Handshake():
                secured = await shake_hands(connection, demand, rules.contexts, timeout)
                if isinstance(secured, Refusal):
                    return secured
                action = opening.secured(secured)
                continue
            case Say(line):
                connection.say(line)
        action = opening.hear(await connection.read_reply(timeout))


def _refusal_of(error: ProtocolViolation | OSError, demand: Demand) -> Refusal:
    host = str(demand.host)
    if isinstance(error, ProtocolViolation):
        return Refusal(Reason.PROTOCOL_VIOLATION, Sureness.NOT_JUDGED, str(error), host)
    if isinstance(error, ssl.SSLError) and not isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        # TLS 1.3 brings the peer's alert about the handshake only after it.
        return Refusal(Reason.TLS_HANDSHAKE_FAILED, Sureness.PROVED, f"TLS: {shown(error)}", host)
    return Refusal(Reason.CONNECTION_LOST, Sureness.NOT_JUDGED, shown(error), host)
