"""One message, one next hop: whom it reaches when servers take some and refuse others, break, or fill up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes

from requiretls_lab.domains import Domain, MailHost
from requiretls_lab.laboratory import Laboratory
from requiretls_lab.smtp_script import EXTENSIONS, Act, Answer, Script
from requiretls_plugin.certificate.tls_context import TLSContexts
from requiretls_plugin.delivery.attempt import Delivery, DeliveryRules, Job
from requiretls_plugin.delivery.content import Content
from requiretls_plugin.delivery.outcome import Attempt, Disposition, Outcome, Receipt
from requiretls_plugin.delivery.pool import Pool
from requiretls_plugin.delivery.session import SessionRules
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.engine import Engine
from requiretls_plugin.level import Level
from requiretls_plugin.message import Recipient
from requiretls_plugin.policy.demand import Rules
from requiretls_plugin.policy.evidence import Evidence, HostEvidence
from requiretls_plugin.policy.mx_lookup import NullMX
from requiretls_plugin.policy.next_hop import DomainHop
from requiretls_plugin.policy.refusal import Peer
from requiretls_plugin.policy.tlsa_lookup import HostLookupFailed
from requiretls_plugin.reason import Reason
from requiretls_plugin.reply import Reply
from requiretls_plugin.requirement import Requirement
from requiretls_plugin.security import Security
from requiretls_plugin.settings import DeliverySettings
from tests.delivery.delivering import Watching, deliver, delivered_by, in_words, message, plugins
from tests.delivery.demands import MESSAGE, recipients
from tests.policy.evidence_by_hand import ENFORCED, ENFORCED_ELSEWHERE, TESTED, TLSA_TIMED_OUT, behind_mx

REQUIRED, UNSTATED = Requirement.REQUIRED, Requirement.UNSTATED

FIRST, SECOND = "mx1.two-hosts.test", "mx2.two-hosts.test"
TO = tuple(f"{name}@two-hosts.test" for name in ("a", "b", "c"))

ONE_BY_ONE = tuple(extension for extension in EXTENSIONS if extension != "PIPELINING")


def script_of(lab: Laboratory, host: str, **replies: Answer | Sequence[Answer]) -> None:
    """Let *host* answer as given; `in_tls` and the like are not needed here."""
    lab.destination(host).script = Script(
        replies={step.replace("_", "-"): say for step, say in replies.items()}
    )


def script(lab: Laboratory, **replies: Answer | Sequence[Answer]) -> None:
    """Let the first of two hosts answer as given."""
    script_of(lab, FIRST, **replies)


def shown(outcomes: Sequence[Outcome]) -> list[str]:
    return [f"{outcome.disposition.value} {outcome.reply.code} {outcome.host}" for outcome in outcomes]


def accepted_by(lab: Laboratory, host: str) -> list[list[str]]:
    return [[to.address for to in accepted.recipients] for accepted in lab.destination(host).messages]


@pytest.mark.requirement("3461-5.2.1-1")
def test_each_recipient_has_an_outcome_of_its_own(lab: Laboratory) -> None:
    """Taken, refused for good, and put off to the next host, which takes it."""
    script(lab, RCPT=["250 ok", "550 5.1.1 unknown", "450 4.2.1 later"])

    outcomes = deliver(lab.settings(), message(), *TO)

    assert shown(outcomes) == [f"delivered 250 {FIRST}", f"failed 550 {FIRST}", f"delivered 250 {SECOND}"]
    assert accepted_by(lab, FIRST) == [["a@two-hosts.test"]]
    assert accepted_by(lab, SECOND) == [["c@two-hosts.test"]]
    assert outcomes[1].from_server
    assert outcomes[1].server_text == "550 5.1.1 unknown"


@pytest.mark.parametrize(
    "replies",
    [
        pytest.param({"greeting": "421 4.3.2 later"}, id="greeting 421"),
        pytest.param({"greeting": "554 5.3.2 no mail here"}, id="greeting 554"),
        pytest.param({"EHLO": "421 4.3.2 later"}, id="EHLO 421"),
        pytest.param({"EHLO in TLS": "450 4.3.2 later"}, id="EHLO 450"),
        pytest.param({"MAIL": "450 4.3.2 later"}, id="MAIL 450"),
        pytest.param({"MAIL": "421 4.3.2 later"}, id="MAIL 421"),
        pytest.param({"RCPT": "450 4.2.1 later"}, id="RCPT 450"),
        pytest.param({"RCPT": "452 4.5.3 no room"}, id="RCPT 452 for all"),
        pytest.param({"DATA": "451 4.3.2 later"}, id="DATA 451"),
        pytest.param({"DATA": "421 4.3.2 later"}, id="DATA 421"),
        pytest.param({"end-of-data": "451 4.3.2 later"}, id="content 451"),
        pytest.param({"end-of-data": "421 4.3.2 later"}, id="content 421"),
        pytest.param({"greeting": Act.CLOSE}, id="closed at once"),
        pytest.param({"EHLO in TLS": Act.RESET}, id="reset after the handshake"),
        pytest.param({"MAIL": Act.RESET}, id="reset at MAIL"),
        pytest.param({"DATA": Act.RESET}, id="reset at DATA"),
    ],
)
@pytest.mark.requirement("8461-5.1-1")
def test_whatever_may_be_better_elsewhere_is_tried_at_the_next_host(
    lab: Laboratory, replies: dict[str, Answer]
) -> None:
    """All three recipients, once."""
    lab.destination(FIRST).script = Script(replies=replies)

    outcomes = deliver(lab.settings(), message(REQUIRED), *TO)

    assert shown(outcomes) == [f"delivered 250 {SECOND}"] * 3
    assert accepted_by(lab, FIRST) == []
    assert accepted_by(lab, SECOND) == [list(TO)]


@pytest.mark.parametrize(
    ("replies", "code"),
    [
        pytest.param({"MAIL": "550 5.7.1 no"}, 550, id="MAIL"),
        pytest.param({"MAIL": "530 5.7.0 Must issue STARTTLS first"}, 530, id="MAIL wants TLS"),
        pytest.param({"RCPT": "550 5.1.1 no"}, 550, id="RCPT"),
        pytest.param({"DATA": "554 5.7.1 no"}, 554, id="DATA"),
        pytest.param({"end-of-data": "552 5.3.4 no"}, 552, id="content"),
    ],
)
@pytest.mark.requirement("8689-4.2.2-3")
def test_a_refusal_for_good_is_final(lab: Laboratory, replies: dict[str, Answer], code: int) -> None:
    """The next host is not asked, and the server's own words are passed on."""
    lab.destination(FIRST).script = Script(replies=replies)

    [outcome] = deliver(lab.settings(), message(), TO[0])

    assert shown([outcome]) == [f"failed {code} {FIRST}"]
    assert outcome.from_server
    assert lab.destination(SECOND).connections == []


