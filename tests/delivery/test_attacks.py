"""Attacks on outgoing sessions. Whatever is tried: no message without its demand met, and none lost."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Sequence

import pytest

from requiretls_lab.authority import EXPIRED, Leaf
from requiretls_lab.domains import Domain, MailHost, Policy
from requiretls_lab.laboratory import Laboratory
from requiretls_lab.smtp_script import Act, Answer, Drip, Endless, Offer, Script
from requiretls_lab.zones import ZoneKind
from requiretls_plugin.delivery.outcome import Disposition, Outcome
from requiretls_plugin.engine import Engine
from requiretls_plugin.requirement import Requirement
from tests.delivery.cutting_wire import CuttingWire, free_port
from tests.delivery.delivering import deliver, delivered_by, in_words, message, plugins
from tests.delivery.other_servers import AsksForACertificate

REQUIRED, UNSTATED, OPTIONAL = Requirement.REQUIRED, Requirement.UNSTATED, Requirement.OPTIONAL

HOST, TO = "mx.dane-ee.test", "u@dane-ee.test"


def result(lab: Laboratory, script: Script, requirement: Requirement = REQUIRED, **settings: object) -> str:
    """Return what becomes of a message when the host of dane-ee.test follows *script*."""
    lab.destination(HOST).script = script
    limits: dict[str, object] = {"command_timeout": 0.3, "data_timeout": 0.3, **settings}
    [outcome] = deliver(lab.settings(delivery=limits), message(requirement), TO)
    return in_words(outcome)


def nothing_arrived(lab: Laboratory) -> bool:
    """Whether the host of dane-ee.test was told of no message at all."""
    return not any("MAIL" in connection.verbs for connection in lab.destination(HOST).connections)


@pytest.mark.requirement("8689-8.2-1", "7672-2.2.3-4", "8689-2-11")
@pytest.mark.parametrize("offer", [Offer.NEVER, Offer.ALWAYS])
def test_attack_starttls_stripped(lab: Laboratory, offer: Offer) -> None:
    """A middlebox hides the keyword: nothing goes in the clear where DANE or REQUIRETLS is."""
    script = Script(starttls=False, requiretls=offer)

    assert result(lab, script) == "failed 550 5.7.10 starttls-not-offered"
    assert result(lab, script, UNSTATED) == "deferred 451 4.7.5 starttls-not-offered"
    assert nothing_arrived(lab)


@pytest.mark.parametrize("mangled", ["XXXXXXXX", "STARTTLSX", "XSTARTTLS"])
def test_attack_starttls_mangled(lab: Laboratory, mangled: str) -> None:
    """As some firewalls did."""
    script = Script(starttls=False, extensions=(mangled,))

    assert result(lab, script) == "failed 550 5.7.10 starttls-not-offered"


@pytest.mark.parametrize(
    ("answer", "required", "unstated"),
    [
        ("454 4.7.0 later", "deferred 451 4.7.10 starttls-refused", "deferred 451 4.7.5 starttls-refused"),
        ("502 5.5.1 what?", "failed 550 5.7.10 starttls-refused", "deferred 451 4.7.5 starttls-refused"),
    ],
)
def test_attack_starttls_refused(lab: Laboratory, answer: str, required: str, unstated: str) -> None:
    """By somebody in between: never a reason to go on in the clear."""
    script = Script(replies={"STARTTLS": answer})

    assert result(lab, script) == required
    assert result(lab, script, UNSTATED) == unstated
    assert nothing_arrived(lab)


@pytest.mark.requirement("8689-2-15", "3207-4.2-1")
def test_attack_requiretls_offered_before_tls_only(lab: Laboratory) -> None:
    """Whoever is in between can add the keyword to the first list, but not to the second."""
    assert result(lab, Script(requiretls=Offer.BEFORE_TLS)) == "failed 550 5.7.30 requiretls-not-offered"
    assert nothing_arrived(lab)


INJECTED = [
    pytest.param(b"220 go\r\n250-evil\r\n250 REQUIRETLS\r\n", id="a whole reply"),
    pytest.param(b"220 go\r\n250", id="the beginning of one"),
    pytest.param(b"220 go\r\n250-evil\r\n", id="half a reply"),
    pytest.param(b"220 go\r\n\r\n", id="an empty line"),
    pytest.param(b"220 go\r\n220 go\r\n", id="the same twice"),
]


@pytest.mark.requirement("3207-4.2-1", "3207-4-1", "3207-4-2")
@pytest.mark.parametrize("requirement", [REQUIRED, UNSTATED])
@pytest.mark.parametrize("answer", INJECTED)
def test_attack_plaintext_injected_after_the_answer_to_starttls(
    lab: Laboratory, answer: bytes, requirement: Requirement
) -> None:
    """It would be read as the answer to the EHLO inside TLS: the session ends instead."""
    script = Script(requiretls=Offer.NEVER, replies={"STARTTLS": answer})

    assert result(lab, script, requirement) == "deferred 451 4.5.0 protocol-violation"
    assert nothing_arrived(lab)
    assert not any(connection.tls for connection in lab.destination(HOST).connections)


@pytest.mark.requirement("3207-4.2-1")
@pytest.mark.parametrize(
    "replies",
    [
        pytest.param({"greeting": b"220 hi\r\n250-mx\r\n250 STARTTLS\r\n220 go\r\n"}, id="all at once"),
        pytest.param({"EHLO": b"250-mx\r\n250 STARTTLS\r\n220 go\r\n"}, id="the go before STARTTLS"),
        pytest.param(
            {"EHLO in TLS": b"250-mx\r\n250-REQUIRETLS\r\n250 PIPELINING\r\n250 ok\r\n"},
            id="MAIL taken early",
        ),
        pytest.param({"DATA": b"354 go\r\n250 queued\r\n"}, id="queued before the content"),
    ],
)
def test_attack_answers_before_the_question(lab: Laboratory, replies: dict[str, Answer]) -> None:
    """An answer that was there before the command is no answer to it."""
    assert result(lab, Script(replies=replies)) == "deferred 451 4.5.0 protocol-violation"
    assert not lab.destination(HOST).messages


def test_attack_answers_during_the_content(lab: Laboratory) -> None:
    """A server that answers before it has read everything: its answer counts, and comes once."""
    script = Script(replies={"content": b"250 2.0.0 got it\r\n"})
    lab.destination(HOST).script = script
    content = b"x: y\r\n\r\n" + b"x" * 100_000

    async def run() -> list[Outcome]:
        async with Engine(lab.settings(), plugins()) as engine:
            return [
                outcome
                for _ in range(2)
                for outcome in await delivered_by(engine, message(REQUIRED, content=content), TO)
            ]

    assert [outcome.disposition for outcome in asyncio.run(run())] == [Disposition.DELIVERED] * 2
    # The second answer, to the end of the content, is one too many: that session is not used again.
    assert len(lab.destination(HOST).connections) == 2


@pytest.mark.parametrize("step", ["MAIL", "RCPT"])
def test_attack_354_out_of_turn(lab: Laboratory, step: str) -> None:
    """Content is only for a server that took MAIL, a recipient and DATA."""
    script = Script(replies={step: "354 go ahead"})

    assert result(lab, script) == "deferred 451 4.5.0 protocol-violation"
    assert not lab.destination(HOST).messages


def test_attack_354_after_every_recipient_was_refused(lab: Laboratory) -> None:
    """What would be said next, it would take for content; so nothing is."""
    script = Script(replies={"RCPT": "550 5.1.1 no", "DATA": "354 go ahead"})

    assert result(lab, script) == "failed 550 5.1.1 rejected"
    [connection] = lab.destination(HOST).connections
    assert connection.messages == []
    assert connection.verbs[-1] == "DATA"


STEPS = ["greeting", "EHLO", "STARTTLS", "EHLO in TLS", "MAIL", "RCPT", "DATA", "end-of-data"]


@pytest.mark.requirement("5321-4.5.4-1")
@pytest.mark.parametrize("step", STEPS)
def test_attack_slow_drip(lab: Laboratory, step: str) -> None:
    """An octet now and then does not keep the limit from being reached."""
    script = Script(replies={step: Drip("250 " + "x" * 200, 0.05)})

    assert result(lab, script) == "deferred 451 4.4.2 connection-lost"


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    "chunk",
    [
        pytest.param(b"x" * 4096, id="a line that does not end"),
        pytest.param(b"250-x\r\n" * 100, id="a reply that does not end"),
        pytest.param(b"250 x\r\n" * 500, id="replies that do not end"),
    ],
)
def test_attack_endless_reply(lab: Laboratory, step: str, chunk: bytes) -> None:
    """It costs a few kilobytes and no time, and the message is kept."""
    script = Script(replies={step: Endless(chunk)})

    # Of many replies the first is one that fits: it lists nothing, or it is the end of the content.
    first_reply_counts = {
        "EHLO": "failed 550 5.7.10 starttls-not-offered",
        "EHLO in TLS": "failed 550 5.7.30 requiretls-not-offered",
        "end-of-data": "delivered dane requiretls",
    }
    expected = {"deferred 451 4.5.0 protocol-violation", "deferred 451 4.4.2 connection-lost"}
    if chunk.startswith(b"250 "):
        expected.add(first_reply_counts.get(step, ""))

    assert result(lab, script) in expected


def test_attack_replies_flood_a_kept_session(lab: Laboratory) -> None:
    """A server that goes on talking to an idle connection does not fill our memory."""
    flood = Endless(b"250 2.0.0 ok\r\n" * 1000)
    lab.destination(HOST).script = Script(replies={"end-of-data": flood})

    async def run() -> None:
        async with Engine(lab.settings(), plugins()) as engine:
            await delivered_by(engine, message(REQUIRED), TO)
            async with asyncio.timeout(10):
                while lab.destination(HOST).busy:  # noqa: ASYNC110 - the lab has no event for it
                    await asyncio.sleep(0.01)

    asyncio.run(run())


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    ("answer", "survives"),
    [
        pytest.param(b"250 a\x00b\r\n", False, id="NUL"),
        pytest.param(b"250 a\rb\r\n", False, id="CR"),
        pytest.param(b"550 a\xff\xfe\x1b[2J\r\n", True, id="eight bits and escapes"),
    ],
)
def test_attack_reply_of_strange_octets(lab: Laboratory, step: str, answer: bytes, survives: bool) -> None:
    """No reply, or a reply that nobody's terminal suffers from."""
    lab.destination(HOST).script = Script(replies={step: answer})
    [outcome] = deliver(lab.settings(), message(REQUIRED), TO)

    if survives:
        told = f"{outcome.reply} {outcome.server_text}"
        assert outcome.disposition is not Disposition.DELIVERED
        assert told.replace("\n", "").isprintable()
    else:
        assert in_words(outcome) == "deferred 451 4.5.0 protocol-violation"


