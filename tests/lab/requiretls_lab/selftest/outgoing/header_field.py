"""TLS-Required: No, as it is meant and as it is forged."""

from __future__ import annotations

from requiretls_lab.domains import Domain, Policy
from requiretls_lab.selftest.outgoing.shorthand import dane, signed, under_policy
from requiretls_lab.selftest.outgoing.steps import Asks, OutgoingCase, Send
from requiretls_lab.smtp_script import Offer

_WAITS = Send("deferred 451 4.7.5 dane-mismatch", Asks.NOTHING)


def _mismatch(name: str) -> tuple[Domain]:
    return signed(name, "TLSA 3 1 1 of another key", tlsa=("3 1 1 wrong",))


def _ignored(name: str, claim: str, header: bytes) -> OutgoingCase:
    """Return the case that *header* relaxes nothing."""
    return OutgoingCase(
        f"header-field/{name}",
        claim,
        "RFC 8689 section 3",
        _mismatch(name),
        (Send("deferred 451 4.7.5 dane-mismatch", Asks.NOTHING, header=header),),
    )


def _taken(name: str, claim: str, header: bytes) -> OutgoingCase:
    """Return the case that *header* is `TLS-Required: No` in another spelling."""
    return OutgoingCase(
        f"header-field/{name}",
        claim,
        "RFC 8689 section 3",
        _mismatch(name),
        (Send("delivered encrypted", Asks.NOTHING, header=header),),
    )


CASES = (
    OutgoingCase(
        "header-field/dane-set-aside",
        "TLS-Required: No delivers in spite of a TLSA record that does not match, in TLS, and goes along",
        "RFC 8689 section 4.2.2",
        _mismatch("dane-set-aside"),
        (Send("delivered encrypted", Asks.NO),),
    ),
    OutgoingCase(
        "header-field/mta-sts-set-aside",
        "TLS-Required: No delivers in spite of an MTA-STS policy",
        "RFC 8689 section 4.2.2",
        under_policy(
            "mta-sts-set-aside", "MTA-STS enforce for another host", Policy.enforce("mx.elsewhere.test")
        ),
        (Send("delivered encrypted", Asks.NO),),
    ),
    OutgoingCase(
        "header-field/cleartext",
        "TLS-Required: No delivers in cleartext where the host has no STARTTLS",
        "RFC 8689 section 4.2.2",
        dane("cleartext", "TLSA, no STARTTLS", starttls=False, requiretls=Offer.NEVER),
        (Send("delivered cleartext", Asks.NO),),
    ),
    OutgoingCase(
        "header-field/handshake-fails",
        "TLS-Required: No delivers by a new connection in cleartext where the handshake fails",
        "RFC 8689 section 4.2.2",
        dane("handshake-fails", "garbage for a handshake", replies={"handshake": b"HTTP/1.1 400 No\r\n\r\n"}),
        (Send("delivered cleartext", Asks.NO),),
    ),
    OutgoingCase(
        "header-field/required-beats-no",
        "REQUIRETLS on MAIL beats the field, which goes along as it is",
        "RFC 8689 section 4.1",
        (
            *_mismatch("required-beats-no"),
            *dane("required-beats-no-good", "another domain: DANE matches, REQUIRETLS"),
        ),
        (
            Send("failed 550 5.7.10 dane-mismatch", Asks.BOTH),
            Send("delivered dane requiretls", Asks.BOTH, to="required-beats-no-good.test"),
        ),
    ),
    _taken("folded", "TLS-Required: No may be folded before its value", b"TLS-Required:\r\n No\r\n"),
    _taken("other-case", "TLS-Required: No may be written in any case", b"tls-required: NO\r\n"),
    _ignored(
        "two-fields", "Two TLS-Required fields relax nothing", b"TLS-Required: No\r\nTLS-Required: No\r\n"
    ),
    _ignored("yes", "TLS-Required with another value relaxes nothing", b"TLS-Required: Yes\r\n"),
    _ignored(
        "longer-word",
        "TLS-Required with a word that begins with No relaxes nothing",
        b"TLS-Required: None\r\n",
    ),
    _ignored("comment", "TLS-Required: No with a comment relaxes nothing", b"TLS-Required: No (please)\r\n"),
    _ignored("parameter", "TLS-Required: No with a parameter relaxes nothing", b"TLS-Required: No; x=1\r\n"),
    _ignored("other-name", "No in a field of another name relaxes nothing", b"X-TLS-Required: No\r\n"),
    _ignored(
        "inside-another",
        "TLS-Required: No inside another field relaxes nothing",
        b"Comments: x\r\n TLS-Required: No\r\n",
    ),
    OutgoingCase(
        "header-field/in-the-body",
        "TLS-Required: No in the body relaxes nothing",
        "RFC 8689 section 3",
        _mismatch("in-the-body"),
        (
            Send(
                "deferred 451 4.7.5 dane-mismatch",
                Asks.NOTHING,
                header=b"Subject: x\r\n\r\nTLS-Required: No\r\n",
            ),
        ),
    ),
)
