"""Opening a session: which address, how long, and what is left open when it fails."""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from requiretls_lab.laboratory import Laboratory
from requiretls_lab.smtp_script import Act, Answer, Script
from requiretls_plugin.certificate.tls_context import TLSContexts
from requiretls_plugin.delivery import opening
from requiretls_plugin.delivery.connection import Connection
from requiretls_plugin.delivery.opening import open_session
from requiretls_plugin.delivery.session import Session, SessionRules
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.policy.demand import Demand
from requiretls_plugin.policy.next_hop import UNIXSocket
from requiretls_plugin.policy.refusal import Peer, Refusal, Sureness
from requiretls_plugin.reason import Reason
from requiretls_plugin.reply import Reply
from requiretls_plugin.security import Security
from tests.delivery.demands import ANYTHING, ENCRYPTED, IF_TLS_FAILS_CLEARTEXT, PKIX
from tests.delivery.other_servers import AsksForACertificate, OtherServer

HOST = DomainName("mx.dnssec-pkix.test")


def rules(lab: Laboratory, **delivery: float) -> SessionRules:
    settings = lab.settings(delivery=delivery)
    return SessionRules("relay.test", settings.delivery, TLSContexts(settings.tls.ca_file))


def addressed(lab: Laboratory, demand: Demand, *hosts: str) -> Demand:
    """Return *demand* for HOST at the addresses of *hosts*, in this order."""
    found = tuple(ipaddress.ip_address(lab.destination(host).address) for host in hosts)
    return replace(demand, host=HOST, port=lab.port, addresses=found)


async def opened(demand: Demand, rules: SessionRules) -> Session | Refusal:
    """Open a session, and say goodbye if there is one."""
    session = await open_session(demand, rules)
    if isinstance(session, Session):
        await session.quit()
    await rules.farewells.all_said()
    return session


DEAD, LIVE, OTHER = "mx2.down.test", HOST.text, "mx.dane-ee.test"


@pytest.mark.requirement("5321-5.1-9", "5321-5.1-10")
def test_the_next_address_is_tried_when_one_does_not_answer(lab: Laboratory) -> None:
    """In the order that DNS gave them."""
    session = asyncio.run(opened(addressed(lab, ANYTHING, DEAD, LIVE, OTHER), rules(lab)))

    assert isinstance(session, Session)
    assert str(session.address) == lab.destination(LIVE).address
    assert lab.destination(OTHER).connections == []


@pytest.mark.parametrize("act", [Act.CLOSE, Act.RESET, Act.SILENCE, "421 4.3.2 later"])
def test_the_next_address_is_tried_when_one_answers_badly(lab: Laboratory, act: Act | str) -> None:
    """One machine of several that is ill need not hold up the mail."""
    lab.destination(OTHER).script = Script(replies={"greeting": act})

    demand = addressed(lab, ANYTHING, OTHER, LIVE)
    session = asyncio.run(opened(demand, rules(lab, command_timeout=2.0)))

    assert isinstance(session, Session)
    assert str(session.address) == lab.destination(LIVE).address


def test_what_one_address_proved_another_is_not_asked(lab: Laboratory) -> None:
    """The host is one host: a certificate for another name is a verdict on it."""
    refusal = asyncio.run(opened(addressed(lab, replace(PKIX, pkix_name=HOST), OTHER, LIVE), rules(lab)))

    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.CERTIFICATE_NAME_MISMATCH
    assert lab.destination(LIVE).connections == []


def test_no_more_than_a_few_addresses_are_tried(lab: Laboratory) -> None:
    """A host with a hundred addresses is no reason to wait a hundred times."""
    demand = addressed(lab, ANYTHING, *[DEAD] * opening.MAX_ADDRESSES, LIVE)

    refusal = asyncio.run(opened(demand, rules(lab)))

    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.HOST_UNREACHABLE


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """For how many seconds each connection was waited for."""
    seconds: list[float] = []
    real = Connection.open

    async def noting(*place: Any, timeout: float) -> Connection:
        seconds.append(timeout)
        return await real(*place, timeout=timeout)

    monkeypatch.setattr(Connection, "open", noting)
    return seconds