HANDSHAKES: list[tuple[Answer, str, str]] = [
    (b"HTTP/1.1 400 Bad Request\r\n\r\n", "failed 550 5.7.10", "tls-handshake-failed"),
    (b"250 ok\r\n", "failed 550 5.7.10", "tls-handshake-failed"),
    (b"\x15\x03\x03\x00\x02\x02\x28", "failed 550 5.7.10", "tls-handshake-failed"),
    (b"\x16\x03\x03\xff\xff" + b"\x00" * 100, "failed 550 5.7.10", "tls-handshake-failed"),
    (Act.CLOSE, "deferred 451 4.4.2", "connection-lost"),
    (Act.RESET, "deferred 451 4.4.2", "connection-lost"),
    (Act.SILENCE, "deferred 451 4.4.2", "connection-lost"),
]


@pytest.mark.requirement("8689-4.2.1-18", "7672-2.2-6", "8689-4.2.2-2")
@pytest.mark.parametrize(
    ("answer", "verdict", "reason"),
    HANDSHAKES,
    ids=["HTTP", "SMTP", "fatal alert", "garbage", "closed", "reset", "silence"],
)
def test_attack_handshake_broken(lab: Laboratory, answer: Answer, verdict: str, reason: str) -> None:
    """A refusal to speak TLS is proof; a connection that broke is none. Only OPTIONAL goes in the clear."""
    script = Script(replies={"handshake": answer})

    assert result(lab, script) == f"{verdict} {reason}"
    assert result(lab, script, UNSTATED).startswith("deferred")
    assert nothing_arrived(lab)
    assert result(lab, script, OPTIONAL) == "delivered cleartext"
    *_, broken, clear = lab.destination(HOST).connections
    assert broken.verbs == ["EHLO", "STARTTLS"]
    assert "STARTTLS" not in clear.verbs


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_attack_alert_after_our_side_of_the_handshake(lab: Laboratory, version: ssl.TLSVersion) -> None:
    """In TLS 1.3 a server's refusal comes when we think that all is done."""
    host = lab.destination(HOST)
    host.certificate = AsksForACertificate.like(host.certificate)

    assert result(lab, Script(maximum_version=version)) == "failed 550 5.7.10 tls-handshake-failed"


