"""Call the hooks: await what is awaitable, check every answer, contain every exception.

Plugins are called one by one and not through pluggy's own loop, so that an
error can name its plugin, an awaited None passes the question on, and one
observer's exception does not keep the others from observing.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import time
from collections.abc import Coroutine, Sequence
from typing import Any, NamedTuple

import pluggy

from requiretls_plugin.containment import Contained
from requiretls_plugin.delivery.outcome import Attempt, Notice, Outcome
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.errors import PluginError
from requiretls_plugin.mail_address import AddressLiteral
from requiretls_plugin.message import Message, Recipient
from requiretls_plugin.plugin_answers import hop_in, notices_in, outcomes_in, requirement_in
from requiretls_plugin.plugin_notices import held_to_requirement
from requiretls_plugin.policy.next_hop import NextHop
from requiretls_plugin.requirement import Requirement, strongest

RECEIVE = "requiretls_receive"
NEXT_HOP = "requiretls_next_hop"
DELIVER = "requiretls_deliver"
ATTEMPTED = "requiretls_attempted"
CONCLUDED = "requiretls_concluded"

# In seconds. Host servers wait half a minute longer for a delivery than it may take; within that
# every plugin has to have answered.
PATIENCE = 20.0

# In seconds: whoever takes longer before he awaits anything held up all other mail.
BLOCKING = 1.0


class PluginCalls:
    """The five hooks as coroutine functions.

    The three deciding ones raise PluginError if a plugin raises, answers what
    its contract excludes, or does not answer; the message is to be deferred
    then. The two observing ones log it and raise nothing.
    """

    def __init__(self, manager: pluggy.PluginManager, patience: float = PATIENCE) -> None:
        """Take the plugins of *manager*, also those registered later.

        *patience* is how many seconds each may take for an answer, but for a
        delivery, which takes as long as it takes. Raises PluginError if a
        plugin wraps another hook than `requiretls_deliver`, since a wrapper
        could take back what others demand, or cannot be called.
        """
        self._manager = manager
        self._patience = patience
        self._sorted: dict[str, tuple[list[pluggy.HookImpl], _Implementations]] = {}
        for name in (RECEIVE, NEXT_HOP, DELIVER, ATTEMPTED, CONCLUDED):
            wrappers, others = self._implementations(name)
            for wrapper in wrappers if name != DELIVER else ():
                raise PluginError(f"{_place(wrapper)}: this hook cannot be wrapped, only {DELIVER} can")
            for implementation in others:
                _check_callable(implementation)

    async def receive(self, message: Message, asked: Requirement) -> list[Requirement]:
        """Return every plugin's answer to `requiretls_receive`.

        One that is weaker than *asked*, what the message brings along, is
        logged with the plugin's name: the strongest counts.
        """
        requirements: list[Requirement] = []
        for implementation in self._implementations(RECEIVE).others:
            answer = await self._answer(implementation, message=message)
            if answer is None:
                continue
            place = _place(implementation)
            requirements.append(requirement_in(place, answer))
            if strongest([answer, asked]) is not answer:
                weaker, stronger = answer.name, asked.name
                _log().warning("%s returned %s: the message stays %s, as it came", place, weaker, stronger)
        return requirements

    async def next_hop(self, domain: DomainName | AddressLiteral, message: Message) -> NextHop | None:
        """Return the first answer to `requiretls_next_hop`; nobody is asked after it."""
        for implementation in self._implementations(NEXT_HOP).others:
            answer = await self._answer(implementation, domain=domain, message=message)
            if answer is not None:
                return hop_in(_place(implementation), answer)
        return None

    async def deliver(self, message: Message, recipients: Sequence[Recipient]) -> tuple[Outcome, ...] | None:
        """Return the outcomes from `requiretls_deliver`, in the order of *recipients*.

        What a wrapper does wrong after the delivery it wraps is logged, and the
        outcomes stand: the message has gone, and must not go again.
        """
        recipients = tuple(recipients)
        wrappers, others = self._implementations(DELIVER)
        if not wrappers:
            return await self._delivered(message, recipients)
        where = " around ".join(_place(wrapper) for wrapper in wrappers)
        wrapped = _Wrapped(self._delivered(message, recipients))
        try:
            with Contained(where):
                # pluggy does the wrapping, around one implementation: all that do not wrap.
                caller = self._manager.subset_hook_caller(DELIVER, [each.plugin for each in others])
                told = {"message": message, "recipients": recipients}
                answer = caller.call_extra([wrapped.awaitable], told)
                outcomes = await answer if inspect.isawaitable(answer) else answer
                if outcomes is None:
                    return await wrapped.outcomes(where)
                return outcomes_in(where, outcomes, recipients)
        except PluginError as error:
            if wrapped.settled is None:
                raise
            _log().exception("after the delivery: %s", error)
            return wrapped.settled
        finally:
            wrapped.close()

    async def _delivered(
        self, message: Message, recipients: tuple[Recipient, ...]
    ) -> tuple[Outcome, ...] | None:
        for implementation in self._implementations(DELIVER).others:
            outcomes = await self._answer(
                implementation, patient=True, message=message, recipients=recipients
            )
            if outcomes is not None:
                return outcomes_in(_place(implementation), outcomes, recipients)
        return None

    async def attempted(self, attempt: Attempt) -> None:
        """Tell every observer of `requiretls_attempted`."""
        for implementation in self._implementations(ATTEMPTED).others:
            try:
                await self._answer(implementation, attempt=attempt)
            except PluginError as error:
                _log().exception("%s", error)

    async def concluded(self, message: Message, outcomes: Sequence[Outcome]) -> list[Notice]:
        """Tell every observer of `requiretls_concluded` and return their notices, as they may be sent."""
        notices: list[Notice] = []
        outcomes = tuple(outcomes)
        for implementation in self._implementations(CONCLUDED).others:
            try:
                answer = await self._answer(implementation, message=message, outcomes=outcomes)
                if answer is not None:
                    notices += _held(_place(implementation), answer, message)
            except PluginError as error:
                _log().exception("%s", error)
        return notices

    async def _answer(
        self, implementation: pluggy.HookImpl, *, patient: bool = False, **arguments: Any
    ) -> Any:
        """Return what *implementation* answers.

        Raises PluginError for whatever it raises, and if it takes too long and
        we are not *patient*.
        """
        place = _place(implementation)
        began = time.monotonic()
        with Contained(place):
            answer = implementation.function(*[arguments[name] for name in implementation.argnames])
        blocked = time.monotonic() - began
        if blocked > BLOCKING:
            _log().warning(
                "%s took %.1f seconds, in which nothing else could be done: it has to await", place, blocked
            )
        if answer is None or not inspect.isawaitable(answer):
            return answer
        if patient:
            with Contained(place):
                return await answer
        try:
            async with asyncio.timeout(self._patience):
                with Contained(place):
                    return await answer
        except TimeoutError:
            raise PluginError(f"{place} has not answered in {self._patience:g} seconds") from None

    def _implementations(self, name: str) -> _Implementations:
        """Return those of a hook; they are sorted again when a plugin came or went."""
        registered: list[pluggy.HookImpl] = getattr(self._manager.hook, name).get_hookimpls()
        known = self._sorted.get(name)
        if known is None or known[0] != registered:
            known = self._sorted[name] = registered, _Implementations.of(registered)
        return known[1]


class _Implementations(NamedTuple):
    """The implementations of a hook in the order to call them."""

    wrappers: tuple[pluggy.HookImpl, ...]
    others: tuple[pluggy.HookImpl, ...]

    @classmethod
    def of(cls, registered: Sequence[pluggy.HookImpl]) -> _Implementations:
        wrappers: list[pluggy.HookImpl] = []
        others: list[pluggy.HookImpl] = []
        for implementation in reversed(registered):  # pluggy calls the last one first
            wraps = implementation.wrapper or implementation.hookwrapper
            (wrappers if wraps else others).append(implementation)
        return cls(tuple(wrappers), tuple(others))


class _Wrapped:
    """The delivery inside wrappers; *settled* has its outcomes once it is done."""

    def __init__(self, delivery: Coroutine[Any, Any, tuple[Outcome, ...] | None]) -> None:
        self.settled: tuple[Outcome, ...] | None = None
        self._done = False
        self._delivery = delivery
        self._awaited = self._run()

    def awaitable(self) -> Coroutine[Any, Any, tuple[Outcome, ...] | None]:
        """Return what a wrapper's `yield` gives."""
        return self._awaited

    async def outcomes(self, where: str) -> tuple[Outcome, ...] | None:
        """Return the outcomes; deliver, if no wrapper has had that done.

        Raises PluginError if the delivery failed, whatever *where* made of that.
        """
        if _not_begun(self._awaited):
            return await self._awaited
        if not self._done:
            raise PluginError(f"{where} returned None after a delivery that came to nothing")
        return self.settled

    def close(self) -> None:
        """Forget the delivery, if it has not begun."""
        for coroutine in (self._awaited, self._delivery):
            if _not_begun(coroutine):
                coroutine.close()

    async def _run(self) -> tuple[Outcome, ...] | None:
        self.settled = await self._delivery
        self._done = True
        return self.settled


