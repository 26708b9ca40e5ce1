"""Demands, proofs and messages for tests that need some, without asking DNS or anybody."""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import replace

from requiretls_plugin.certificate.verdict import Authenticated, Mechanism, NotAuthenticated, Verdict
from requiretls_plugin.delivery.proof import TLSProof
from requiretls_plugin.delivery.server_reply import ReplyReader, ServerReply
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message, Recipient
from requiretls_plugin.policy.answers import TLSARecord
from requiretls_plugin.policy.demand import Demand
from requiretls_plugin.policy.next_hop import Login
from requiretls_plugin.reason import Reason
from requiretls_plugin.security import Security

HOST = DomainName("mx.recipient.example")
ADDRESS = ipaddress.ip_address("192.0.2.1")
RECORD = TLSARecord(3, 1, 1, hashlib.sha256(b"a key").digest())

ANYTHING = Demand(HOST, 25, (ADDRESS,), Security.CLEARTEXT)
"""TLS if it is offered, cleartext otherwise."""
IF_TLS_FAILS_CLEARTEXT = replace(ANYTHING, cleartext_after_tls_failure=True)
ENCRYPTED = replace(ANYTHING, encryption=True, security=Security.ENCRYPTED)
DANE = replace(ENCRYPTED, tlsa=(RECORD,), tlsa_names=(HOST,), security=Security.DANE)
PKIX = replace(ENCRYPTED, pkix_name=HOST, security=Security.STS_PKIX)
REQUIRED = replace(DANE, requiretls=True, pass_requiretls=True)
RELAXED = replace(ANYTHING, pass_requiretls=True)
SUBMISSION = replace(PKIX, port=587, login=Login("list", "secret"))
SUBMISSIONS = replace(SUBMISSION, port=465, implicit_tls=True)
LMTP = replace(ANYTHING, lmtp=True)

DEMANDS = {
    "anything": ANYTHING,
    "cleartext if TLS fails": IF_TLS_FAILS_CLEARTEXT,
    "encrypted": ENCRYPTED,
    "DANE": DANE,
    "PKIX": PKIX,
    "REQUIRETLS": REQUIRED,
    "REQUIRETLS, relaxed": RELAXED,
    "submission": SUBMISSION,
    "submission in implicit TLS": SUBMISSIONS,
    "LMTP": LMTP,
}

PROVED = Authenticated(Mechanism.DANE, RECORD, HOST)
NOT_PROVED = NotAuthenticated(Reason.DANE_MISMATCH, "no TLSA record matches")

MESSAGE = Message(MailAddress.parse("a@sender.example"), b"Subject: x\r\n\r\nhello\r\n")


def tls(verdict: Verdict | None) -> TLSProof:
    """Return a handshake that ended with *verdict*."""
    return TLSProof("TLSv1.3", "TLS_AES_256_GCM_SHA384", None, verdict)


def recipients(count: int) -> tuple[Recipient, ...]:
    """Return *count* recipients."""
    return tuple(Recipient.parse(f"r{number}@recipient.example") for number in range(count))


def replies(text: str) -> list[ServerReply]:
    """Return the replies that the lines of *text* are."""
    return list(ReplyReader().feed("".join(f"{line}\r\n" for line in text.split("\n")).encode()))


def reply(text: str) -> ServerReply:
    """Return the one reply that *text* is."""
    [one] = replies(text)
    return one


def ehlo(*keywords: str) -> ServerReply:
    """Return the reply to EHLO that lists *keywords*."""
    return ServerReply(250, (HOST.text, *keywords))