@pytest.mark.requirement("8461-7.2-1", "8689-4.2.1-10")
def test_attack_old_tls_version(lab: Laboratory) -> None:
    """Below TLS 1.2 nobody is authenticated; where nobody has to be, it is better than nothing."""
    script = Script(minimum_version=ssl.TLSVersion.TLSv1, maximum_version=ssl.TLSVersion.TLSv1)

    assert result(lab, script) == "failed 550 5.7.10 tls-handshake-failed"
    assert result(lab, script, UNSTATED) == "deferred 451 4.7.5 tls-handshake-failed"
    assert nothing_arrived(lab)
    assert result(lab, script, OPTIONAL) == "delivered encrypted"


@pytest.mark.requirement("8461-7.2-1")
def test_the_operator_can_ask_for_tls_1_3(lab: Laboratory) -> None:
    """`tls.minimum_version` is a floor wherever authentication is demanded."""
    lab.destination(HOST).script = Script(maximum_version=ssl.TLSVersion.TLSv1_2)

    [outcome] = deliver(lab.settings(tls={"minimum_version": "1.3"}), message(REQUIRED), TO)

    assert in_words(outcome) == "failed 550 5.7.10 tls-handshake-failed"


@pytest.mark.requirement("8689-2-12", "8689-4.2.1-2", "7672-2.2.1-5")
def test_attack_forged_mx(lab: Laboratory) -> None:
    """Who forges an unsigned MX brings a host of his own, perfect in every way: signed, DANE, REQUIRETLS."""
    victim = Domain("victim.test", zone=ZoneKind.UNSIGNED, records=("@ MX 10 mx.dane-ee.test.",))
    lab.publish(victim)

    [outcome] = deliver(lab.settings(), message(REQUIRED), "u@victim.test")

    assert in_words(outcome) == "failed 550 5.7.10 name-not-proven"
    assert nothing_arrived(lab)


