"""Call the hooks: await what is awaitable, check every answer, contain every exception.

Plugins are called one by one and not through pluggy's own loop, so that an
error can name its plugin, an awaited None passes the question on, and one
observer's exception does not keep the others from observing.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import pluggy

from requiretls_plugin.containment import Contained
from requiretls_plugin.delivery.outcome import Attempt, Notice, Outcome
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.errors import PluginError
from requiretls_plugin.mail_address import AddressLiteral
from requiretls_plugin.message import Message, Recipient
from requiretls_plugin.policy.next_hop import DomainHop, NamedHop, NextHop
from requiretls_plugin.requirement import Requirement

RECEIVE = "requiretls_receive"
NEXT_HOP = "requiretls_next_hop"
DELIVER = "requiretls_deliver"
ATTEMPTED = "requiretls_attempted"
CONCLUDED = "requiretls_concluded"


class PluginCalls:
    """The five hooks as coroutine functions.

    The three deciding ones raise PluginError if a plugin raises or answers
    what its contract excludes; the message is to be deferred then. The two
    observing ones log it and raise nothing.
    """

    def __init__(self, manager: pluggy.PluginManager) -> None:
        """Take the plugins of *manager*, also those registered later.

        Raises PluginError if one wraps another hook than `requiretls_deliver`:
        a wrapper could take back what others demand.
        """
        self._manager = manager
        self._sorted: dict[str, tuple[list[pluggy.HookImpl], _Implementations]] = {}
        for name in (RECEIVE, NEXT_HOP, ATTEMPTED, CONCLUDED):
            for wrapper in self._implementations(name).wrappers:
                raise PluginError(f"{_place(wrapper)}: this hook cannot be wrapped, only {DELIVER} can")

    async def receive(self, message: Message) -> list[Requirement]:
        """Return every plugin's answer to `requiretls_receive`."""
        requirements: list[Requirement] = []
        for implementation in self._implementations(RECEIVE).others:
            answer = await _answer(implementation, message=message)
            if answer is not None:
                _check(implementation, answer, Requirement)
                requirements.append(answer)
        return requirements

    async def next_hop(self, domain: DomainName | AddressLiteral, message: Message) -> NextHop | None:
        """Return the first answer to `requiretls_next_hop`; nobody is asked after it."""
        for implementation in self._implementations(NEXT_HOP).others:
            answer: NextHop | None = await _answer(implementation, domain=domain, message=message)
            if answer is not None:
                _check(implementation, answer, DomainHop, NamedHop)
                return answer
        return None

    async def deliver(self, message: Message, recipients: Sequence[Recipient]) -> tuple[Outcome, ...] | None:
        """Return the outcomes from `requiretls_deliver`, in the order of *recipients*."""
        recipients = tuple(recipients)
        wrappers, others = self._implementations(DELIVER)
        if not wrappers:
            return await self._delivered(message, recipients)
        # pluggy does the wrapping, around one implementation: all that do not wrap.
        wrapped = [implementation.plugin for implementation in others]
        caller = self._manager.subset_hook_caller(DELIVER, wrapped)
        where = " around ".join(_place(wrapper) for wrapper in wrappers)
        with Contained(where):
            answer = caller.call_extra([self._delivered], {"message": message, "recipients": recipients})
            outcomes = await answer if inspect.isawaitable(answer) else answer
        return None if outcomes is None else _in_order(where, outcomes, recipients)

    async def _delivered(
        self, message: Message, recipients: tuple[Recipient, ...]
    ) -> tuple[Outcome, ...] | None:
        for implementation in self._implementations(DELIVER).others:
            outcomes = await _answer(implementation, message=message, recipients=recipients)
            if outcomes is not None:
                return _in_order(_place(implementation), outcomes, recipients)
        return None

    async def attempted(self, attempt: Attempt) -> None:
        """Tell every observer of `requiretls_attempted`."""
        for implementation in self._implementations(ATTEMPTED).others:
            await _observation(implementation, attempt=attempt)

    async def concluded(self, message: Message, outcomes: Sequence[Outcome]) -> list[Notice]:
        """Tell every observer of `requiretls_concluded` and return their notices."""
        notices: list[Notice] = []
        outcomes = tuple(outcomes)
        for implementation in self._implementations(CONCLUDED).others:
            notices += await _observation(implementation, message=message, outcomes=outcomes)
        return notices

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


async def _answer(implementation: pluggy.HookImpl, **arguments: Any) -> Any:
    """Return what *implementation* answers; raises PluginError for whatever it raises."""
    with Contained(_place(implementation)):
        answer = implementation.function(*[arguments[name] for name in implementation.argnames])
        return await answer if answer is not None and inspect.isawaitable(answer) else answer


async def _observation(implementation: pluggy.HookImpl, **arguments: Any) -> Sequence[Notice]:
    """Return the notices that an observer asks for; what it does wrong is logged."""
    try:
        answer = await _answer(implementation, **arguments)
        if answer is None or "outcomes" not in arguments:
            return ()
        _check(implementation, answer, Sequence)
        for notice in answer:
            _check(implementation, notice, Notice)
    except PluginError as error:
        # Fetched now: hosts such as Salmon disable the loggers made before their own set-up.
        logging.getLogger(__name__).exception("%s", error)
        return ()
    notices: Sequence[Notice] = answer
    return notices


@functools.lru_cache(maxsize=256)
def _place(implementation: pluggy.HookImpl) -> str:
    # A method's self is not among the argument names, so this is what the plugin's author wrote.
    signature = f"{implementation.function.__name__}({', '.join(implementation.argnames)})"
    return f"plugin {implementation.plugin_name}: {signature}"


def _check(implementation: pluggy.HookImpl, answer: object, *allowed: type) -> None:
    if not isinstance(answer, allowed):
        names = " or ".join(kind.__name__ for kind in allowed)
        raise PluginError(f"{_place(implementation)} returned {type(answer).__name__} instead of {names}")


def _in_order(where: str, outcomes: Any, recipients: tuple[Recipient, ...]) -> tuple[Outcome, ...]:
    """Return *outcomes* in the order of *recipients*; raises PluginError unless each has exactly one."""
    if not isinstance(outcomes, Sequence):
        raise PluginError(f"{where} returned {type(outcomes).__name__} instead of a sequence of Outcome")
    for outcome in outcomes:
        if not isinstance(outcome, Outcome):
            raise PluginError(f"{where} returned {type(outcome).__name__} instead of Outcome among others")
    if tuple(outcome.recipient for outcome in outcomes) == recipients:
        return tuple(outcomes)
    counted, wanted = Counter(outcome.recipient for outcome in outcomes), Counter(recipients)
    for recipient in (counted - wanted) | (wanted - counted):
        raise PluginError(
            f"{where} returned {counted[recipient]} outcomes for {recipient} instead of {wanted[recipient]}"
        )
    by_recipient = {outcome.recipient: outcome for outcome in outcomes}
    return tuple(by_recipient[recipient] for recipient in recipients)
