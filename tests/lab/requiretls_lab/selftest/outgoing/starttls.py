"""STARTTLS and the handshake, refused and tampered with."""

from __future__ import annotations

import ssl

from requiretls_lab.selftest.outgoing.shorthand import dane
from requiretls_lab.selftest.outgoing.steps import Asks, OutgoingCase, Send
from requiretls_lab.smtp_script import Act, Offer

# Long enough for a slow machine, short for a case that waits for it to run out.
_IMPATIENT = (("command_timeout", 2.0),)
_FATAL_ALERT = b"\x15\x03\x03\x00\x02\x02\x28"

CASES = (
    OutgoingCase(
        "starttls/stripped",
        "A host that lists no STARTTLS gets nothing in the clear: REQUIRETLS fails, DANE mail waits",
        "RFC 7672 section 2.2",
        dane("stripped", "TLSA, no STARTTLS", starttls=False, requiretls=Offer.NEVER),
        (
            Send("failed 550 5.7.10 starttls-not-offered"),
            Send("deferred 451 4.7.5 starttls-not-offered", Asks.NOTHING),
        ),
    ),
    OutgoingCase(
        "starttls/refused",
        "STARTTLS refused for good ends the matter with 5.7.10",
        "RFC 8689 section 4.2.1",
        dane("refused", "502 to STARTTLS", replies={"STARTTLS": "502 5.5.1 no"}),
        (Send("failed 550 5.7.10 starttls-refused"),),
    ),
    OutgoingCase(
        "starttls/not-now",
        "STARTTLS refused for the moment is tried again later",
        "RFC 3207 section 4",
        dane("not-now", "454 to STARTTLS", replies={"STARTTLS": "454 4.7.0 TLS not available"}),
        (Send("deferred 451 4.7.10 starttls-refused"),),
    ),
    OutgoingCase(
        "starttls/injected",
        "Text between the answer to STARTTLS and the handshake ends the session",
        "RFC 3207 section 4.2",
        dane(
            "injected",
            "an EHLO reply with REQUIRETLS is slipped in behind the 220",
            requiretls=Offer.NEVER,
            replies={"STARTTLS": b"220 2.0.0 go\r\n250-mx\r\n250 REQUIRETLS\r\n"},
        ),
        (Send("deferred 451 4.5.0 protocol-violation"),),
    ),
    OutgoingCase(
        "starttls/garbage-handshake",
        "Garbage for a handshake is a failed one",
        "RFC 3207 section 4",
        dane(
            "garbage-handshake",
            "an HTTP error instead of a ServerHello",
            replies={"handshake": b"HTTP/1.1 400 Bad Request\r\n\r\n"},
        ),
        (Send("failed 550 5.7.10 tls-handshake-failed"),),
    ),
    OutgoingCase(
        "starttls/alert",
        "A fatal alert for a handshake is a failed one",
        "RFC 8689 section 4.2.1",
        dane("alert", "a fatal TLS alert instead of a ServerHello", replies={"handshake": _FATAL_ALERT}),
        (Send("failed 550 5.7.10 tls-handshake-failed"),),
    ),
    OutgoingCase(
        "starttls/handshake-reset",
        "A connection that breaks in the handshake proves nothing and is tried again later",
        "RFC 8689 section 4.2.1",
        dane("handshake-reset", "a TCP reset instead of a ServerHello", replies={"handshake": Act.RESET}),
        (Send("deferred 451 4.4.2 connection-lost"),),
    ),
    OutgoingCase(
        "starttls/handshake-silent",
        "A connection that falls silent in the handshake proves nothing and is tried again later",
        "RFC 5321 section 4.5.3.2",
        dane("handshake-silent", "nothing instead of a ServerHello", replies={"handshake": Act.SILENCE}),
        (Send("deferred 451 4.4.2 connection-lost"),),
        _IMPATIENT,
    ),
    OutgoingCase(
        "starttls/old-version",
        "A host that knows only TLS 1.0 is not authenticated",
        "RFC 8689 section 4.2.1",
        dane(
            "old-version",
            "TLSA matches, TLS 1.0 only",
            minimum_version=ssl.TLSVersion.TLSv1,
            maximum_version=ssl.TLSVersion.TLSv1,
        ),
        (Send("failed 550 5.7.10 tls-handshake-failed"),),
    ),
)