@pytest.mark.parametrize("act", [Act.CLOSE, Act.RESET, Act.SILENCE])
@pytest.mark.parametrize("step", ["content", "end-of-data"])
def test_after_the_content_a_lost_connection_defers(lab: Laboratory, step: str, act: Act) -> None:
    """The first host may have the message, so the second is not given it now."""
    lab.destination(FIRST).script = Script(replies={step: act})
    settings = lab.settings(delivery={"data_timeout": 0.2})

    outcomes = deliver(settings, message(REQUIRED), *TO[:2])

    assert shown(outcomes) == [f"deferred 451 {FIRST}"] * 2
    assert lab.destination(SECOND).connections == []


def test_recipients_that_one_transaction_has_no_room_for_go_in_the_next(lab: Laboratory) -> None:
    """In the same session, and each of them once."""
    script(lab, RCPT=["250 ok", "452 4.5.3 too many", "452 4.5.3 too many", "250 ok", "452 4.5.3 too many"])

    outcomes = deliver(lab.settings(), message(), *TO)

    assert shown(outcomes) == [f"delivered 250 {FIRST}"] * 3
    assert accepted_by(lab, FIRST) == [[to] for to in TO]
    assert len(lab.destination(FIRST).connections) == 1


def test_many_recipients_go_a_hundred_at_a_time(lab: Laboratory) -> None:
    """RFC 5321 section 4.5.3.1.8 promises no more."""
    to = [f"r{number}@dane-ee.test" for number in range(250)]

    outcomes = deliver(lab.settings(), message(REQUIRED), *to)

    assert {in_words(outcome) for outcome in outcomes} == {"delivered dane requiretls"}
    host = lab.destination("mx.dane-ee.test")
    assert [len(accepted.recipients) for accepted in host.messages] == [100, 100, 50]
    assert [address for part in accepted_by(lab, host.name) for address in part] == to
    assert len(host.connections) == 1


