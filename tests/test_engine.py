"""The engine: what it tags and delivers, and what plugins and destinations cannot do to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

import pytest

from requiretls_lab.laboratory import Laboratory
from requiretls_lab.smtp_script import Act, Script
from requiretls_plugin.delivery.outcome import Disposition, Notice, Outcome
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.engine import Engine
from requiretls_plugin.errors import EngineStopped, PluginError
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message, Recipient
from requiretls_plugin.policy.evidence import Evidence
from requiretls_plugin.policy.next_hop import NextHop
from requiretls_plugin.policy.resolver import PolicyResolver
from requiretls_plugin.preflight import Readiness, Verdict
from requiretls_plugin.reason import Reason
from requiretls_plugin.requirement import Origin, Requirement, Tag
from tests.plugin_objects import (
    MESSAGE,
    Concluded,
    Delivering,
    Receiving,
    Routing,
    delivered,
    manager_of,
)

SENDER = MailAddress.parse("alice@sender.test")
PLAIN = Message(SENDER, b"Subject: hello\r\n\r\nhello\r\n")
REQUIRED = replace(PLAIN, tag=Tag(Requirement.REQUIRED, Origin.MAIL_PARAMETER))
BOB_AT_DANE = Recipient.parse("bob@dane-ee.test")
INTERNAL_ERROR = "451 4.3.0 Internal error, try again later"


def deliver(
    lab: Laboratory, message: Message, *recipients: str, plugins: object = None, **settings: object
) -> list[Outcome]:
    """Deliver with an engine of the lab's settings and *plugins*."""
    manager = manager_of(**({"plugin": plugins} if plugins else {}))

    async def run() -> Sequence[Outcome]:
        async with Engine(lab.settings(**settings), manager) as engine:
            return await engine.deliver(message, [Recipient.parse(each) for each in recipients])

    return list(asyncio.run(run()))


def receive(lab: Laboratory, message: Message, **plugins: object) -> Message:
    """Let an engine with *plugins* tag *message*; nothing has to run for that."""
    return asyncio.run(Engine(lab.settings(), manager_of(**plugins)).receive(message))


# Receiving


@pytest.mark.requirement("8689-4.1-1", "8689-4.1-2", "8689-4.1-7")
@pytest.mark.parametrize("return_path", [SENDER, None], ids=["sender", "null return path"])
def test_a_received_message_is_tagged(lab: Laboratory, return_path: MailAddress | None) -> None:
    """By itself, if no plugin says more."""
    message = replace(PLAIN, return_path=return_path, mail_parameter=True)
    assert receive(lab, message).tag == Tag(Requirement.REQUIRED, Origin.MAIL_PARAMETER)
    assert receive(lab, PLAIN).tag == Tag()


def test_a_plugin_strengthens_and_is_named_as_the_origin(lab: Laboratory) -> None:
    """Both what was unstated and what was relaxed."""
    relaxed = replace(PLAIN, content=b"TLS-Required: No\r\n" + PLAIN.content)
    strict = Receiving(Requirement.REQUIRED)
    assert receive(lab, PLAIN, strict=strict).tag == Tag(Requirement.REQUIRED, Origin.PLUGIN)
    assert receive(lab, relaxed, strict=strict).tag == Tag(Requirement.REQUIRED, Origin.PLUGIN)


