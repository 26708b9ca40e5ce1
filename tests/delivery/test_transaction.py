"""One message over one session: in the right order, once, and with an end whatever is answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from requiretls_plugin.delivery.content import Content
from requiretls_plugin.delivery.envelope import Envelope
from requiretls_plugin.delivery.server_reply import ServerReply
from requiretls_plugin.delivery.transaction import After, Done, Listen, Send, SendContent, Transaction
from requiretls_plugin.errors import ProtocolViolation
from requiretls_plugin.message import Recipient
from requiretls_plugin.smtp_extension import Extensions
from tests.delivery.demands import MESSAGE, ehlo, recipients, replies

PIPELINING = Extensions.parse(ehlo("PIPELINING").lines)
ONE_BY_ONE = Extensions()

MAIL, DATA, RSET = "MAIL FROM:<a@sender.example>", "DATA", "RSET"
A, B, C = recipients(3)


def rcpt(recipient: Recipient) -> str:
    return f"RCPT TO:<{recipient}>"


@dataclass
class Talk:
    """What was said, `(content)` among it, and how it ended: None if a reply is still waited for."""

    transaction: Transaction
    said: list[str] = field(default_factory=list)
    flights: int = 0
    after: After | None = None
    violation: str | None = None


def play(
    script: Sequence[ServerReply],
    to: tuple[Recipient, ...] = (A, B),
    extensions: Extensions = PIPELINING,
    *,
    lmtp: bool = False,
    reset: bool = False,
) -> Talk:
    """Return how a transaction goes that *script* answers."""
    envelope = Envelope(MESSAGE, Content.of(MESSAGE.content), extensions)
    talk = Talk(Transaction(envelope, to, lmtp=lmtp, reset=reset))
    action: Send | SendContent | Listen | Done = talk.transaction.start()
    left = list(script)
    while True:
        if isinstance(action, Done):
            talk.after = action.after
            return talk
        if isinstance(action, Send):
            talk.said += action.data.decode().splitlines()
            talk.flights += 1
        if isinstance(action, SendContent):
            talk.said.append("(content)")
            talk.flights += 1
        if not left:
            return talk
        try:
            action = talk.transaction.hear(left.pop(0))
        except ProtocolViolation as violation:
            talk.violation = str(violation)
            return talk


def codes(talk: Talk) -> dict[Recipient, int]:
    return {recipient: reply.code for recipient, reply in talk.transaction.replies.items()}


@pytest.mark.parametrize(
    ("extensions", "flights"), [(PIPELINING, 2), (ONE_BY_ONE, 5)], ids=["pipelined", "not"]
)
def test_a_message_is_handed_over(extensions: Extensions, flights: int) -> None:
    """With PIPELINING in two flights: all commands, then the content."""
    talk = play(replies("250 ok\n250 ok\n250 ok\n354 go\n250 queued"), extensions=extensions)

    assert talk.said == [MAIL, rcpt(A), rcpt(B), DATA, "(content)"]
    assert talk.flights == flights
    assert codes(talk) == {A: 250, B: 250}
    assert talk.after is After.REUSE


OUTCOMES = [
    pytest.param("550 no\n503 x\n503 x\n503 x", {A: 550, B: 550}, After.REUSE, id="MAIL refused"),
    pytest.param("450 no\n250 x\n250 x\n503 x", {A: 450, B: 450}, After.REUSE, id="MAIL put off"),
    pytest.param("250 x\n550 no\n250 x\n354 go\n250 x", {A: 550, B: 250}, After.REUSE, id="one refused"),
    pytest.param("250 x\n450 no\n250 x\n354 go\n250 x", {A: 450, B: 250}, After.REUSE, id="one put off"),
    pytest.param("250 x\n550 no\n550 no\n503 x", {A: 550, B: 550}, After.RESET, id="all refused"),
    pytest.param("250 x\n550 no\n550 no\n354 go", {A: 550, B: 550}, After.HANG_UP, id="all refused, yet 354"),
    pytest.param("550 no\n550 x\n550 x\n354 go", {A: 550, B: 550}, After.HANG_UP, id="MAIL refused, yet 354"),
    pytest.param("250 x\n250 x\n550 no\n451 x", {A: 451, B: 550}, After.RESET, id="DATA put off"),
    pytest.param("250 x\n250 x\n250 x\n354 x\n552 x", {A: 552, B: 552}, After.REUSE, id="content refused"),
    pytest.param("250 x\n250 x\n250 x\n354 x\n451 x", {A: 451, B: 451}, After.REUSE, id="content put off"),
    pytest.param("421 bye", {A: 421, B: 421}, After.HANG_UP, id="421 to MAIL"),
    pytest.param("250 x\n421 bye", {A: 421}, After.HANG_UP, id="421 to RCPT"),
    pytest.param("250 x\n250 x\n250 x\n421 bye", {A: 421, B: 421}, After.HANG_UP, id="421 to DATA"),
    pytest.param("250 x\n250 x\n250 x\n354 x\n421 x", {A: 421, B: 421}, After.HANG_UP, id="421 to content"),
]


@pytest.mark.parametrize(("script", "expected", "after"), OUTCOMES)
def test_a_transaction_ends_with(script: str, expected: dict[Recipient, int], after: After) -> None:
    """The deciding reply for each recipient, and what the session is still good for."""
    talk = play(replies(script))

    assert codes(talk) == expected
    assert talk.after is after
    assert talk.transaction.doubtful == []


def test_without_pipelining_nothing_is_said_after_a_refusal() -> None:
    """No RCPT after a refused MAIL, no DATA without a recipient; the session is good for another message."""
    refused = play(replies("550 no"), extensions=ONE_BY_ONE)
    assert refused.said == [MAIL]
    assert refused.after is After.REUSE
    refused = play(replies("250 x\n550 no\n550 no"), extensions=ONE_BY_ONE)
    assert refused.said == [MAIL, rcpt(A), rcpt(B)]
    assert refused.after is After.RESET


@pytest.mark.parametrize("extensions", [PIPELINING, ONE_BY_ONE], ids=["pipelined", "not"])
def test_a_session_whose_last_transaction_came_to_nothing_is_reset_first(extensions: Extensions) -> None:
    """RSET, and then as usual; with PIPELINING in the same flight."""
    script = replies("250 reset\n250 ok\n250 ok\n250 ok\n354 go\n250 queued")

    talk = play(script, extensions=extensions, reset=True)

    assert talk.said == [RSET, MAIL, rcpt(A), rcpt(B), DATA, "(content)"]
    assert codes(talk) == {A: 250, B: 250}


@pytest.mark.parametrize("answer", ["421 bye", "450 what"])
def test_a_session_that_is_not_reset_is_given_up(answer: str) -> None:
    """Nothing is known about the recipients then, so another session can take the message."""
    talk = play(replies(answer), reset=True)

    assert talk.after is After.HANG_UP
    assert codes(talk) == {}


@pytest.mark.parametrize(
    "crowd", ["452 4.5.3 too many", "452 too many", "552 5.5.3 too many", "552 too many"]
)
def test_recipients_for_whom_there_is_no_room_are_left_for_the_next_transaction(crowd: str) -> None:
    """RFC 5321 section 4.5.3.1.10, which wants an old 552 understood as well."""
    talk = play(replies(f"250 x\n250 x\n{crowd}\n354 go\n250 queued"))

    assert codes(talk) == {A: 250}
    assert talk.transaction.crowded_out == [B]


@pytest.mark.parametrize(
    "script", ["250 x\n452 x\n452 x\n503 x", "250 x\n250 x\n552 5.2.2 full\n354 x\n250 x"]
)
def test_a_recipient_without_room_of_its_own_has_its_answer(script: str) -> None:
    """Nobody else was taken, or it is the mailbox that is full."""
    talk = play(replies(script))

    assert talk.transaction.crowded_out == []
    assert set(codes(talk)) == {A, B}


LMTP_OUTCOMES = [
    pytest.param(
        "250 x\n250 x\n250 x\n354 x\n250 x\n550 x", {A: 250, B: 550}, [], After.REUSE, id="one refused"
    ),
    pytest.param("250 x\n550 x\n250 x\n354 x\n250 x", {A: 550, B: 250}, [], After.REUSE, id="RCPT refused"),
    pytest.param(
        "250 x\n250 x\n250 x\n354 x\n452 x\n250 x", {A: 452, B: 250}, [], After.REUSE, id="one full"
    ),
    pytest.param(
        "250 x\n250 x\n250 x\n354 x\n250 x\n421 x", {A: 250, B: 421}, [], After.HANG_UP, id="421 last"
    ),
    pytest.param("250 x\n250 x\n250 x\n354 x\n421 x", {A: 421}, [B], After.HANG_UP, id="421 first"),
    pytest.param("250 x\n250 x\n250 x\n354 x\n250 x", {A: 250}, [B], None, id="cut after the first answer"),
]


@pytest.mark.parametrize(("script", "expected", "doubtful", "after"), LMTP_OUTCOMES)
def test_over_lmtp_each_recipient_has_an_answer_after_the_content(
    script: str, expected: dict[Recipient, int], doubtful: list[Recipient], after: After | None
) -> None:
    """RFC 2033 section 4.2."""
    talk = play(replies(script), lmtp=True)

    assert codes(talk) == expected
    assert talk.transaction.doubtful == doubtful
    assert talk.after is after


@pytest.mark.parametrize(
    ("script", "violation"),
    [
        pytest.param("354 go", "MAIL was answered '354 go'", id="354 before MAIL"),
        pytest.param("250 x\n354 go", "RCPT was answered '354 go'", id="354 before DATA"),
        pytest.param("250 x\n250 x\n250 x\n250 x", "DATA was answered '250 x'", id="250 to DATA"),
        pytest.param(
            "250 x\n250 x\n250 x\n354 x\n354 x", "CONTENT was answered '354 x'", id="354 to the content"
        ),
        pytest.param("354 " + "x" * 77, f"MAIL was answered '354 {'x' * 76}'", id="a long one, cut short"),
    ],
)
def test_attack_answers_out_of_step(script: str, violation: str) -> None:
    """A reply that does not fit ends the session; no content goes on the strength of it."""
    talk = play(replies(script))

    assert talk.violation == violation
    assert ("(content)" in talk.said) == script.endswith("354 x\n354 x")


def test_after_the_content_a_missing_answer_leaves_a_doubt() -> None:
    """The server may have the message: that is for the caller to respect."""
    talk = play(replies("250 x\n550 no\n250 x\n354 go"))

    assert codes(talk) == {A: 550}
    assert talk.transaction.doubtful == [B]


some_replies = st.lists(
    st.sampled_from(["250 x", "354 x", "450 x", "452 x", "550 x", "552 x", "421 x", "250-a\n250 b"]).flatmap(
        lambda text: st.just(replies(text)[0])
    ),
    max_size=14,
)
# What leads on most of the time, or content would hardly ever be sent.
leading_on = st.lists(st.sampled_from(replies("250 x\n250 x\n250 x\n250 x\n354 x\n550 x")), max_size=14)


@given(
    script=st.one_of(some_replies, leading_on),
    count=st.integers(1, 4),
    extensions=st.sampled_from([PIPELINING, ONE_BY_ONE]),
    lmtp=st.booleans(),
    reset=st.booleans(),
)
def test_attack_no_script_gets_the_content_twice_or_too_early(
    script: list[ServerReply], count: int, extensions: Extensions, lmtp: bool, reset: bool
) -> None:
    """For any script: it ends, the content goes once at the most, and only to recipients accepted before."""
    to = recipients(count)
    talk = play(script, to, extensions, lmtp=lmtp, reset=reset)
    transaction = talk.transaction

    assert talk.said.count("(content)") <= 1
    assert talk.said.count(MAIL) <= 1
    if len(script) >= 2 * count + 4:
        assert talk.after is not None or talk.violation
    if "(content)" in talk.said:
        before = script[: count + 2 + reset]
        assert before[reset].kind == 2
        assert any(reply.kind == 2 for reply in before[1 + reset : -1])
        assert before[-1].kind == 3
    accounted = {*transaction.replies, *transaction.crowded_out, *transaction.doubtful}
    assert accounted <= set(to)
    assert not set(transaction.doubtful) & set(transaction.replies)
    assert not set(transaction.crowded_out) & set(transaction.replies)
    if talk.after in (After.REUSE, After.RESET):
        assert accounted == set(to)
    if any(reply.kind == 2 for reply in transaction.replies.values()):
        assert "(content)" in talk.said
