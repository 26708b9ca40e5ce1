"""Plugins answer now or later; what they do wrong is contained and named."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
import types
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from requiretls_plugin.delivery.outcome import Attempt, Notice, Outcome
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.errors import PluginError
from requiretls_plugin.hookspecs import hookimpl
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message, Recipient
from requiretls_plugin.plugin_calls import BLOCKING, PluginCalls
from requiretls_plugin.policy.next_hop import DomainHop, NamedHop
from requiretls_plugin.requirement import Requirement, strongest
from requiretls_plugin.server_address import ServerAddress
from tests.plugin_objects import (
    BOB,
    CAROL,
    MESSAGE,
    Answering,
    Attempted,
    Concluded,
    Delivering,
    Receiving,
    Routing,
    delivered,
    manager_of,
)

DOMAIN = DomainName("recipient.example")
HOP = NamedHop(ServerAddress.parse("relay.example"))
ATTEMPT = Attempt(DomainHop(DOMAIN), "mx.recipient.example", "192.0.2.1", "dane")
NOTICE = Notice(replace(MESSAGE, return_path=None), MailAddress.parse("alice@sender.example"))

DELIVER = "requiretls_deliver(message, recipients)"

both_ways = pytest.mark.parametrize("later", [False, True], ids=["now", "awaited"])


def receive(**plugins: object) -> list[Requirement]:
    return asyncio.run(PluginCalls(manager_of(**plugins)).receive(MESSAGE, Requirement.UNSTATED))


def next_hop(**plugins: object) -> object:
    return asyncio.run(PluginCalls(manager_of(**plugins)).next_hop(DOMAIN, MESSAGE))


def deliver(**plugins: object) -> tuple[Outcome, ...] | None:
    return asyncio.run(PluginCalls(manager_of(**plugins)).deliver(MESSAGE, [BOB, CAROL]))


def conclude(**plugins: object) -> list[Notice]:
    return asyncio.run(PluginCalls(manager_of(**plugins)).concluded(MESSAGE, [delivered(BOB)]))


# requiretls_receive


@both_ways
def test_every_answer_about_a_received_message_is_returned(later: bool) -> None:
    """The strongest of them is for the engine to take; None is no opinion."""
    first = Receiving(Requirement.REQUIRED, later=later)
    nothing = Receiving(None, later=later)
    assert receive(a=first, b=nothing, c=Receiving(Requirement.OPTIONAL)) == [
        Requirement.OPTIONAL,
        Requirement.REQUIRED,
    ]
    assert first.calls == nothing.calls == [(MESSAGE,)]


def test_without_plugins_there_is_no_answer() -> None:
    """At any hook."""
    assert receive() == []
    assert next_hop() is None
    assert deliver() is None
    assert conclude() == []


@given(st.lists(st.sampled_from([None, *Requirement])))
def test_attack_no_further_plugin_makes_the_strongest_answer_weaker(
    answers: list[Requirement | None],
) -> None:
    """Whatever it says, and whenever it is called."""
    plugins = {f"plugin{number}": Receiving(answer) for number, answer in enumerate(answers)}
    with_required = strongest(receive(strict=Receiving(Requirement.REQUIRED), **plugins))
    assert with_required is Requirement.REQUIRED


# requiretls_next_hop


@both_ways
def test_the_first_answer_names_the_next_hop(later: bool) -> None:
    """None passes the question on; behind the first answer nobody is asked."""
    unasked = Routing(DomainHop(DOMAIN))
    silent = Routing(None, later=later)
    assert next_hop(last=unasked, first=Routing(HOP, later=later), silent=silent) == HOP
    assert silent.calls == [(DOMAIN, MESSAGE)]
    assert unasked.calls == []


# requiretls_deliver


@both_ways
def test_outcomes_come_in_the_order_of_the_recipients(later: bool) -> None:
    """In whatever order the plugin gives them."""
    plugin = Delivering([delivered(CAROL), delivered(BOB)], later=later)
    assert deliver(plugin=plugin) == (delivered(BOB), delivered(CAROL))
    assert plugin.calls == [(MESSAGE, (BOB, CAROL))]


@both_ways
def test_none_leaves_the_delivery_to_the_next_plugin(later: bool) -> None:
    """Also when it took a while to find out."""
    outcomes = (delivered(BOB), delivered(CAROL))
    assert deliver(next=Delivering(outcomes), first=Delivering(None, later=later)) == outcomes


def test_after_the_first_outcomes_nobody_delivers_again() -> None:
    """A message goes once."""
    second = Delivering([delivered(BOB), delivered(CAROL)])
    deliver(second=second, first=Delivering([delivered(BOB), delivered(CAROL)], later=True))
    assert second.calls == []


class Wrapping:
    """Wraps the delivery; *events* shows the order of things."""

    def __init__(self, name: str, events: list[str]) -> None:
        self.name = name
        self.events = events

    @hookimpl(wrapper=True)
    def requiretls_deliver(
        self, message: Message, recipients: Sequence[Recipient]
    ) -> Generator[None, Awaitable[Sequence[Outcome]], Awaitable[Sequence[Outcome]]]:
        outcomes = yield

        async def timed() -> Sequence[Outcome]:
            self.events.append(f"{self.name} begins")
            try:
                return await outcomes
            finally:
                self.events.append(f"{self.name} ends")

        return timed()


def test_wrappers_wrap_the_delivery_the_last_registered_outermost() -> None:
    """They get an awaitable and may return one."""
    events: list[str] = []
    outcomes = (delivered(BOB), delivered(CAROL))
    plugin = Delivering(outcomes, later=True)
    assert (
        deliver(plugin=plugin, inner=Wrapping("inner", events), outer=Wrapping("outer", events)) == outcomes
    )
    assert events == ["outer begins", "inner begins", "inner ends", "outer ends"]


def test_an_error_inside_a_wrapper_names_the_plugin_that_made_it() -> None:
    """Not the one around it."""
    with pytest.raises(PluginError, match=r"^plugin broken: requiretls_deliver\(message, recipients\)"):
        deliver(broken=Delivering(KeyError("x"), later=True), outer=Wrapping("outer", []))


class Dropping:
    """A wrapper that answers without having asked."""

    @hookimpl(wrapper=True)
    def requiretls_deliver(self) -> Generator[None, Any, Any]:
        (yield).close()
        return "done"


def test_a_wrapper_is_held_to_the_contract_as_well() -> None:
    """And is named."""
    with pytest.raises(PluginError, match=r"^plugin dropping: .* returned str instead of Outcome"):
        deliver(dropping=Dropping())


@pytest.mark.parametrize(
    ("specified", "function"),
    [
        ("requiretls_receive", lambda message: (yield)),
        ("requiretls_next_hop", lambda domain, message: (yield)),
        ("requiretls_attempted", lambda attempt: (yield)),
        ("requiretls_concluded", lambda message, outcomes: (yield)),
    ],
)
def test_attack_no_other_hook_can_be_wrapped(specified: str, function: Callable[..., Any]) -> None:
    """A wrapper could take back what other plugins demand, or hide what happened."""

    class Plugin:
        pass

    function.__name__ = specified
    setattr(Plugin, specified, staticmethod(hookimpl(wrapper=True)(function)))
    with pytest.raises(PluginError, match=rf"^plugin sly: {specified}\(.*cannot be wrapped"):
        PluginCalls(manager_of(sly=Plugin()))


def test_attack_a_wrapper_that_fails_after_the_delivery_does_not_have_it_done_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The message has gone: its outcomes stand, and the log names the wrapper."""

    class Careless:
        @hookimpl(wrapper=True)
        def requiretls_deliver(self) -> Generator[None, Awaitable[Any], Awaitable[Any]]:
            outcomes = yield

            async def counted() -> Any:
                await outcomes
                raise KeyError("seconds")

            return counted()

    outcomes = (delivered(BOB), delivered(CAROL))
    plugin = Delivering(outcomes)

    assert deliver(plugin=plugin, careless=Careless()) == outcomes

    assert len(plugin.calls) == 1
    assert "after the delivery: plugin careless: requiretls_deliver(): KeyError: 'seconds'" in caplog.text