def test_however_many_addresses_there_are_one_of_each_family_is_tried(
    lab: Laboratory, patience: list[float]
) -> None:
    """Where IPv6 leads nowhere, a host with many such addresses is still reached over IPv4."""
    demand = addressed(lab, ANYTHING, LIVE, OTHER)
    nowhere = (ipaddress.ip_address("::1"),) * 2 * opening.MAX_ADDRESSES

    session = asyncio.run(opened(replace(demand, addresses=nowhere + demand.addresses), rules(lab)))

    assert isinstance(session, Session)
    assert str(session.address) == lab.destination(LIVE).address
    assert len(patience) == opening.MAX_ADDRESSES


@pytest.mark.parametrize("trial_name", [None, HOST], ids=["as it is", "on trial"])
def test_only_the_last_address_is_given_all_the_patience_of_the_settings(
    lab: Laboratory, patience: list[float], trial_name: DomainName | None
) -> None:
    """A network that drops one family without a word keeps the other waiting for seconds, not for minutes."""
    demand = replace(addressed(lab, ANYTHING, DEAD, DEAD, LIVE), trial_name=trial_name)

    for seconds in (30.0, 2.0):
        assert isinstance(asyncio.run(opened(demand, rules(lab, connect_timeout=seconds))), Session)

    assert patience == [opening.FAILOVER, opening.FAILOVER, 30.0, 2.0, 2.0, 2.0]


def test_a_trial_that_fails_leaves_the_patience_as_it_was(lab: Laboratory, patience: list[float]) -> None:
    """The second connection is waited for as long as the first."""
    demand = replace(addressed(lab, ANYTHING, LIVE), trial_name=ELSEWHERE)

    assert isinstance(asyncio.run(opened(demand, rules(lab, connect_timeout=30.0))), Session)

    assert patience == [30.0, 30.0]


def test_a_host_without_addresses_is_not_reached(lab: Laboratory) -> None:
    """Nothing is guessed."""
    refusal = asyncio.run(opened(addressed(lab, ANYTHING), rules(lab)))

    assert refusal == refused(Reason.HOST_UNREACHABLE, Sureness.NOT_JUDGED, "has no address to connect to")


def refused(
    reason: Reason, sureness: Sureness, why: str, reply: Reply | None = None, text: str | None = None
) -> Refusal:
    return Refusal(reason, sureness, why, HOST.text, reply, text)


BREAKS = [
    pytest.param(
        "greeting",
        b"nonsense\r\n",
        refused(Reason.PROTOCOL_VIOLATION, Sureness.NOT_JUDGED, "this is no SMTP reply: 'nonsense'"),
        id="no SMTP",
    ),
    pytest.param(
        "EHLO",
        Act.CLOSE,
        refused(Reason.CONNECTION_LOST, Sureness.NOT_JUDGED, "connection closed by the server"),
        id="closed",
    ),
    pytest.param(
        "EHLO", Act.SILENCE, refused(Reason.CONNECTION_LOST, Sureness.NOT_JUDGED, "timed out"), id="silence"
    ),
    pytest.param(
        "greeting",
        "554 5.3.2 no mail here",
        refused(
            Reason.REJECTED,
            Sureness.PROVED,
            "greeting was answered '554 5.3.2 no mail here'",
            Reply(554, "5.3.2", "no mail here"),
            "554 5.3.2 no mail here",
        ),
        id="refused for good",
    ),
]


@pytest.mark.parametrize(("step", "answer", "expected"), BREAKS)
def test_a_refusal_says_what_happened_and_between_whom(
    lab: Laboratory, step: str, answer: Answer, expected: Refusal
) -> None:
    """Reason, sureness, words, the server's own where they decided, and both ends of the connection."""
    lab.destination(LIVE).script = Script(replies={step: answer})

    refusal = asyncio.run(opened(addressed(lab, PKIX, LIVE), rules(lab, command_timeout=0.2)))

    assert refusal == expected
    assert isinstance(refusal, Refusal)
    [connection] = lab.destination(LIVE).connections
    assert refusal.peer == Peer(lab.destination(LIVE).address, connection.peer)


