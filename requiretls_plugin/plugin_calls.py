"""Call the hooks: await what is awaitable, check every answer, contain every exception."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import pluggy

from requiretls_plugin.delivery.outcome import Attempt, Notice, Outcome
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.errors import PluginError
from requiretls_plugin.message import Message, Recipient
from requiretls_plugin.policy.next_hop import DomainHop, NamedHop, NextHop
from requiretls_plugin.requirement import Requirement


class PluginCalls:
    """The five hooks as coroutine functions.

    The three deciding ones raise PluginError if a plugin raises or answers
    what its contract excludes; the message is to be deferred then. The two
    observing ones log it and raise nothing.
    """

    def __init__(self, manager: pluggy.PluginManager) -> None:
        self._hooks = manager.hook

    async def receive(self, message: Message) -> list[Requirement]:
        """Return every plugin's answer to `requiretls_receive`."""
        answers = await self._all("requiretls_receive", message=message)
        for answer in answers:
            _check("requiretls_receive", answer, Requirement)
        return answers

    async def next_hop(self, domain: DomainName, message: Message) -> NextHop | None:
        """Return the first answer to `requiretls_next_hop`."""
        answers = await self._all("requiretls_next_hop", domain=domain, message=message)
        if not answers:
            return None
        _check("requiretls_next_hop", answers[0], DomainHop, NamedHop)
        hop: NextHop = answers[0]
        return hop

    async def deliver(self, message: Message, recipients: Sequence[Recipient]) -> tuple[Outcome, ...] | None:
        """Return the outcomes from `requiretls_deliver`, in the order of *recipients*."""
        name = "requiretls_deliver"
        outcomes = await self._guarded(
            name, lambda: self._hooks.requiretls_deliver(message=message, recipients=tuple(recipients))
        )
        if outcomes is None:
            return None
        if not isinstance(outcomes, Sequence):
            raise PluginError(f"{name}: {type(outcomes).__name__} is no sequence of outcomes")
        for outcome in outcomes:
            _check(name, outcome, Outcome)
        by_recipient = {outcome.recipient: outcome for outcome in outcomes}
        missing = [recipient for recipient in recipients if recipient not in by_recipient]
        if missing:
            raise PluginError(f"{name}: no outcome for {len(missing)} of {len(recipients)} recipients")
        return tuple(by_recipient[recipient] for recipient in recipients)

    async def attempted(self, attempt: Attempt) -> None:
        """Tell every observer of `requiretls_attempted`."""
        await self._observed("requiretls_attempted", attempt=attempt)

    async def concluded(self, message: Message, outcomes: Sequence[Outcome]) -> list[Notice]:
        """Tell every observer of `requiretls_concluded` and return their notices."""
        name = "requiretls_concluded"
        answers = await self._observed(name, message=message, outcomes=tuple(outcomes))
        notices = [notice for answer in answers if isinstance(answer, Sequence) for notice in answer]
        return [notice for notice in notices if isinstance(notice, Notice)]

    async def _all(self, name: str, **arguments: Any) -> list[Any]:
        answers = await self._guarded(name, lambda: getattr(self._hooks, name)(**arguments))
        resolved = [await self._guarded(name, partial(_itself, answer)) for answer in answers]
        return [answer for answer in resolved if answer is not None]

    async def _observed(self, name: str, **arguments: Any) -> list[Any]:
        try:
            return await self._all(name, **arguments)
        except PluginError as error:
            # Fetched now: hosts such as Salmon disable the loggers made before their own set-up.
            logging.getLogger(__name__).exception("%s", error)
            return []

    async def _guarded(self, name: str, call: Callable[[], Any]) -> Any:
        """Return what *call* returns, awaited; whatever it raises becomes a PluginError."""
        results: Sequence[Any] = await asyncio.gather(_resolved(call), return_exceptions=True)
        result = results[0]
        if isinstance(result, Exception):
            raise PluginError(f"{name}: {type(result).__name__}: {result}") from result
        if isinstance(result, BaseException):
            raise result
        return result


async def _resolved(call: Callable[[], Any]) -> Any:
    answer: Any | Awaitable[Any] = call()
    return await answer if inspect.isawaitable(answer) else answer


def _itself(answer: Any) -> Any:
    return answer


def _check(hook: str, answer: object, *allowed: type) -> None:
    if not isinstance(answer, allowed):
        names = " or ".join(kind.__name__ for kind in allowed)
        raise PluginError(f"{hook}: a plugin returned {type(answer).__name__} instead of {names}")