def test_a_wrapper_that_fails_before_the_delivery_defers_the_message() -> None:
    """Nobody has it, and nothing complains about a delivery that never began."""

    class Refusing:
        @hookimpl(wrapper=True)
        def requiretls_deliver(self) -> Generator[None, Any, Any]:
            yield
            raise KeyError("quota")

    plugin = Delivering([delivered(BOB), delivered(CAROL)])
    with pytest.raises(PluginError, match=r"^plugin refusing: .*KeyError: 'quota'$"):
        deliver(plugin=plugin, refusing=Refusing())
    assert plugin.calls == []


@pytest.mark.parametrize("awaiting", [False, True], ids=["unawaited", "awaited"])
def test_a_wrapper_that_returns_nothing_leaves_the_delivery_to_the_others(awaiting: bool) -> None:
    """As one that does not wrap: the message goes, and it goes once."""

    class Forgetful:
        @hookimpl(wrapper=True)
        def requiretls_deliver(self) -> Generator[None, Awaitable[Any], Any]:
            outcomes = yield

            async def watched() -> None:
                await outcomes

            return watched() if awaiting else None

    outcomes = (delivered(BOB), delivered(CAROL))
    plugin = Delivering(outcomes)

    assert deliver(plugin=plugin, forgetful=Forgetful()) == outcomes
    assert len(plugin.calls) == 1