def test_a_connection_lost_between_two_transactions_costs_only_the_second(lab: Laboratory) -> None:
    """What the first host took it has; the rest is tried at the second."""
    to = [f"r{number}@two-hosts.test" for number in range(150)]
    script(lab, MAIL=["250 ok", Act.RESET])

    outcomes = deliver(lab.settings(), message(), *to)

    assert shown(outcomes) == [f"delivered 250 {FIRST}"] * 100 + [f"delivered 250 {SECOND}"] * 50
    assert [len(accepted.recipients) for accepted in lab.destination(FIRST).messages] == [100]
    assert [len(accepted.recipients) for accepted in lab.destination(SECOND).messages] == [50]


@pytest.mark.parametrize("extensions", [EXTENSIONS, ONE_BY_ONE], ids=["pipelining", "no pipelining"])
def test_a_session_whose_transaction_came_to_nothing_takes_the_next_message(
    lab: Laboratory, extensions: tuple[str, ...]
) -> None:
    """After RSET; a handshake is worth more."""
    host = lab.destination("mx.dane-ee.test")
    host.script = Script(extensions=extensions, replies={"RCPT": ["550 5.1.1 unknown"]})

    async def run() -> list[Outcome]:
        async with Engine(lab.settings(), plugins()) as engine:
            return [
                outcome
                for _ in range(2)
                for outcome in await delivered_by(engine, message(REQUIRED), "a@dane-ee.test")
            ]

    assert shown(asyncio.run(run())) == [f"failed 550 {host.name}", f"delivered 250 {host.name}"]
    [connection] = host.connections
    assert connection.verbs[connection.verbs.index("RSET") :] == ["RSET", "MAIL", "RCPT", "DATA", "QUIT"]


def one_attempt(watching: Watching) -> Attempt:
    [attempt] = watching.attempts
    return attempt


def test_an_outcome_says_over_what_the_message_went(lab: Laboratory) -> None:
    """The server's words, what it proved, and whether it reports success itself."""
    host = lab.destination("mx.dane-ee.test")
    script_of(lab, host.name, end_of_data="250 2.6.0 queued as 17")

    [outcome] = deliver(lab.settings(), message(REQUIRED), "a@dane-ee.test")

    receipt = outcome.receipt
    assert receipt is not None
    assert outcome == Outcome(
        Recipient.parse("a@dane-ee.test"),
        Disposition.DELIVERED,
        Reply(250, "2.6.0", "queued as 17"),
        host=host.name,
        security=Security.DANE,
        requiretls=True,
        from_server=True,
        server_text="250 2.6.0 queued as 17",
        receipt=receipt,
        dsn_offered=True,
    )
    assert receipt == Receipt(
        host.address,
        "TLSv1.3",
        "TLS_AES_256_GCM_SHA384",
        host.certificate.leaf.fingerprint(hashes.SHA256()).hex(),
        host.certificate.tlsa("3 1 1"),
    )


def test_a_receipt_names_the_policy_it_was_proved_under(lab: Laboratory) -> None:
    """By its id (RFC 8461 section 3.1), and no TLSA record where none was asked for."""
    [outcome] = deliver(lab.settings(), message(REQUIRED), "a@sts.test")

    assert in_words(outcome) == "delivered sts-pkix requiretls"
    assert outcome.receipt is not None
    assert outcome.receipt.tlsa is None
    assert outcome.receipt.sts_policy_id


def test_a_receipt_of_cleartext_has_nothing_but_the_address(lab: Laboratory) -> None:
    """Nothing was proved."""
    host = lab.destination("mx.no-starttls.test")

    [outcome] = deliver(lab.settings(), message(UNSTATED), "a@no-starttls.test")

    assert outcome.receipt == Receipt(host.address)


def test_an_outcome_that_a_server_put_off_has_its_words_and_the_session_they_were_said_in(
    lab: Laboratory,
) -> None:
    """But no receipt: nobody had a last word."""
    script_of(lab, "mx.dane-ee.test", RCPT="450 4.2.1 later")

    [outcome] = deliver(lab.settings(), message(REQUIRED), "a@dane-ee.test")

    assert outcome == Outcome(
        Recipient.parse("a@dane-ee.test"),
        Disposition.DEFERRED,
        Reply(450, "4.2.1", "later"),
        host="mx.dane-ee.test",
        security=Security.DANE,
        requiretls=True,
        reason=Reason.REJECTED,
        from_server=True,
        server_text="450 4.2.1 later",
    )