@pytest.mark.requirement("8461-5-1", "8461-4.1-1")
def test_attack_forged_mx_against_an_sts_policy(lab: Laboratory) -> None:
    """The policy names the real host; the attacker's certificate is good for his own name only."""
    policy = Policy.enforce("mx.sts-victim.test")
    victim = Domain(
        "sts-victim.test", zone=ZoneKind.UNSIGNED, policy=policy, records=("@ MX 10 mx.dane-ee.test.",)
    )
    lab.publish(victim)

    for requirement, verdict in ((REQUIRED, "failed 550 5.7.10"), (UNSTATED, "deferred 451 4.7.5")):
        [outcome] = deliver(lab.settings(), message(requirement), "u@sts-victim.test")
        assert in_words(outcome) == f"{verdict} sts-mismatch"
    assert nothing_arrived(lab)


@pytest.mark.requirement("8461-4.2-2", "8461-4.2-3", "6125-6.2.1-1")
def test_attack_forged_address_behind_an_sts_policy(lab: Laboratory) -> None:
    """The name is right and leads to the attacker, who has no certificate for it."""
    attacker = lab.destination(HOST).address
    victim = Domain(
        "moved.test",
        zone=ZoneKind.UNSIGNED,
        policy=Policy.enforce("mx.moved.test"),
        records=("@ MX 10 mx", f"mx A {attacker}"),
    )
    lab.publish(victim)

    for requirement, verdict in ((REQUIRED, "failed 550 5.7.10"), (UNSTATED, "deferred 451 4.7.5")):
        [outcome] = deliver(lab.settings(), message(requirement), "u@moved.test")
        assert in_words(outcome) == f"{verdict} certificate-name-mismatch"
    assert nothing_arrived(lab)