def test_a_wrapper_that_hides_a_failed_delivery_does_not_have_it_done_by_others() -> None:
    """What a deciding plugin raises defers the message, whoever looks away."""

    class Hiding:
        @hookimpl(wrapper=True)
        def requiretls_deliver(self) -> Generator[None, Awaitable[Any], Any]:
            outcomes = yield

            async def hidden() -> None:
                with contextlib.suppress(PluginError):
                    await outcomes

            return hidden()

    with pytest.raises(PluginError, match="returned None after a delivery that came to nothing"):
        deliver(broken=Delivering(KeyError("x")), hiding=Hiding())


# Mistakes


@both_ways
@pytest.mark.parametrize(
    ("call", "kind", "answer", "complaint"),
    [
        pytest.param(
            receive,
            Receiving,
            "required",
            "requiretls_receive(message) returned str instead of Requirement",
            id="receive",
        ),
        pytest.param(
            receive,
            Receiving,
            True,
            "requiretls_receive(message) returned bool instead of Requirement",
            id="a boolean",
        ),
        pytest.param(
            next_hop,
            Routing,
            "relay.example",
            "requiretls_next_hop(domain, message) returned str instead of DomainHop or NamedHop",
            id="next hop",
        ),
        pytest.param(
            deliver,
            Delivering,
            True,
            f"{DELIVER} returned bool instead of a sequence of Outcome",
            id="deliver",
        ),
        pytest.param(
            deliver,
            Delivering,
            [delivered(BOB), None],
            f"{DELIVER} returned NoneType instead of Outcome among others",
            id="one that is no outcome",
        ),
        pytest.param(
            deliver,
            Delivering,
            [delivered(BOB)],
            f"{DELIVER} returned 0 outcomes for carol@recipient.example instead of 1",
            id="one missing",
        ),
        pytest.param(
            deliver,
            Delivering,
            [delivered(BOB), delivered(CAROL), delivered(CAROL, "again")],
            f"{DELIVER} returned 2 outcomes for carol@recipient.example instead of 1",
            id="one twice",
        ),
        pytest.param(
            deliver,
            Delivering,
            [delivered(BOB), delivered(CAROL), delivered(Recipient.parse("eve@recipient.example"))],
            f"{DELIVER} returned 1 outcomes for eve@recipient.example instead of 0",
            id="one too many",
        ),
    ],
)
def test_a_wrong_answer_names_plugin_hook_and_arguments(
    call: Callable[..., Any], kind: type[Answering], answer: Any, complaint: str, later: bool
) -> None:
    """So the operator knows whom to ask."""
    with pytest.raises(PluginError) as raised:
        call(careless=kind(answer, later=later))
    assert str(raised.value) == f"plugin careless: {complaint}"