def test_an_outcome_of_a_broken_session_has_our_words_and_what_the_session_was(lab: Laboratory) -> None:
    """MAIL was said in it, so the operator may want to know over what."""
    script_of(lab, "mx.dane-ee.test", MAIL=Act.RESET)

    [outcome] = deliver(lab.settings(), message(REQUIRED), "a@dane-ee.test")

    assert outcome == Outcome(
        Recipient.parse("a@dane-ee.test"),
        Disposition.DEFERRED,
        Reply(451, "4.4.2", "Connection lost (mx.dane-ee.test: connection-lost)"),
        host="mx.dane-ee.test",
        security=Security.DANE,
        requiretls=True,
        reason=Reason.CONNECTION_LOST,
    )


def test_recipients_that_a_server_which_says_goodbye_did_not_answer_for_are_deferred(lab: Laboratory) -> None:
    """It took the first one, and 421 to the second ends the session before the content."""
    script_of(lab, "mx.dane-ee.test", RCPT=["250 ok", "421 4.3.2 bye"])

    outcomes = deliver(lab.settings(), message(REQUIRED), "a@dane-ee.test", "b@dane-ee.test")

    assert [in_words(outcome) for outcome in outcomes] == ["deferred 421 4.3.2 rejected"] * 2
    assert {outcome.host for outcome in outcomes} == {"mx.dane-ee.test"}


def test_recipients_that_a_server_does_not_want_to_hear_of_are_deferred(lab: Laboratory) -> None:
    """A hundred are refused, and it takes no RSET; the next one was not spoken of, and no word ended it."""
    to = [f"r{number}@dane-ee.test" for number in range(101)]
    script_of(lab, "mx.dane-ee.test", RCPT=["550 5.1.1 no"] * 100, RSET="450 4.3.0 no")

    *refused, last = deliver(lab.settings(), message(REQUIRED), *to)

    assert {in_words(outcome) for outcome in refused} == {"failed 550 5.1.1 rejected"}
    assert str(last.reply) == "451 4.4.2 Connection lost (mx.dane-ee.test: connection-lost)"
    assert (last.host, last.reason) == ("mx.dane-ee.test", Reason.CONNECTION_LOST)


def test_where_content_may_have_arrived_the_cause_is_told(lab: Laboratory) -> None:
    """The session broke, or the server broke the protocol; both leave the same doubt."""
    script_of(lab, FIRST, end_of_data=b"nonsense\r\n")

    [outcome] = deliver(lab.settings(), message(), TO[0])

    assert in_words(outcome) == "deferred 451 4.5.0 protocol-violation"
    assert not outcome.from_server
    assert outcome.receipt is not None


@pytest.mark.requirement("8689-4.2.1-16")
def test_an_outcome_of_hosts_that_were_passed_over_was_said_by_no_server(lab: Laboratory) -> None:
    """It is our verdict, with our words."""
    [outcome] = deliver(lab.settings(), message(REQUIRED), "a@no-keyword.test")

    assert outcome == Outcome(
        Recipient.parse("a@no-keyword.test"),
        Disposition.FAILED,
        Reply(550, "5.7.30", "REQUIRETLS support required (mx.no-keyword.test: requiretls-not-offered)"),
        host="mx.no-keyword.test",
        reason=Reason.REQUIRETLS_NOT_OFFERED,
    )


def told(attempt: Attempt) -> Attempt:
    """Return *attempt* without what every run makes anew."""
    return replace(attempt, message=None, evidence=None, seconds=0.0)


def test_observers_are_told_of_each_session(lab: Laboratory) -> None:
    """Once for each message it carried, with what it settled, and whether it was there before."""
    host = lab.destination("mx.dane-ee.test")
    begin = time.monotonic()

    outcomes, watching = asyncio.run(two_messages(lab))

    first = Attempt(
        DomainHop(DomainName("dane-ee.test")),
        host.name,
        host.address,
        "dane",
        security=Security.DANE,
        requiretls_offered=True,
        requiretls_sent=True,
        outcomes=(outcomes[0],),
    )
    again = replace(first, outcomes=(outcomes[1],), reused=True)
    assert [told(attempt) for attempt in watching.attempts] == [first, again]
    for attempt in watching.attempts:
        assert attempt.message is not None
        assert attempt.message.requirement is REQUIRED
        assert attempt.evidence is not None
        assert attempt.evidence.next_hop == attempt.next_hop
        assert 0 < attempt.seconds < time.monotonic() - begin


