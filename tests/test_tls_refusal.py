"""Which failures are REQUIRETLS refusals, ours and those that delivery reports tell of."""

from __future__ import annotations

from email import message_from_bytes, message_from_string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from requiretls_plugin.delivery.outcome import Disposition, Outcome
from requiretls_plugin.message import Recipient
from requiretls_plugin.reason import Reason
from requiretls_plugin.reply import Reply
from requiretls_plugin.tls_refusal import failures_reported_in, is_tls_refusal, waits_for_tls

FAILED, DEFERRED = Disposition.FAILED, Disposition.DEFERRED


def outcome(disposition: Disposition, status: str, reason: Reason) -> Outcome:
    """Return an outcome for one recipient."""
    code = {"2": 250, "4": 451, "5": 550}[status[0]]
    return Outcome(Recipient.parse("a@b.example"), disposition, Reply(code, status, "text"), reason=reason)


@pytest.mark.parametrize(
    ("found", "refusal", "waits"),
    [
        (outcome(FAILED, "5.7.30", Reason.REQUIRETLS_NOT_OFFERED), True, False),
        (outcome(FAILED, "5.7.10", Reason.NAME_NOT_PROVEN), True, False),
        (outcome(FAILED, "5.7.30", Reason.REJECTED), True, False),
        (outcome(FAILED, "5.1.1", Reason.REJECTED), False, False),
        (outcome(FAILED, "5.1.10", Reason.NULL_MX), False, False),
        (outcome(DEFERRED, "4.7.10", Reason.STS_UNAVAILABLE), False, True),
        (outcome(DEFERRED, "4.4.1", Reason.HOST_UNREACHABLE), False, False),
        (outcome(DEFERRED, "4.2.1", Reason.REJECTED), False, False),
    ],
    ids=lambda value: f"{value.reply.status} {value.reason}" if isinstance(value, Outcome) else None,
)
def test_a_refusal_for_tls_is_told_from_other_failures(found: Outcome, refusal: bool, waits: bool) -> None:
    """By the status code, whoever said it; a deferral by its reason."""
    assert (is_tls_refusal(found), waits_for_tls(found)) == (refusal, waits)


def report(*blocks: str) -> str:
    """Return a delivery report with a block for each recipient."""
    joined = "\n\n".join(blocks)
    return (
        "Content-Type: multipart/report; boundary=x\nMIME-Version: 1.0\n\n"
        "--x\nContent-Type: message/delivery-status\n\n"
        f"Reporting-MTA: dns; mx.example\n\n{joined}\n\n--x--\n"
    )


def block(address: str, status: str = "", diagnostic: str = "", action: str = "failed") -> str:
    """Return what a report says of one recipient."""
    return (
        f"Final-Recipient: rfc822;{address}\nAction: {action}\nStatus: {status}\n"
        f"Diagnostic-Code: {diagnostic}"
    )


TLS = block("A@b.example", "5.7.30")
GONE = block("c@d.example", "5.1.1")


@pytest.mark.parametrize(
    ("blocks", "address", "blamed"),
    [
        ((TLS,), "a@b.example", True),
        ((block("a@b.example", "5.7.10 (encryption needed)"),), "a@b.example", True),
        ((block("a@b.example", "5.0.0", "smtp; 550-5.7.30 no"),), "a@b.example", True),
        ((block("a@b.example", "5.7.301"),), "a@b.example", False),
        ((block("a@b.example", "5.7.1"),), "a@b.example", False),
        ((block("a@b.example", "5.1.1", "smtp; 550 5.1.1 not 5.7.30"),), "a@b.example", False),
        ((block("a@b.example", "5.1.1", "x-local; 550 5.7.30"),), "a@b.example", False),
        ((TLS, GONE), "a@b.example", True),
        ((TLS, GONE), "c@d.example", False),
        ((TLS, block("a@b.example", "5.1.1")), "a@b.example", False),
        ((TLS,), "forwarder@e.example", True),
        ((TLS, GONE), "forwarder@e.example", False),
        ((block("a@b.example", "5.7.30", action="delayed"),), "a@b.example", False),
        ((), "a@b.example", False),
    ],
    ids=[
        "status",
        "status with a comment",
        "diagnostic only",
        "a longer number",
        "another policy",
        "quoted in the text",
        "not by SMTP",
        "one of two",
        "the other of two",
        "both at once",
        "forwarded, all for TLS",
        "forwarded, not all for TLS",
        "only delayed",
        "no recipient",
    ],
)
def test_a_report_blames_tls_for_an_address_or_not(
    blocks: tuple[str, ...], address: str, blamed: bool
) -> None:
    """Only what fails for nothing else is blamed on TLS."""
    assert failures_reported_in(message_from_string(report(*blocks))).blames_tls_for(address) is blamed


def test_an_ordinary_message_reports_nothing() -> None:
    """Whatever its text says."""
    found = failures_reported_in(message_from_string("Subject: x\n\nStatus: 5.7.30\n"))
    assert not found.blames_tls_for("a@b.example")


@given(st.binary(max_size=2000))
def test_attack_any_bytes_give_an_answer(content: bytes) -> None:
    """A report comes from whoever sends mail."""
    head = b"Content-Type: multipart/report; boundary=x\n\n--x\nContent-Type: message/delivery-status\n\n"
    failures_reported_in(message_from_bytes(head + content)).blames_tls_for("a@b.example")