@pytest.mark.requirement("7672-2.1.1-4", "7672-2.1.2-5")
def test_attack_tlsa_swapped_where_nobody_validates(lab: Laboratory) -> None:
    """A resolver that does not validate hands on records of an attacker: they count for nothing."""
    with lab.non_validating_resolver() as resolver:
        for domain in ("bogus.test", "dane-ee.test"):
            settings = lab.settings(dns={"nameservers": [resolver]})
            [outcome] = deliver(settings, message(REQUIRED), f"u@{domain}")
            assert in_words(outcome) == "failed 550 5.7.10 name-not-proven"
    assert nothing_arrived(lab)


@pytest.mark.requirement("7672-2.1.1-4")
def test_attack_ad_bit_from_a_resolver_that_is_not_trusted(lab: Laboratory) -> None:
    """With `trust_ad = "never"` the very same answers prove nothing."""
    [outcome] = deliver(lab.settings(dns={"trust_ad": "never"}), message(REQUIRED), TO)

    assert in_words(outcome) == "failed 550 5.7.10 name-not-proven"


CERTIFICATES = [
    pytest.param((), Leaf(("mx.elsewhere.test",)), "certificate-name-mismatch", id="for another name"),
    pytest.param((), Leaf(("mx.evil.test",), days=EXPIRED), "certificate-expired", id="expired"),
    pytest.param(("3 1 1 wrong",), None, "dane-mismatch", id="the key before a TLSA rollover"),
    pytest.param(
        ("2 1 1",), Leaf(("mx.elsewhere.test",)), "certificate-name-mismatch", id="DANE-TA, other name"
    ),
    pytest.param(
        ("2 1 1",), Leaf(("mx.evil.test",), days=EXPIRED), "certificate-expired", id="DANE-TA, expired"
    ),
]


@pytest.mark.requirement("7672-3.2-1", "7672-3.1.2-3", "7672-3.2.2-1", "8689-2-13", "8689-4.2.1-6")
@pytest.mark.parametrize(("tlsa", "leaf", "reason"), CERTIFICATES)
def test_attack_certificate_that_proves_nothing(
    lab: Laboratory, tlsa: tuple[str, ...], leaf: Leaf | None, reason: str
) -> None:
    """QUIT is the next thing the server hears, if it hears anything."""
    lab.publish(Domain("evil.test", (MailHost(tlsa=tlsa, leaf=leaf),)))
    host = lab.destination("mx.evil.test")
    if leaf is not None:
        host.certificate = lab.authority.issue(leaf)

    [outcome] = deliver(lab.settings(), message(REQUIRED), "u@evil.test")

    assert in_words(outcome) == f"failed 550 5.7.10 {reason}"
    [connection] = host.connections
    assert connection.verbs in (["EHLO", "STARTTLS"], ["EHLO", "STARTTLS", "QUIT"])


CHANGES: list[tuple[str, Script, str]] = [
    ("stops offering STARTTLS", Script(starttls=False), "failed 550 5.7.10 starttls-not-offered"),
    ("stops offering REQUIRETLS", Script(requiretls=Offer.NEVER), "failed 550 5.7.30 requiretls-not-offered"),
    ("breaks the handshake", Script(replies={"handshake": Act.RESET}), "deferred 451 4.4.2 connection-lost"),
]


@pytest.mark.requirement("5321-4.5.4.1-2", "8689-4.2.1-9")
@pytest.mark.parametrize(
    ("script", "then"), [change[1:] for change in CHANGES], ids=[name for name, *_ in CHANGES]
)
def test_attack_a_server_changes_between_two_connections(lab: Laboratory, script: Script, then: str) -> None:
    """What it proved once, a new connection has to prove again; and what it lacked once is asked again."""
    host = lab.destination(HOST)
    scripts = [Script(), script, Script()]

    async def run() -> list[str]:
        async with Engine(lab.settings(), plugins()) as engine:
            ends = []
            for host.script in scripts:
                [outcome] = await delivered_by(engine, message(REQUIRED), TO)
                ends.append(in_words(outcome))
                await engine.drop_idle_connections()
            return ends

    assert asyncio.run(run()) == ["delivered dane requiretls", then, "delivered dane requiretls"]