def test_observers_are_told_what_broke_a_session(lab: Laboratory) -> None:
    """And that it settled nothing."""
    watching = Watching()
    script_of(lab, "mx.dane-ee.test", MAIL=b"nonsense\r\n")

    deliver(lab.settings(), message(REQUIRED), "a@dane-ee.test", watching=[watching])

    attempt = one_attempt(watching)
    assert (attempt.refusal, attempt.why) == (
        Reason.PROTOCOL_VIOLATION,
        "this is no SMTP reply: 'nonsense'",
    )
    assert attempt.outcomes == ()
    assert attempt.security is Security.DANE


def test_observers_are_told_of_a_host_that_fell_short(lab: Laboratory) -> None:
    """What was demanded, what it lacked, and both ends of the connection."""
    watching = Watching()
    begin = time.monotonic()

    deliver(lab.settings(), message(REQUIRED), "a@no-keyword.test", watching=[watching])

    host = lab.destination("mx.no-keyword.test")
    attempt = one_attempt(watching)
    assert told(attempt) == Attempt(
        DomainHop(DomainName("no-keyword.test")),
        host.name,
        host.address,
        "dane",
        refusal=Reason.REQUIRETLS_NOT_OFFERED,
        why="the server does not offer REQUIRETLS inside TLS",
        peer=Peer(host.address, host.connections[0].peer, host.name),
    )
    assert attempt.message is not None
    assert attempt.evidence is not None
    assert 0 < attempt.seconds < time.monotonic() - begin


def test_observers_are_told_of_a_host_that_was_not_even_asked(lab: Laboratory) -> None:
    """No connection was made, so there is no time it took and nobody at the other end."""
    watching = Watching()

    deliver(lab.settings(), message(REQUIRED), "a@unproven.test", watching=[watching])

    attempt = one_attempt(watching)
    assert attempt == Attempt(
        DomainHop(DomainName("unproven.test")),
        "mx.unproven.test",
        None,
        "nothing",
        refusal=Reason.NAME_NOT_PROVEN,
        why="neither DNSSEC nor an MTA-STS policy vouches for the host name",
        message=attempt.message,
        evidence=attempt.evidence,
    )
    assert attempt.message is not None
    assert attempt.evidence is not None


def test_observers_are_told_how_the_trial_of_a_testing_policy_ended(lab: Laboratory, tmp_path: Path) -> None:
    """Where reports are made; the message goes all the same (RFC 8461 section 5)."""
    watching = Watching()
    lab.destination("mx.sts-testing.test").script = Script(starttls=False)
    settings = lab.settings(reports={"tlsrpt_socket": tmp_path / "nobody"})

    [outcome] = deliver(settings, message(), "a@sts-testing.test", watching=[watching])

    assert in_words(outcome) == "delivered cleartext"
    trial = one_attempt(watching).trial
    assert trial is not None
    assert trial.reason is Reason.STARTTLS_NOT_OFFERED


async def nobody_watches(_: Attempt) -> None:
    """Observe nothing."""


def walked(
    evidence: Evidence, requirement: Requirement, outcomes: dict[Recipient, Outcome] | None = None
) -> Delivery:
    """Return a delivery that *evidence* alone decided, without a session."""
    session = SessionRules("relay.test", DeliverySettings(), TLSContexts())
    rules = DeliveryRules(session, Pool(total=1, per_host=1), Rules(), nobody_watches)
    content = Content.of(MESSAGE.content)
    job = Job(MESSAGE, requirement, Level.ENFORCE, content)
    delivery = Delivery(job, evidence, rules, {} if outcomes is None else outcomes)
    asyncio.run(delivery.run(recipients(1)))
    return delivery