def test_a_refusal_says_what_the_server_called_itself(lab: Laboratory) -> None:
    """Some machines answer for others; the operator wants to know which it was."""
    lab.destination(LIVE).script = Script(replies={"STARTTLS": Act.RESET})

    refusal = asyncio.run(opened(addressed(lab, PKIX, LIVE), rules(lab)))

    assert isinstance(refusal, Refusal)
    assert refusal.peer is not None
    assert refusal.peer.greeted_as == LIVE


def test_attack_an_alert_after_our_side_of_the_handshake_is_a_proof(lab: Laboratory) -> None:
    """In TLS 1.3 a server that wants a certificate of ours says so when we think that all is done."""
    host = lab.destination(LIVE)
    host.certificate = AsksForACertificate.like(host.certificate)

    refusal = asyncio.run(opened(addressed(lab, ENCRYPTED, LIVE), rules(lab)))

    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.sureness) == (Reason.TLS_HANDSHAKE_FAILED, Sureness.PROVED)
    assert refusal.host == LIVE
    assert refusal.why.startswith("TLS: [SSL: ")


def test_a_host_that_is_not_reached_is_named_with_its_port_and_the_cause(lab: Laboratory) -> None:
    """There is no other end of a connection to tell."""
    demand = addressed(lab, ANYTHING, DEAD)

    refusal = asyncio.run(opened(demand, rules(lab)))

    assert isinstance(refusal, Refusal)
    assert refusal == refused(Reason.HOST_UNREACHABLE, Sureness.NOT_JUDGED, refusal.why)
    assert refusal.why.startswith(f"no connection to {lab.destination(DEAD).address} port {lab.port}: ")
    assert "[Errno " in refusal.why
    assert refusal.peer is None


def test_a_socket_that_is_not_there_is_named_by_its_path(lab: Laboratory, tmp_path: Path) -> None:
    """It has no port."""
    demand = replace(
        ANYTHING, host=UNIXSocket(f"{tmp_path}/none"), addresses=(UNIXSocket(f"{tmp_path}/none"),)
    )

    refusal = asyncio.run(opened(demand, rules(lab)))

    assert isinstance(refusal, Refusal)
    assert refusal.why.startswith(f"no connection to unix:{tmp_path}/none: ")


@pytest.mark.parametrize("step", ["handshake", "EHLO in TLS"])
@pytest.mark.parametrize("act", [Act.CLOSE, b"nonsense\r\n"])
@pytest.mark.requirement("8689-4.2.2-2")
def test_tls_that_breaks_where_it_need_not_be_leads_to_one_more_try_without_it(
    lab: Laboratory, patience: list[float], step: str, act: Answer
) -> None:
    """On a new connection, and there STARTTLS is not even said."""
    lab.destination(LIVE).script = Script(replies={step: act})

    demand = addressed(lab, IF_TLS_FAILS_CLEARTEXT, LIVE)
    session = asyncio.run(opened(demand, rules(lab, connect_timeout=30.0)))

    assert isinstance(session, Session)
    assert session.proof.tls is None
    assert ["STARTTLS" in each.verbs for each in lab.destination(LIVE).connections] == [True, False]
    assert patience == [30.0, 30.0]


@pytest.mark.parametrize("secured", [True, False], ids=["TLS at once", "a server that waits for a word"])
def test_implicit_tls_begins_with_the_handshake(lab: Laboratory, secured: bool) -> None:
    """RFC 8314: nothing is said or heard before it."""
    server = OtherServer(lab.destination(LIVE), Script())

    async def run() -> Session | Refusal:
        async with server.at_port(implicit_tls=secured) as port:
            demand = replace(addressed(lab, ENCRYPTED, LIVE), port=port, implicit_tls=True)
            return await opened(demand, rules(lab))

    session = asyncio.run(run())

    if secured:
        assert isinstance(session, Session)
        assert session.proof.tls is not None
        assert [each.verbs for each in server.connections] == [["EHLO", "QUIT"]]
    else:
        assert isinstance(session, Refusal)
        assert session.reason is Reason.TLS_HANDSHAKE_FAILED


def test_a_refusal_in_good_order_leads_to_no_try_without_tls(lab: Laboratory) -> None:
    """What a server says in SMTP it would say again."""
    lab.destination(LIVE).script = Script(replies={"EHLO": "450 4.3.2 later"})

    refusal = asyncio.run(opened(addressed(lab, IF_TLS_FAILS_CLEARTEXT, LIVE), rules(lab)))

    assert isinstance(refusal, Refusal)
    assert len(lab.destination(LIVE).connections) == 1