def test_attack_another_certificate_on_the_second_connection(lab: Laboratory) -> None:
    """Authentication is of the connection, not of the host."""
    host = lab.destination(HOST)

    async def run() -> list[str]:
        async with Engine(lab.settings(), plugins()) as engine:
            ends = []
            for certificate in (host.certificate, lab.authority.issue(Leaf((HOST,)))):
                host.certificate = certificate
                [outcome] = await delivered_by(engine, message(REQUIRED), TO)
                ends.append(in_words(outcome))
                await engine.drop_idle_connections()
            return ends

    assert asyncio.run(run()) == ["delivered dane requiretls", "failed 550 5.7.10 dane-mismatch"]


PAIR = ("mx1.two-hosts.test", "mx2.two-hosts.test")
TO_PAIR = ("a@two-hosts.test", "b@two-hosts.test")


def check_nothing_lost_or_doubled(lab: Laboratory, outcomes: Sequence[Outcome], where: object) -> None:
    """Delivered means taken by one server exactly; taken by one means that we do not send it again now."""
    taken = Counter(
        recipient.address for name in PAIR for accepted in lab.destination(name).messages
        for recipient in accepted.recipients
    )  # fmt: skip
    assert [str(outcome.recipient) for outcome in outcomes] == list(TO_PAIR), where
    for outcome in outcomes:
        assert outcome.disposition is not Disposition.FAILED, where
        assert taken[str(outcome.recipient)] <= 1, where
        if outcome.disposition is Disposition.DELIVERED:
            assert taken[str(outcome.recipient)] == 1, where
    for name in PAIR:
        assert all(accepted.requiretls and accepted.tls for accepted in lab.destination(name).messages), where


def test_attack_connection_cut_at_every_octet_of_the_servers_talk(lab: Laboratory) -> None:
    """For any position: delivered or deferred, never both, never silence, and never twice."""
    first, second = (lab.destination(name) for name in PAIR)

    async def run() -> Counter[str]:
        ends: Counter[str] = Counter()
        async with Engine(lab.settings(), plugins()) as engine:
            for position in range(10_000):
                for host in (first, second):
                    host.connections.clear()
                first.script = Script(cut_after=position)
                outcomes = await delivered_by(engine, message(REQUIRED), *TO_PAIR)
                await engine.drop_idle_connections()
                check_nothing_lost_or_doubled(lab, outcomes, position)
                ends.update(f"{in_words(outcome)} {outcome.host}" for outcome in outcomes)
                if first.messages and outcomes[0].disposition is Disposition.DELIVERED:
                    return ends
        raise AssertionError("no session was long enough")

    ends = asyncio.run(run())

    # Up to the answer to the content the second host gets it; within that answer nobody knows.
    assert set(ends) == {
        f"delivered dane requiretls {second.name}",
        f"deferred 451 4.4.2 connection-lost {first.name}",
        f"delivered dane requiretls {first.name}",
    }
    assert ends[f"delivered dane requiretls {second.name}"] > 600


def test_attack_connection_cut_within_tls(lab: Laboratory) -> None:
    """The same on the wire, handshake and all, at every thirteenth octet."""
    first, second = (lab.destination(name) for name in PAIR)
    first.script = Script()

    async def run() -> None:
        # The real host moves to another port of its address.
        lab.stop(first)
        public, moved = first.port, free_port(first.address)
        first.port = moved
        lab.start(first)
        first.port = public
        wire = CuttingWire(first, moved, range(1, 100_000, 13))
        async with wire.laid(), Engine(lab.settings(), plugins()) as engine:
            while True:
                for host in (first, second):
                    host.connections.clear()
                outcomes = await delivered_by(engine, message(REQUIRED), *TO_PAIR)
                await engine.drop_idle_connections()
                check_nothing_lost_or_doubled(lab, outcomes, wire.passed)
                if first.messages and outcomes[0].disposition is Disposition.DELIVERED:
                    break
        assert wire.passed > 2_000

    asyncio.run(run())