@pytest.mark.parametrize(
    ("evidence", "blamed"),
    [
        pytest.param(behind_mx(secure=False, policy=ENFORCED_ELSEWHERE), True, id="lists other hosts"),
        pytest.param(
            behind_mx(secure=False, policy=TESTED), True, id="in mode testing, which proves no name"
        ),
        pytest.param(
            behind_mx(secure=True, dane=TLSA_TIMED_OUT, policy=ENFORCED), False, id="TLSA lookup failed"
        ),
        pytest.param(behind_mx(secure=False), True, id="no policy, and nothing signed"),
        pytest.param(
            replace(behind_mx(secure=True), mx=NullMX(secure=True), hosts=()), False, id="null MX, signed"
        ),
    ],
)
@pytest.mark.requirement("8461-5.1-2")
def test_what_had_a_part_in_a_refusal_is_asked_for_again(evidence: Evidence, blamed: bool) -> None:
    """A newer policy could list the host, a resolver that validates again could prove its name."""
    assert walked(evidence, REQUIRED).blames_evidence == blamed


def test_one_host_for_want_of_dnssec_is_enough_to_ask_again_and_to_wait() -> None:
    """Whatever the last host lacked; the verdict is our fault, as nobody validates for us."""
    unproven = behind_mx(secure=False)
    second = HostEvidence(DomainName("mx2.recipient.example"), 20, HostLookupFailed(False, "timed out"))
    blind = replace(unproven, hosts=(*unproven.hosts, second), blind="127.0.0.1:53 does not validate")

    delivery = walked(blind, REQUIRED)

    assert delivery.blames_evidence
    [outcome] = delivery.outcomes.values()
    assert (outcome.disposition, outcome.reason) == (Disposition.DEFERRED, Reason.CONFIGURATION)


def test_what_a_session_settled_is_not_taken_back() -> None:
    """Only recipients whom no server gave a last word about are tried again under a newer policy."""
    [early, late] = recipients(2)[::-1]
    final = Outcome(early, Disposition.FAILED, Reply(550, "5.1.1", "unknown"), receipt=Receipt("192.0.2.1"))
    delivery = walked(behind_mx(secure=False, policy=ENFORCED_ELSEWHERE), REQUIRED, {early: final})

    assert delivery.take_back() == [late]
    assert delivery.outcomes == {early: final}


async def two_messages(lab: Laboratory, between: object = None) -> tuple[list[Outcome], Watching]:
    """Deliver two messages one after the other, calling *between* in between."""
    watching = Watching()
    async with Engine(lab.settings(), plugins(watching)) as engine:
        outcomes = [*await delivered_by(engine, message(REQUIRED), "a@dane-ee.test")]
        if callable(between):
            between()
        # The farewell of a server has to arrive before it can be seen.
        await asyncio.sleep(0.02)
        outcomes += await delivered_by(engine, message(REQUIRED), "a@dane-ee.test")
    return outcomes, watching


def test_a_session_is_used_again(lab: Laboratory) -> None:
    """One handshake for two messages."""
    outcomes, _ = asyncio.run(two_messages(lab))

    assert [in_words(outcome) for outcome in outcomes] == ["delivered dane requiretls"] * 2
    [connection] = lab.destination("mx.dane-ee.test").connections
    assert connection.verbs.count("MAIL") == 2


@pytest.mark.requirement("8689-4.2.1-21", "8689-4.2.1-12")
def test_a_required_message_never_goes_over_a_laxer_session(lab: Laboratory) -> None:
    """An ordinary message opened one that verified nothing; the next message opens its own."""

    async def run() -> None:
        async with Engine(lab.settings(), plugins()) as engine:
            for requirement in (UNSTATED, REQUIRED, Requirement.OPTIONAL):
                await delivered_by(engine, message(requirement), "a@dnssec-pkix.test")

    asyncio.run(run())

    by_session = [connection.messages for connection in lab.destination("mx.dnssec-pkix.test").connections]
    assert [len(messages) for messages in by_session] == [1, 1, 1]
    assert [messages[0].requiretls for messages in by_session] == [False, True, False]


@pytest.mark.parametrize(
    "second_mail",
    [
        pytest.param("421 4.7.0 too many messages on this connection", id="421 to MAIL"),
        pytest.param(Act.RESET, id="reset"),
        pytest.param(Act.CLOSE, id="closed"),
        pytest.param(b"nonsense\r\n", id="nonsense"),
    ],
)
def test_a_kept_session_that_is_dead_is_replaced_without_a_word(lab: Laboratory, second_mail: Answer) -> None:
    """The message goes over a new one, at the same host, and nobody is told of a failure."""
    lab.destination("mx.dane-ee.test").script = Script(replies={"MAIL": ["250 ok", second_mail]})

    outcomes, watching = asyncio.run(two_messages(lab))

    assert [in_words(outcome) for outcome in outcomes] == ["delivered dane requiretls"] * 2
    assert [attempt.refusal for attempt in watching.attempts] == [None, None]
    assert [len(connection.messages) for connection in lab.destination("mx.dane-ee.test").connections] == [
        1,
        1,
    ]