ELSEWHERE = DomainName("mx.elsewhere.test")


def test_a_trial_that_succeeds_leaves_nothing_to_tell(lab: Laboratory) -> None:
    """The session would have been good enough for the policy in force."""
    demand = replace(addressed(lab, ANYTHING, LIVE), trial_name=HOST)

    session = asyncio.run(opened(demand, rules(lab)))

    assert isinstance(session, Session)
    assert session.trial is None
    assert session.demand == demand
    assert session.proof.authenticated
    assert session.security is Security.ENCRYPTED  # a policy on trial vouches for nothing
    assert len(lab.destination(LIVE).connections) == 1


def test_a_trial_that_fails_is_told_and_the_session_is_made_all_the_same(lab: Laboratory) -> None:
    """RFC 8461 section 5: mode testing delivers, and reports what would have failed."""
    demand = replace(addressed(lab, ANYTHING, LIVE), trial_name=ELSEWHERE)

    session = asyncio.run(opened(demand, rules(lab)))

    assert isinstance(session, Session)
    assert session.demand == demand
    assert session.proof.tls is not None
    assert session.proof.tls.verdict is None
    assert session.trial == refused(
        Reason.CERTIFICATE_NAME_MISMATCH, Sureness.PROVED, f"the certificate is not for {ELSEWHERE}"
    )
    assert len(lab.destination(LIVE).connections) == 2


def test_a_trial_fails_for_want_of_starttls_too(lab: Laboratory) -> None:
    """And the message goes in cleartext, as it would without a policy."""
    lab.destination(LIVE).script = Script(starttls=False)
    demand = replace(addressed(lab, ANYTHING, LIVE), trial_name=HOST)

    session = asyncio.run(opened(demand, rules(lab)))

    assert isinstance(session, Session)
    assert session.proof.tls is None
    assert session.trial is not None
    assert session.trial.reason is Reason.STARTTLS_NOT_OFFERED


@pytest.mark.parametrize(
    ("host", "answer", "reason"),
    [
        pytest.param(DEAD, None, Reason.HOST_UNREACHABLE, id="not reached"),
        pytest.param(LIVE, "450 4.3.2 later", Reason.REJECTED, id="put off"),
    ],
)
def test_what_has_nothing_to_do_with_the_policy_on_trial_is_not_tried_again(
    lab: Laboratory, host: str, answer: str | None, reason: Reason
) -> None:
    """It would end the same way."""
    lab.destination(host).script = Script(replies={"greeting": answer} if answer else {})
    demand = replace(addressed(lab, ANYTHING, host), trial_name=HOST)

    refusal = asyncio.run(opened(demand, rules(lab)))

    assert isinstance(refusal, Refusal)
    assert refusal.reason is reason
    assert len(lab.destination(host).connections) == (answer is not None)


def test_a_trial_of_a_host_that_answers_to_nobody_ends_in_its_real_refusal(lab: Laboratory) -> None:
    """What the server does without the policy decides."""
    lab.destination(LIVE).script = Script(replies={"EHLO": b"nonsense\r\n"})
    demand = replace(addressed(lab, ANYTHING, LIVE), trial_name=HOST)

    refusal = asyncio.run(opened(demand, rules(lab)))

    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.PROTOCOL_VIOLATION
    assert len(lab.destination(LIVE).connections) == 2


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("step", ["greeting", "EHLO", "STARTTLS", "handshake", "EHLO in TLS"])
@pytest.mark.parametrize("act", [Act.CLOSE, Act.RESET, b"nonsense\r\n", "421 bye"])
def test_no_file_is_left_open(lab: Laboratory, step: str, act: Act | bytes | str) -> None:
    """However an opening ends."""
    lab.destination(LIVE).script = Script(replies={step: act})

    async def many() -> int:
        mine = rules(lab)
        demand = addressed(lab, PKIX, LIVE)
        await opened(demand, mine)
        before = open_files()
        for _ in range(5):
            await opened(demand, mine)
        await asyncio.sleep(0.01)
        return open_files() - before

    # The laboratory's side of a connection may take a moment longer.
    assert asyncio.run(many()) <= 2