def _not_begun(coroutine: Coroutine[Any, Any, Any]) -> bool:
    return inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED


def _held(place: str, answer: Any, message: Message) -> list[Notice]:
    """Return the notices in *answer*, held to what *message* asks; raises PluginError."""
    notices = notices_in(place, answer, message)
    held = [held_to_requirement(message, notice) for notice in notices]
    if held != list(notices):
        _log().warning("%s returned a Notice that quotes a REQUIRED message: it goes under REQUIRETLS", place)
    return held


def _log() -> logging.Logger:
    # Fetched when used: hosts such as Salmon disable the loggers made before their own set-up.
    return logging.getLogger(__name__)


@functools.lru_cache(maxsize=256)
def _place(implementation: pluggy.HookImpl) -> str:
    # A method's self is not among the argument names, so this is what the plugin's author wrote.
    name = implementation.opts["specname"] or implementation.function.__name__
    signature = f"{name}({', '.join(implementation.argnames)})"
    return f"plugin {implementation.plugin_name}: {signature}"


def _check_callable(implementation: pluggy.HookImpl) -> None:
    """Raise PluginError if *implementation* could never answer when it is called."""
    function = implementation.function
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise PluginError(f"{_place(implementation)} has a yield: let it return its answer")
    try:
        inspect.signature(function).bind(*implementation.argnames)
    except ValueError:  # written in C, and says nothing of its arguments
        return
    except TypeError as error:
        why = f"cannot be called with that: {error}; is it a method, and the plugin a class and no object?"
        raise PluginError(f"{_place(implementation)} {why}") from None