def test_a_kept_session_that_is_dead_and_cannot_be_replaced_leaves_nothing_behind(lab: Laboratory) -> None:
    """The message waits, and the next one finds a place and a new session."""
    host = lab.destination("mx.dane-ee.test")
    host.script = Script(replies={"MAIL": ["250 ok", Act.RESET]})
    settings = lab.settings(delivery={"max_connections": 1, "max_connections_per_host": 1})

    async def run() -> list[str]:
        said = []
        async with Engine(settings, plugins()) as engine:
            for script in (Script(replies={"greeting": "450 4.3.2 later"}), Script(), Script()):
                [outcome] = await delivered_by(engine, message(REQUIRED), "a@dane-ee.test")
                said.append(in_words(outcome))
                host.script = script
        return said

    delivered = "delivered dane requiretls"
    assert asyncio.run(run()) == [delivered, "deferred 450 4.3.2 rejected", delivered]


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("null-mx.test", "failed 556 5.1.10 null-mx"),
        ("no-such.test", "failed 550 5.1.2 no-such-domain"),
        ("bogus.test", "deferred 451 4.4.3 dnssec-bogus"),
    ],
)
@pytest.mark.requirement("7505-4.1-1", "5321-5.1-2", "5321-5.1-3")
def test_where_dns_decides_alone_nobody_is_asked(lab: Laboratory, domain: str, expected: str) -> None:
    """And no session is there to be told of."""
    watching = Watching()

    [outcome] = deliver(lab.settings(), message(REQUIRED), f"a@{domain}", watching=[watching])

    assert in_words(outcome) == expected
    assert watching.attempts == []


def test_a_kept_session_that_said_goodbye_is_not_used(lab: Laboratory) -> None:
    """A farewell that nobody asked for is understood."""
    host = lab.destination("mx.dane-ee.test")
    farewell = b"250 2.0.0 queued\r\n421 4.4.2 idle, closing\r\n"
    host.script = Script(replies={"end-of-data": [farewell]})

    outcomes, _ = asyncio.run(two_messages(lab))

    assert [in_words(outcome) for outcome in outcomes] == ["delivered dane requiretls"] * 2
    assert [connection.verbs.count("MAIL") for connection in host.connections] == [1, 1]


def test_a_kept_session_lost_after_the_content_is_not_replaced(lab: Laboratory) -> None:
    """The server may have the second message already."""
    host = lab.destination("mx.dane-ee.test")
    host.script = Script(replies={"end-of-data": ["250 2.0.0 queued", Act.RESET]})

    outcomes, _ = asyncio.run(two_messages(lab))

    assert shown(outcomes) == [f"delivered 250 {host.name}", f"deferred 451 {host.name}"]
    assert len(host.connections) == 1


def test_a_kept_session_whose_server_restarted_is_replaced(lab: Laboratory) -> None:
    """The host is reachable; only the connection is gone."""
    host = lab.destination("mx.dane-ee.test")

    def restart() -> None:
        lab.stop(host)
        lab.start(host)

    outcomes, _ = asyncio.run(two_messages(lab, restart))

    assert [in_words(outcome) for outcome in outcomes] == ["delivered dane requiretls"] * 2


@pytest.mark.requirement("5321-5.1-9", "5321-5.1-10")
def test_the_next_address_of_a_host_is_tried(lab: Laboratory) -> None:
    """The first address refuses connections; nobody has to wait for the next run."""
    live = lab.destination("mx.dane-ee.test").address
    dead = lab.destination("mx2.down.test").address
    domain = Domain("two-addresses.test", records=("@ MX 10 mx", f"mx A {dead}", f"mx A {live}"))
    lab.publish(domain)

    outcomes = [deliver(lab.settings(), message(), "a@two-addresses.test") for _ in range(3)]

    assert [in_words(outcome) for [outcome] in outcomes] == ["delivered encrypted"] * 3