@both_ways
@pytest.mark.parametrize(
    ("call", "kind"),
    [(receive, Receiving), (next_hop, Routing), (deliver, Delivering)],
    ids=lambda each: each.__name__,
)
@pytest.mark.parametrize(
    "error",
    [
        ValueError("no"),
        TimeoutError("slow"),
        asyncio.CancelledError("gave up"),
        StopAsyncIteration("x"),
        SystemExit(0),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_exception_in_a_deciding_hook_becomes_a_plugin_error(
    call: Callable[..., Any], kind: type[Answering], error: BaseException, later: bool
) -> None:
    """With its kind and text, and the plugin's name; also a cancellation that nobody asked for."""
    with pytest.raises(PluginError) as raised:
        call(broken=kind(error, later=later))
    assert str(raised.value).startswith("plugin broken: requiretls_")
    assert f"{type(error).__name__}: {error}" in str(raised.value)
    assert raised.value.__cause__ is error


def test_a_real_cancellation_passes_through_a_plugin() -> None:
    """A deadline of ours is no mistake of the plugin's."""

    class Slow:
        @hookimpl
        async def requiretls_receive(self, message: Message) -> None:
            await asyncio.sleep(60)

    async def hurried() -> None:
        async with asyncio.timeout(0.01):
            await PluginCalls(manager_of(slow=Slow())).receive(MESSAGE, Requirement.UNSTATED)

    with pytest.raises(TimeoutError):
        asyncio.run(hurried())


def test_a_plugin_that_never_answers_is_an_error_that_names_it(caplog: pytest.LogCaptureFixture) -> None:
    """A deciding one defers the message; behind an observer the others still observe."""

    class Hanging:
        @hookimpl
        async def requiretls_receive(self, message: Message) -> None:
            await asyncio.Event().wait()

        @hookimpl
        async def requiretls_attempted(self, attempt: Attempt) -> None:
            await asyncio.Event().wait()

    after = Attempted(None)
    calls = PluginCalls(manager_of(after=after, hanging=Hanging()), patience=0.01)
    with pytest.raises(PluginError) as raised:
        asyncio.run(calls.receive(MESSAGE, Requirement.UNSTATED))
    asyncio.run(calls.attempted(ATTEMPT))

    assert str(raised.value) == "plugin hanging: requiretls_receive(message) has not answered in 0.01 seconds"
    assert after.calls == [(ATTEMPT,)]
    assert "plugin hanging: requiretls_attempted(attempt) has not answered" in caplog.text


def test_a_delivery_of_a_plugins_own_takes_as_long_as_it_takes() -> None:
    """It may have many hosts to try."""

    class Slow:
        @hookimpl
        async def requiretls_deliver(self, recipients: Sequence[Recipient]) -> Sequence[Outcome]:
            await asyncio.sleep(0.05)
            return [delivered(recipient) for recipient in recipients]

    calls = PluginCalls(manager_of(slow=Slow()), patience=0.01)
    assert asyncio.run(calls.deliver(MESSAGE, [BOB])) == (delivered(BOB),)


def test_a_plugin_that_blocks_is_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """What it answers counts all the same, but nobody else could do anything meanwhile."""

    class Blocking:
        @hookimpl
        def requiretls_receive(self, message: Message) -> Requirement:
            time.sleep(BLOCKING)
            return Requirement.REQUIRED

    assert receive(blocking=Blocking()) == [Requirement.REQUIRED]
    assert re.search(r"plugin blocking: requiretls_receive\(message\) took \d+\.\d seconds", caplog.text)


def test_a_coroutine_that_returns_a_coroutine_is_no_answer() -> None:
    """A forgotten await; the inner one is closed, so Python has nothing to complain about."""

    async def inner() -> Requirement:
        return Requirement.REQUIRED

    class Twice:
        @hookimpl
        async def requiretls_receive(self, message: Message) -> Any:
            return inner()

    with pytest.raises(PluginError, match="returned coroutine instead of Requirement"):
        receive(twice=Twice())


def _never(message: Message) -> Generator[Requirement, None, None]:
    yield Requirement.REQUIRED


async def _never_either(message: Message) -> AsyncGenerator[Requirement, None]:
    yield Requirement.REQUIRED


def _wants_more(message: Message, *, database: str) -> None: ...


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        pytest.param(_never, "has a yield: let it return its answer", id="a generator"),
        pytest.param(_never_either, "has a yield: let it return its answer", id="an async generator"),
        pytest.param(_wants_more, "argument: 'database'", id="an argument nobody gives"),
    ],
)
def test_what_could_never_answer_stops_the_start(function: Callable[..., Any], complaint: str) -> None:
    """And not the first message."""
    plugin = types.SimpleNamespace(anything=hookimpl(specname="requiretls_receive")(function))
    with pytest.raises(PluginError) as raised:
        PluginCalls(manager_of(odd=plugin))
    assert str(raised.value).startswith("plugin odd: requiretls_receive(message) ")
    assert complaint in str(raised.value)


