"""The TLS handshake of a session, and the judgement on the certificate, before another word is said."""

from __future__ import annotations

import datetime
import hashlib
import ssl

from requiretls_plugin.certificate.authentication import AskedOfDANE, AskedOfPKIX, authenticate
from requiretls_plugin.certificate.tls_context import (
    TLSContexts,
    chain_was_verified,
    peer_chain,
    reason_of,
)
from requiretls_plugin.certificate.verdict import Verdict
from requiretls_plugin.delivery.connection import Connection
from requiretls_plugin.delivery.proof import TLSProof
from requiretls_plugin.policy.demand import Demand
from requiretls_plugin.policy.refusal import Refusal, Sureness
from requiretls_plugin.reason import Reason


async def shake_hands(
    connection: Connection, demand: Demand, contexts: TLSContexts, timeout: float
) -> TLSProof | Refusal:
    """Start TLS on *connection* and return what it proved.

    Returns a Refusal if there is no TLS session, and a TLSProof with its
    verdict if there is one, whatever the verdict says. Raises ProtocolViolation
    and OSError for what is no matter of TLS; *timeout* is in seconds.
    """
    host = str(demand.host)
    try:
        context = _context_for(demand, contexts)
    except OSError as error:
        why = f"the trust anchors cannot be read: {shown(error)}"
        return Refusal(Reason.CONFIGURATION, Sureness.OUR_FAULT, why, host)
    try:
        session = await connection.start_tls(
            context, str(demand.sni) if demand.sni else None, timeout=timeout
        )
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
        return Refusal(Reason.CONNECTION_LOST, Sureness.NOT_JUDGED, f"TLS: {shown(error)}", host)
    except ssl.SSLError as error:
        return Refusal(reason_of(error), Sureness.PROVED, f"TLS: {shown(error)}", host)
    except ValueError as error:  # a name that cannot be sent as SNI
        return Refusal(Reason.TLS_HANDSHAKE_FAILED, Sureness.PROVED, f"TLS: {error}", host)
    chain = peer_chain(session)
    cipher = session.cipher()
    return TLSProof(
        version=session.version() or "",
        cipher=cipher[0] if cipher else "",
        certificate_sha256=hashlib.sha256(chain[0]).hexdigest() if chain else None,
        verdict=_verdict(session, chain, demand) if demand.authenticated else None,
        certificate=chain[0] if chain else None,
    )


def _context_for(demand: Demand, contexts: TLSContexts) -> ssl.SSLContext:
    if demand.pkix_name is not None:
        return contexts.pkix
    return contexts.dane if demand.tlsa else contexts.opportunistic


def _verdict(session: ssl.SSLObject, chain: tuple[bytes, ...], demand: Demand) -> Verdict:
    return authenticate(
        chain,
        datetime.datetime.now(datetime.UTC),
        dane=AskedOfDANE(demand.tlsa, demand.tlsa_names) if demand.tlsa else None,
        pkix=AskedOfPKIX((demand.pkix_name,)) if demand.pkix_name else None,
        chain_trusted=chain_was_verified(session),
    )


def shown(error: OSError) -> str:
    """Return *error* in words, which some errors lack."""
    if isinstance(error, TimeoutError):
        return "timed out"
    return str(error) or type(error).__name__