def test_a_host_without_an_address_is_passed_over(lab: Laboratory) -> None:
    """It does not exist, so it proves nothing and delays nothing."""
    domain = Domain("gone.test", (MailHost("mx2", 20, ("3 1 1",)),), records=("@ MX 10 mx1",))
    lab.publish(domain)

    [outcome] = deliver(lab.settings(), message(REQUIRED), "a@gone.test")

    assert in_words(outcome) == "delivered dane requiretls"


@pytest.mark.requirement("5321-4.5.4-1")
@pytest.mark.parametrize(
    ("step", "limit"),
    [
        ("greeting", "command_timeout"),
        ("EHLO", "command_timeout"),
        ("STARTTLS", "command_timeout"),
        ("handshake", "command_timeout"),
        ("EHLO in TLS", "command_timeout"),
        ("MAIL", "command_timeout"),
        ("DATA", "command_timeout"),
        ("end-of-data", "data_timeout"),
    ],
)
def test_every_step_has_its_limit(lab: Laboratory, step: str, limit: str) -> None:
    """A silent server costs no more than the settings say, and the message is deferred."""
    lab.destination("mx.dane-ee.test").script = Script(replies={step: Act.SILENCE})

    [outcome] = deliver(lab.settings(delivery={limit: 0.2}), message(REQUIRED), "a@dane-ee.test")

    assert in_words(outcome) == "deferred 451 4.4.2 connection-lost"


@pytest.mark.parametrize("step", ["greeting", "handshake", "MAIL", "end-of-data"])
def test_a_delivery_has_its_limit(lab: Laboratory, step: str) -> None:
    """Whatever the others are."""
    lab.destination("mx.dane-ee.test").script = Script(replies={step: Act.SILENCE})

    [outcome] = deliver(lab.settings(delivery={"total_timeout": 0.3}), message(REQUIRED), "a@dane-ee.test")

    assert outcome.disposition is Disposition.DEFERRED


def test_a_server_that_does_not_answer_quit_delays_nobody(lab: Laboratory) -> None:
    """The next host is asked at once."""
    lab.destination(FIRST).script = replace(lab.destination(FIRST).script, replies={"QUIT": Act.SILENCE})

    async def run() -> None:
        async with Engine(lab.settings(), plugins()) as engine, asyncio.timeout(2):
            [outcome] = await delivered_by(engine, message(REQUIRED), TO[0])
            assert in_words(outcome) == "delivered dane requiretls"
            lab.stop(lab.destination(FIRST))

    asyncio.run(run())


def test_a_message_too_big_for_the_server_is_not_offered(lab: Laboratory) -> None:
    """SIZE says so before a byte is sent (RFC 1870)."""
    host = lab.destination("mx.dane-ee.test")
    host.script = Script(extensions=("PIPELINING", "SIZE 100"))

    [outcome] = deliver(lab.settings(), message(content=b"x: y\r\n\r\n" + b"x" * 100), "a@dane-ee.test")

    assert in_words(outcome) == "failed 552 5.3.4 rejected"
    assert "MAIL" not in host.connections[0].verbs


def test_a_big_message_arrives_whole(lab: Laboratory) -> None:
    """Written piece by piece, read slowly."""
    host = lab.destination("mx.dane-ee.test")
    content = b"x: y\r\n\r\n" + b"".join(b".%078d\r\n" % number for number in range(60_000))

    [outcome] = deliver(lab.settings(), message(REQUIRED, content=content), "a@dane-ee.test")

    assert in_words(outcome) == "delivered dane requiretls"
    assert host.messages[0].content == content


def test_cancelling_a_delivery_leaves_the_engine_whole(lab: Laboratory) -> None:
    """Its place in the pool is free again and its session is not used by anybody."""
    host = lab.destination("mx.dane-ee.test")
    settings = lab.settings(delivery={"max_connections": 1, "max_connections_per_host": 1})

    async def run() -> Outcome:
        async with Engine(settings, plugins()) as engine:
            for step in ("greeting", "handshake", "EHLO in TLS", "MAIL", "end-of-data"):
                host.script = Script(replies={step: Act.SILENCE})
                task = asyncio.ensure_future(delivered_by(engine, message(REQUIRED), "a@dane-ee.test"))
                await asyncio.sleep(0.1)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            host.script = Script()
            [outcome] = await delivered_by(engine, message(REQUIRED), "a@dane-ee.test")
            return outcome

    assert in_words(asyncio.run(run())) == "delivered dane requiretls"