def test_a_class_in_place_of_an_object_stops_the_start() -> None:
    """Its functions would take the message for self."""
    with pytest.raises(
        PluginError, match=r"^plugin odd: requiretls_receive\(message\) cannot be called .* class"
    ):
        PluginCalls(manager_of(odd=Receiving))


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (Requirement.REQUIRED, Requirement.UNSTATED),
        (Requirement.REQUIRED, Requirement.OPTIONAL),
        (Requirement.UNSTATED, Requirement.OPTIONAL),
    ],
    ids=lambda each: each.value,
)
def test_an_answer_that_would_weaken_is_logged_with_the_plugins_name(
    caplog: pytest.LogCaptureFixture, asked: Requirement, answer: Requirement
) -> None:
    """Its author believes that it does something."""
    asyncio.run(PluginCalls(manager_of(weak=Receiving(answer))).receive(MESSAGE, asked))

    assert [record.getMessage() for record in caplog.records] == [
        f"plugin weak: requiretls_receive(message) returned {answer.name}: "
        f"the message stays {asked.name}, as it came"
    ]


@pytest.mark.parametrize("answer", [None, *Requirement], ids=str)
def test_an_answer_that_weakens_nothing_is_not_logged(
    caplog: pytest.LogCaptureFixture, answer: Requirement | None
) -> None:
    """As strong, stronger, or no opinion."""
    asyncio.run(PluginCalls(manager_of(quiet=Receiving(answer))).receive(MESSAGE, Requirement.OPTIONAL))

    assert not caplog.records


def test_an_implementation_may_leave_arguments_out() -> None:
    """As pluggy allows."""

    class Brief:
        @hookimpl
        def requiretls_receive(self) -> Requirement:
            return Requirement.REQUIRED

    assert receive(brief=Brief()) == [Requirement.REQUIRED]


# requiretls_attempted


@both_ways
@pytest.mark.parametrize(
    "error",
    [ValueError("no"), asyncio.CancelledError("gave up"), SystemExit(1)],
    ids=lambda error: type(error).__name__,
)
def test_an_observers_exception_is_logged_and_the_others_still_observe(
    caplog: pytest.LogCaptureFixture, error: BaseException, later: bool
) -> None:
    """A broken exporter must not silence the reports."""
    before, after = Attempted(None), Attempted(None)
    calls = PluginCalls(manager_of(after=after, broken=Attempted(error, later=later), before=before))
    asyncio.run(calls.attempted(ATTEMPT))
    assert before.calls == after.calls == [(ATTEMPT,)]
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage().startswith("plugin broken: requiretls_attempted(attempt): ")


def test_what_an_observer_of_attempts_returns_means_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """It cannot be wrong."""
    asyncio.run(PluginCalls(manager_of(chatty=Attempted("thanks"))).attempted(ATTEMPT))
    assert not caplog.records


# requiretls_concluded


@both_ways
def test_observers_may_return_notices(later: bool) -> None:
    """All of them are returned; None is no notice."""
    plugin = Concluded([NOTICE], later=later)
    assert conclude(one=plugin, silent=Concluded(None), two=Concluded((NOTICE,))) == [NOTICE, NOTICE]
    assert plugin.calls == [(MESSAGE, (delivered(BOB),))]


@pytest.mark.parametrize(
    "answer",
    [True, "text", [NOTICE, "text"], {NOTICE.recipient: NOTICE}],
    ids=lambda each: type(each).__name__,
)
def test_an_observers_wrong_answer_is_logged_and_ignored(
    caplog: pytest.LogCaptureFixture, answer: Any
) -> None:
    """The others' notices are sent."""
    assert conclude(good=Concluded([NOTICE]), careless=Concluded(answer)) == [NOTICE]
    [record] = caplog.records
    assert record.getMessage().startswith(
        "plugin careless: requiretls_concluded(message, outcomes) returned "
    )