@pytest.mark.parametrize("answer", [Requirement.OPTIONAL, Requirement.UNSTATED], ids=lambda each: each.value)
def test_attack_a_plugin_cannot_weaken(
    lab: Laboratory, answer: Requirement, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither REQUIRETLS nor a message that asks for nothing; the log says who tried."""
    required = replace(PLAIN, mail_parameter=True)
    assert receive(lab, required, weak=Receiving(answer)).tag == Tag(
        Requirement.REQUIRED, Origin.MAIL_PARAMETER
    )
    assert receive(lab, PLAIN, weak=Receiving(answer)).requirement is Requirement.UNSTATED
    assert f"plugin weak: requiretls_receive(message) returned {answer.name}" in caplog.text


def test_attack_without_our_own_plugin_a_message_is_tagged_all_the_same(lab: Laboratory) -> None:
    """A plugin that takes it out of the manager weakens nothing, and mail goes by policy still."""
    manager = manager_of()

    async def run() -> tuple[Message, Sequence[Outcome]]:
        async with Engine(lab.settings(), manager) as engine:
            manager.unregister(name="rfc8689")
            message = await engine.receive(replace(PLAIN, mail_parameter=True))
            return message, await engine.deliver(message, [Recipient.parse("bob@no-keyword.test")])

    message, [outcome] = asyncio.run(run())
    assert message.requirement is Requirement.REQUIRED
    assert outcome.reply.status == "5.7.30"


def test_attack_forged_tags_are_stripped(lab: Laboratory) -> None:
    """Postfix's field and our own do not survive from strangers."""
    forged = b"Require-TLS-ESMTP: yes\r\nX-RequireTLS-Stored: requirement=required\r\n"
    message = receive(lab, replace(PLAIN, content=forged + PLAIN.content, peer="192.0.2.1"))
    assert message.content == PLAIN.content
    assert message.tag == Tag()


def test_a_plugin_that_fails_defers_what_is_received(lab: Laboratory) -> None:
    """The host server answers with 451."""
    with pytest.raises(PluginError, match="plugin broken"):
        receive(lab, PLAIN, broken=Receiving(ZeroDivisionError("x")))


# Delivering


@pytest.mark.requirement("8689-4.2.1-22")
def test_each_destination_is_judged_alone(lab: Laboratory) -> None:
    """And outcomes come in the order of the recipients."""
    outcomes = deliver(lab, REQUIRED, "a@no-keyword.test", "b@dane-ee.test", "c@no-keyword.test")
    assert [str(outcome.recipient) for outcome in outcomes] == [
        "a@no-keyword.test",
        "b@dane-ee.test",
        "c@no-keyword.test",
    ]
    assert [outcome.reply.status for outcome in outcomes] == ["5.7.30", "2.0.0", "5.7.30"]
    assert [outcome.requiretls for outcome in outcomes] == [False, True, False]


def test_a_recipient_named_twice_gets_one_copy(lab: Laboratory) -> None:
    """And two outcomes, as the caller counts on."""
    outcomes = deliver(lab, PLAIN, "bob@dane-ee.test", "bob@dane-ee.test")
    assert [outcome.disposition for outcome in outcomes] == [Disposition.DELIVERED] * 2
    [message] = lab.destination("mx.dane-ee.test").messages
    assert [each.address for each in message.recipients] == ["bob@dane-ee.test"]


def test_without_recipients_there_are_no_outcomes(lab: Laboratory) -> None:
    """And nothing is connected to."""
    assert deliver(lab, PLAIN) == []


@pytest.mark.requirement("8689-5-6", "8689-5-8", "8689-4.1-7")
def test_a_tagged_notice_goes_without_the_keyword_rather_than_being_lost(lab: Laboratory) -> None:
    """With TLS where it can be had."""
    notice = replace(REQUIRED, return_path=None)
    without, with_keyword = deliver(lab, notice, "bob@no-keyword.test", "bob@dane-ee.test")
    assert (without.disposition, without.requiretls) == (Disposition.DELIVERED, False)
    assert (with_keyword.disposition, with_keyword.requiretls) == (Disposition.DELIVERED, True)
    [message] = lab.destination("mx.no-keyword.test").messages
    assert (message.tls, message.requiretls, message.mail_from) == (True, False, "")


@pytest.mark.requirement("8689-5-6")
def test_a_tagged_notice_still_meets_what_the_recipient_domain_publishes(lab: Laboratory) -> None:
    """It becomes an ordinary message, not one that nothing protects."""
    [outcome] = deliver(lab, replace(REQUIRED, return_path=None), "bob@wrong-tlsa.test")
    assert (outcome.disposition, outcome.reason) == (Disposition.DEFERRED, Reason.DANE_MISMATCH)
    assert lab.destination("mx.wrong-tlsa.test").messages == []


@pytest.mark.requirement("8689-4.2.1-13", "8689-4.2.1-23")
def test_an_address_literal_has_no_name_to_prove(lab: Laboratory) -> None:
    """It takes ordinary mail and nothing under REQUIRETLS."""
    literal = f"bob@[{lab.destination('mx.dane-ee.test').address}]"
    [ordinary] = deliver(lab, PLAIN, literal)
    assert ordinary.disposition is Disposition.DELIVERED
    [required] = deliver(lab, REQUIRED, literal)
    assert (required.reply.status, required.reason) == ("5.7.10", Reason.NAME_NOT_PROVEN)


def test_a_delivery_ends_after_its_total_time(lab: Laboratory) -> None:
    """The one destination is deferred; the others are not touched by it."""
    lab.destination("mx.dnssec-pkix.test").script = Script(replies={"greeting": Act.SILENCE})
    before = time.monotonic()
    slow, quick = deliver(
        lab, PLAIN, "bob@dnssec-pkix.test", "bob@dane-ee.test", delivery={"total_timeout": 0.5}
    )
    assert time.monotonic() - before < 3
    assert (slow.disposition, slow.reply.code) == (Disposition.DEFERRED, 451)
    assert "longer than 0.5 seconds" in slow.reply.text
    assert quick.disposition is Disposition.DELIVERED


class FaultyResolver(PolicyResolver):
    """Makes a mistake of its own at one destination."""

    async def evidence(self, next_hop: NextHop, *, recheck: bool = False) -> Evidence:
        if str(next_hop) == "dane-ta.test":
            raise ZeroDivisionError("a mistake")
        return await super().evidence(next_hop, recheck=recheck)


class Faulty(Engine):
    """Has such a resolver."""

    async def _open(self) -> None:
        await super()._open()
        parts = self._running()
        resolver = FaultyResolver(parts.dns, parts.sts, port=self.settings.delivery.port)
        self._parts = replace(parts, resolver=resolver)


def test_a_mistake_at_one_destination_does_not_send_the_others_mail_twice(
    lab: Laboratory, caplog: pytest.LogCaptureFixture
) -> None:
    """What was delivered is reported as delivered."""

    async def run() -> Sequence[Outcome]:
        recipients = [Recipient.parse(each) for each in ("bob@dane-ta.test", "bob@dane-ee.test")]
        async with Faulty(lab.settings(), manager_of()) as engine:
            return await engine.deliver(PLAIN, recipients)

    broken, good = asyncio.run(run())
    assert (broken.disposition, str(broken.reply)) == (Disposition.DEFERRED, INTERNAL_ERROR)
    assert good.disposition is Disposition.DELIVERED
    assert "ZeroDivisionError: a mistake" in caplog.text


def test_an_engine_that_does_not_run_delivers_nothing(lab: Laboratory) -> None:
    """And says so, to async callers as well."""
    engine = Engine(lab.settings(), manager_of())
    for work in (engine.deliver(PLAIN, [Recipient.parse("bob@dane-ee.test")]), engine.deliver(PLAIN, [])):
        with pytest.raises(EngineStopped):
            asyncio.run(work)


# Plugins


@pytest.mark.parametrize(
    "plugin",
    [
        pytest.param(Delivering(ValueError("secret path /etc/x")), id="delivering raises"),
        pytest.param(Delivering(ValueError("secret path /etc/x"), later=True), id="delivering raises later"),
        pytest.param(Delivering("secret path /etc/x"), id="a wrong answer"),
        pytest.param(Routing(OSError("secret path /etc/x")), id="routing raises"),
        pytest.param(Routing("secret path /etc/x"), id="a wrong next hop"),
    ],
)
def test_a_plugin_that_fails_defers_the_message_and_the_sender_is_not_told_why(
    lab: Laboratory, caplog: pytest.LogCaptureFixture, plugin: object
) -> None:
    """The log is, with the plugin's name."""
    outcomes = deliver(lab, REQUIRED, "bob@dane-ee.test", "bob@dnssec-pkix.test", plugins=plugin)
    assert {(outcome.disposition, str(outcome.reply)) for outcome in outcomes} == {
        (Disposition.DEFERRED, INTERNAL_ERROR)
    }
    assert "plugin plugin: requiretls_" in caplog.text
    assert lab.destination("mx.dane-ee.test").connections == []


def test_attack_a_plugin_that_exits_neither_ends_the_engine_nor_loses_a_message(lab: Laboratory) -> None:
    """It would take the engine's thread along, and everybody would wait for ever."""
    plugin = Routing(SystemExit(0))
    engine = Engine(lab.settings(), manager_of(plugin=plugin))
    engine.start()
    try:
        [deferred] = engine.run(engine.deliver(PLAIN, [BOB_AT_DANE]), timeout=20)
        plugin.answer = None
        [second] = engine.run(engine.deliver(PLAIN, [BOB_AT_DANE]), timeout=20)
    finally:
        engine.stop()

    assert (deferred.disposition, str(deferred.reply)) == (Disposition.DEFERRED, INTERNAL_ERROR)
    assert second.disposition is Disposition.DELIVERED
    assert len(lab.destination("mx.dane-ee.test").messages) == 1


@pytest.mark.parametrize("later", [False, True], ids=["now", "awaited"])
@pytest.mark.parametrize(
    "answer",
    [
        SystemExit(0),
        [Notice("no message", SENDER)],  # type: ignore[arg-type]
        [Notice(replace(PLAIN, return_path=None), "no address")],  # type: ignore[arg-type]
        ["a"] * 100_000,
    ],
    ids=["exits", "no message", "no address", "much of nothing"],
)
def test_attack_whatever_an_observer_does_the_outcome_stands(
    lab: Laboratory, caplog: pytest.LogCaptureFixture, answer: object, later: bool
) -> None:
    """A host that heard of an error would send the message again."""
    [outcome] = deliver(lab, PLAIN, "bob@dane-ee.test", plugins=Concluded(answer, later=later))

    assert outcome.disposition is Disposition.DELIVERED
    assert "plugin plugin: requiretls_concluded(message, outcomes)" in caplog.text
    assert len(lab.destination("mx.dane-ee.test").messages) == 1


def test_a_plugin_may_deliver_itself(lab: Laboratory) -> None:
    """Then nobody else does."""
    recipient = Recipient.parse("bob@dane-ee.test")
    assert deliver(lab, PLAIN, str(recipient), plugins=Delivering([delivered(recipient)])) == [
        delivered(recipient)
    ]
    assert lab.destination("mx.dane-ee.test").connections == []


def notice(return_path: MailAddress | None) -> Notice:
    return Notice(replace(PLAIN, return_path=return_path), SENDER)


def test_notices_that_observers_ask_for_are_sent(lab: Laboratory) -> None:
    """Once every recipient has an outcome. Their own outcomes are told as well, and cause no further ones."""
    observer = Concluded([notice(None)])
    [outcome] = deliver(lab, PLAIN, "bob@dane-ee.test", plugins=observer)
    [sent] = lab.destination("mx.sender.test").messages
    assert (sent.mail_from, sent.recipients[0].address) == ("", "alice@sender.test")
    (told, outcomes), (about, _) = observer.calls
    assert (told, outcomes) == (PLAIN, (outcome,))
    assert about == notice(None).message


def test_attack_an_observer_cannot_start_a_loop_of_notices(
    lab: Laboratory, caplog: pytest.LogCaptureFixture
) -> None:
    """A notice with a return path is not sent."""
    deliver(lab, PLAIN, "bob@dane-ee.test", plugins=Concluded([notice(SENDER)]))
    assert lab.destination("mx.sender.test").messages == []
    assert "null return path" in caplog.text


def test_an_observer_that_fails_changes_no_outcome(lab: Laboratory, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged."""
    [outcome] = deliver(lab, PLAIN, "bob@dane-ee.test", plugins=Concluded(RuntimeError("x"), later=True))
    assert outcome.disposition is Disposition.DELIVERED
    assert "plugin plugin: requiretls_concluded(message, outcomes): RuntimeError: x" in caplog.text


def test_two_engines_need_two_plugin_managers(lab: Laboratory) -> None:
    """Each registers its own delivery; the second would be delivered by the first."""
    manager = manager_of()
    Engine(lab.settings(), manager)
    with pytest.raises(ValueError, match="rfc8689"):
        Engine(lab.settings(), manager)


def test_a_message_that_nobody_received_is_delivered_as_it_is_tagged(lab: Laboratory) -> None:
    """The tag decides, not the MAIL parameter: an app may have changed its mind for its own message."""
    [outcome] = deliver(lab, replace(MESSAGE, mail_parameter=True), "bob@no-keyword.test")
    assert outcome.disposition is Disposition.DELIVERED


def test_a_preflight_remembers_what_a_host_could_do(lab: Laboratory) -> None:
    """A host that is down now may have offered REQUIRETLS before; the verdict is that of now."""
    host = lab.destination("mx.dane-ee.test")

    async def run() -> Readiness:
        async with Engine(lab.settings(), manager_of()) as engine:
            await engine.deliver(PLAIN, [Recipient.parse("bob@dane-ee.test")])
            await engine.drop_idle_connections()
            await asyncio.to_thread(lab.stop, host)
            return await engine.check(DomainName("dane-ee.test"))

    [now] = asyncio.run(run()).hosts

    assert now.verdict is Verdict.UNKNOWN
    assert "it last offered REQUIRETLS on 20" in now.why
