"""A session that is open: what it says of itself, and what it makes of the messages it is given."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import pytest

from requiretls_plugin.certificate.tls_context import TLSContexts
from requiretls_plugin.delivery.connection import Connection
from requiretls_plugin.delivery.content import Content
from requiretls_plugin.delivery.envelope import MESSAGE_TOO_BIG
from requiretls_plugin.delivery.farewell import Farewells
from requiretls_plugin.delivery.outcome import Receipt
from requiretls_plugin.delivery.proof import Proof
from requiretls_plugin.delivery.server_reply import ServerReply
from requiretls_plugin.delivery.session import MAX_RECIPIENTS, Handover, Session, SessionRules
from requiretls_plugin.errors import ProtocolViolation
from requiretls_plugin.message import Message, Recipient
from requiretls_plugin.policy.demand import Demand
from requiretls_plugin.policy.refusal import Refusal, Sureness
from requiretls_plugin.reason import Reason
from requiretls_plugin.settings import DeliverySettings
from requiretls_plugin.smtp_extension import Extensions
from tests.delivery.demands import (
    ADDRESS,
    ANYTHING,
    HOST,
    LMTP,
    MESSAGE,
    PROVED,
    RECORD,
    RELAXED,
    REQUIRED,
    ehlo,
    recipients,
    replies,
    tls,
)

CONTENT = Content.of(MESSAGE.content)
LIMITS = DeliverySettings(command_timeout=3.0, data_timeout=7.0)
TRANSACTION = "250 mail\n250 rcpt\n354 go\n250 queued"


class ScriptedConnection:
    """Answers with *script*, reply by reply; an exception in it is raised, and None is silence.

    *said* has every flight, *patience* how long was to be waited for each answer.
    """

    def __init__(self, script: Sequence[ServerReply | Exception | None]) -> None:
        self._script = list(script)
        self.said: list[str] = []
        self.patience: list[float] = []
        self.alive = True
        self.aborted = False

    def say(self, commands: bytes) -> None:
        self.said.append(commands.decode())

    async def say_content(self, content: bytes, timeout: float) -> None:
        self.said.append("(content)" if content == CONTENT.wire else content.decode())
        self.patience.append(timeout)

    async def read_reply(self, timeout: float) -> ServerReply:
        self.patience.append(timeout)
        event = self._script.pop(0)
        if event is None:
            await asyncio.get_running_loop().create_future()
        if isinstance(event, Exception):
            raise event
        assert event is not None  # nobody ends the silence
        return event

    def abort(self) -> None:
        self.aborted = True

    def close(self) -> None:
        pass

    async def closed(self) -> None:
        pass


def session_over(
    connection: ScriptedConnection,
    demand: Demand = ANYTHING,
    *keywords: str,
    in_tls: bool = True,
    farewells: Farewells | None = None,
) -> Session:
    """Return a session whose server offered *keywords*."""
    proof = Proof(
        tls(PROVED if demand.authenticated else None) if in_tls else None,
        Extensions.parse(ehlo(*keywords).lines),
    )
    rules = SessionRules("relay.test", LIMITS, TLSContexts(), farewells or Farewells())
    return Session(demand, cast(Connection, connection), proof, ADDRESS, rules)


def send(session: Session, *to: Recipient, message: Message = MESSAGE) -> Handover:
    return asyncio.run(session.send(message, to, Content.of(message.content)))


def codes(done: Handover) -> dict[Recipient, int]:
    return {recipient: reply.code for recipient, reply in done.replies.items()}


[A, B] = recipients(2)


@pytest.mark.requirement("8689-4.2.1-9", "8689-8.2-1")
def test_attack_no_session_is_made_that_falls_short_of_its_demand() -> None:
    """Whoever opens one wrongly gets none."""
    with pytest.raises(RuntimeError, match="a session must not exist: the server does not offer REQUIRETLS"):
        session_over(ScriptedConnection([]), REQUIRED, "SIZE")


@pytest.mark.parametrize(
    ("demand", "keywords", "in_tls", "sent"),
    [
        pytest.param(REQUIRED, ("REQUIRETLS",), True, True, id="demanded"),
        pytest.param(RELAXED, ("REQUIRETLS",), True, True, id="relaxed, and offered"),
        pytest.param(RELAXED, ("REQUIRETLS",), False, False, id="relaxed, and offered in cleartext"),
        pytest.param(RELAXED, (), True, False, id="relaxed, not offered"),
        pytest.param(ANYTHING, ("REQUIRETLS",), True, False, id="not asked for"),
    ],
)
@pytest.mark.requirement("8689-4.2.1-20", "8689-2-15")
def test_requiretls_is_said_where_it_is_to_be_passed_on_and_offered_inside_tls(
    demand: Demand, keywords: tuple[str, ...], in_tls: bool, sent: bool
) -> None:
    """Nowhere else."""
    connection = ScriptedConnection(replies(TRANSACTION))

    send(session_over(connection, demand, *keywords, in_tls=in_tls), A)

    assert connection.said[0] == f"MAIL FROM:<a@sender.example>{' REQUIRETLS' if sent else ''}\r\n"


@pytest.mark.parametrize(
    ("demand", "message", "asks"),
    [
        pytest.param(RELAXED, MESSAGE, True, id="relaxed"),
        pytest.param(RELAXED, replace(MESSAGE, return_path=None), False, id="relaxed, null return path"),
        pytest.param(ANYTHING, MESSAGE, False, id="REQUIRETLS was not asked for"),
    ],
)
def test_a_hop_relaxed_by_a_level_is_asked_to_return_headers_only(
    demand: Demand, message: Message, asks: bool
) -> None:
    """Its bounce would not be held to REQUIRETLS; to nobody there is no bounce."""
    connection = ScriptedConnection(replies(TRANSACTION))

    send(session_over(connection, demand, "DSN"), A, message=message)

    assert ("RET=HDRS" in connection.said[0]) == asks


def test_a_hop_that_takes_requiretls_is_asked_for_nothing_more() -> None:
    """It keeps the promise."""
    connection = ScriptedConnection(replies(TRANSACTION))

    send(session_over(connection, RELAXED, "DSN", "REQUIRETLS"), A)

    assert "RET=" not in connection.said[0]


def test_answers_to_commands_and_to_content_have_their_own_patience() -> None:
    """RFC 5321 section 4.5.3.2: a server may think longer about a message than about a command."""
    connection = ScriptedConnection(replies(TRANSACTION))

    done = send(session_over(connection), A)

    assert connection.said[-1] == "(content)"
    assert connection.patience == [3.0, 3.0, 3.0, 7.0, 7.0]
    assert codes(done) == {A: 250}
    assert not connection.aborted


def test_over_lmtp_each_recipient_is_answered_for() -> None:
    """RFC 2033 section 4.2."""
    connection = ScriptedConnection(replies("250 mail\n250 rcpt\n250 rcpt\n354 go\n250 queued\n550 no"))

    assert codes(send(session_over(connection, LMTP), A, B)) == {A: 250, B: 550}


def test_a_recipient_the_server_cannot_be_asked_about_is_not_named_to_it() -> None:
    """If none is left, nothing is said at all."""
    connection = ScriptedConnection([])

    done = send(session_over(connection, ANYTHING, "SIZE 5"), A, B)

    assert done.unsendable == {A: MESSAGE_TOO_BIG, B: MESSAGE_TOO_BIG}
    assert connection.said == []
    assert not done.never_begun


def test_only_the_recipients_that_need_what_is_not_offered_are_left_out() -> None:
    """The others go."""
    international = Recipient.parse("jörg@recipient.example")
    connection = ScriptedConnection(replies(TRANSACTION))

    done = send(session_over(connection), international, A)

    assert set(done.unsendable) == {international}
    assert codes(done) == {A: 250}


def test_more_recipients_than_every_server_takes_go_in_several_transactions() -> None:
    """And those without room in one go in the next, before the rest."""
    to = recipients(MAX_RECIPIENTS + 1)
    first = "\n".join(
        ["250 mail", *["250 rcpt"] * (MAX_RECIPIENTS - 1), "452 4.5.3 full", "354 go", "250 queued"]
    )
    second = "250 mail\n250 rcpt\n250 rcpt\n354 go\n250 queued"
    connection = ScriptedConnection(replies(f"{first}\n{second}"))

    done = send(session_over(connection, ANYTHING, "PIPELINING"), *to)

    assert codes(done) == dict.fromkeys(to, 250)
    flights = [flight.count("RCPT TO:") for flight in connection.said if flight != "(content)"]
    assert flights == [MAX_RECIPIENTS, 2]
    assert connection.said[2].index(f"<{to[-2]}>") < connection.said[2].index(f"<{to[-1]}>")


def test_a_transaction_that_came_to_nothing_is_reset_before_the_next() -> None:
    """In the same session."""
    connection = ScriptedConnection(replies("250 mail\n550 no\n250 reset\n" + TRANSACTION))
    session = session_over(connection)

    send(session, A)
    assert session.usable
    send(session, B)

    assert [line.partition(" ")[0].strip() for line in connection.said] == [
        "MAIL", "RCPT", "RSET", "MAIL", "RCPT", "DATA", "(content)",
    ]  # fmt: skip
    assert session.messages == 2


def test_a_session_that_a_421_ended_carries_no_further_recipients() -> None:
    """Those not spoken of yet go elsewhere."""
    to = recipients(MAX_RECIPIENTS + 1)
    connection = ScriptedConnection(replies("421 bye"))
    session = session_over(connection)

    done = send(session, *to)

    assert codes(done) == dict.fromkeys(to[:MAX_RECIPIENTS], 421)
    assert done.refusal is None
    assert done.never_begun
    assert not session.usable
    assert connection.aborted


BREAKS = [
    pytest.param(
        ProtocolViolation("nonsense"), Reason.PROTOCOL_VIOLATION, "nonsense", id="protocol violation"
    ),
    pytest.param(TimeoutError(), Reason.CONNECTION_LOST, "timed out", id="silence"),
    pytest.param(ConnectionResetError("reset"), Reason.CONNECTION_LOST, "reset", id="reset"),
]


@pytest.mark.parametrize(("error", "reason", "why"), BREAKS)
def test_what_breaks_a_session_is_told_and_ends_it(error: Exception, reason: Reason, why: str) -> None:
    """Before the content nothing is in doubt, so the message can go over another session."""
    connection = ScriptedConnection([error])
    session = session_over(connection)

    done = send(session, A)

    assert done.refusal == Refusal(reason, Sureness.NOT_JUDGED, why, HOST.text)
    assert done.replies == {}
    assert done.doubtful == set()
    assert done.never_begun
    assert not session.usable
    assert connection.aborted


@pytest.mark.parametrize(("error", "reason", "why"), BREAKS)
def test_what_breaks_a_session_behind_the_content_leaves_a_doubt(
    error: Exception, reason: Reason, why: str
) -> None:
    """The server may have the message; nobody else is given it now, nor the further recipients."""
    to = recipients(MAX_RECIPIENTS + 1)
    accepted = "\n".join(["250 mail", *["250 rcpt"] * MAX_RECIPIENTS, "354 go"])
    session = session_over(ScriptedConnection([*replies(accepted), error]))

    done = send(session, *to)

    assert done.refusal is not None
    assert (done.refusal.reason, done.refusal.why) == (reason, why)
    assert done.doubtful == set(to[:MAX_RECIPIENTS])
    assert not done.never_begun


def test_a_cancelled_message_ends_the_session() -> None:
    """The next message must not meet the replies to this one."""
    connection = ScriptedConnection([None])
    session = session_over(connection)

    async def run() -> None:
        task = asyncio.ensure_future(session.send(MESSAGE, [A], CONTENT))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())

    assert not session.usable
    assert connection.aborted


def test_a_session_knows_when_it_was_opened_and_last_used() -> None:
    """The pool keeps it for so long after either."""
    before = time.monotonic()
    session = session_over(ScriptedConnection(replies(TRANSACTION)))
    made = time.monotonic()
    assert before <= session.opened == session.last_used <= made
    session.last_used = 0.0

    send(session, A)

    assert made <= session.last_used <= time.monotonic()
    assert session.opened <= made
    assert (session.messages, session.trial) == (1, None)


def test_a_receipt_says_what_was_proved() -> None:
    """And is made once for each policy."""
    session = session_over(ScriptedConnection([]), REQUIRED, "REQUIRETLS")

    receipt = session.receipt("20260101")

    assert receipt == Receipt(
        str(ADDRESS), "TLSv1.3", "TLS_AES_256_GCM_SHA384", None, str(RECORD), "20260101"
    )
    assert session.receipt("20260101") is receipt
    assert session.receipt("20260202").sts_policy_id == "20260202"
    assert session.receipt().sts_policy_id is None
    in_cleartext = session_over(ScriptedConnection([]), in_tls=False)
    assert in_cleartext.receipt("20260101") == Receipt(str(ADDRESS), sts_policy_id="20260101")
    unverified = session_over(ScriptedConnection([]))
    assert unverified.receipt().tlsa is None


def test_a_session_ends_with_quit() -> None:
    """And is waited for."""
    connection = ScriptedConnection(replies("221 bye"))
    farewells = Farewells()

    async def run() -> None:
        await session_over(connection, farewells=farewells).quit()

    asyncio.run(run())

    assert connection.said == ["QUIT\r\n"]
    assert connection.aborted
