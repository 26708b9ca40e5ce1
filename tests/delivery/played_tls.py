"""TLS handshakes that nobody computes: how one ends is decided, and the certificate is judged as ever."""

from __future__ import annotations

import enum
import functools
import ssl
from dataclasses import dataclass

from requiretls_plugin.certificate.tls_context import TLSContexts
from requiretls_plugin.delivery.session import SessionRules
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.policy.answers import TLSARecord
from requiretls_plugin.settings import DeliverySettings
from tests.certificate.forge import Issued, authority, ec_key, server
from tests.certificate.tlsa import tlsa

HOST = DomainName("mx.recipient.example")


class End(enum.Enum):
    """How a handshake ends."""

    GOOD = "with the certificate that DNS and the authorities vouch for"
    STRANGER = "with a certificate that nobody vouches for"
    NOBODY = "without a certificate"
    ALERT = "with an alert"
    CUT = "with the end of the connection"


@functools.cache
def leaf() -> Issued:
    """Return the certificate of HOST."""
    return server(authority("Root", ec_key(1)), HOST.text)


@functools.cache
def stranger() -> Issued:
    """Return a certificate for the same name with another key, made by somebody else."""
    return server(authority("Another root", ec_key(11)), HOST.text, number=12)


def record() -> TLSARecord:
    """Return the TLSA record of HOST."""
    return tlsa("3 1 1", leaf().der)


@dataclass(frozen=True)
class PlayedTLS:
    """A TLS session as `delivery.handshake` looks at one."""

    context: ssl.SSLContext
    chain: tuple[bytes, ...]

    def get_unverified_chain(self) -> tuple[bytes, ...]:
        return self.chain

    def cipher(self) -> tuple[str, str, int]:
        return "TLS_AES_256_GCM_SHA384", "TLSv1.3", 256

    def version(self) -> str:
        return "TLSv1.3"


def shaken(context: ssl.SSLContext, end: End) -> PlayedTLS:
    """Return the session after a handshake that ends as *end* says; raises as OpenSSL does."""
    if end is End.ALERT:
        raise ssl.SSLError(1, "[SSL: TLSV1_ALERT_INTERNAL_ERROR] alert")
    if end is End.CUT:
        raise ssl.SSLEOFError(8, "EOF occurred in violation of protocol")
    if end is not End.GOOD and context.verify_mode is ssl.CERT_REQUIRED:
        refused = ssl.SSLCertVerificationError(1, "certificate verify failed")
        refused.verify_code, refused.verify_message = 20, "unable to get local issuer certificate"
        raise refused
    chains = {End.GOOD: (leaf().der,), End.STRANGER: (stranger().der,), End.NOBODY: ()}
    return PlayedTLS(context, chains[end])


@functools.cache
def contexts() -> TLSContexts:
    """Return contexts that are made once; the system's trust anchors take a while to be read."""
    return TLSContexts()


def rules() -> SessionRules:
    """Return the rules of sessions on one loop."""
    return SessionRules("mx.sender.example", DeliverySettings(), contexts())
