"""The one thing of a process that receives and delivers: loop, resolver, pool, plugins."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import itertools
import logging
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import pluggy

from requiretls_plugin.bounce import send_notice
from requiretls_plugin.certificate.tls_context import TLSContexts
from requiretls_plugin.delivery.attempt import Job
from requiretls_plugin.delivery.content import Content
from requiretls_plugin.delivery.destination import deferred_by_mistake, deliver_to
from requiretls_plugin.delivery.observation import observation_of
from requiretls_plugin.delivery.outcome import Attempt, Disposition, Notice, Outcome
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.engine_loop import EngineLoop
from requiretls_plugin.errors import EngineStopped, InvalidDomainName, PluginError
from requiretls_plugin.findings import Findings, gather
from requiretls_plugin.message import Message, Recipient
from requiretls_plugin.message_tag import strip_private_fields
from requiretls_plugin.observe import Observers
from requiretls_plugin.observe.watched import Watched
from requiretls_plugin.plugin import RFC8689, tag_of
from requiretls_plugin.plugin_calls import PluginCalls
from requiretls_plugin.plugins import OWN_NAME, plugin_manager
from requiretls_plugin.policy.next_hop import DomainHop
from requiretls_plugin.policy.refusal import Refusal
from requiretls_plugin.preflight import Readiness, preflight, shortcoming, with_memories
from requiretls_plugin.probes import Probes
from requiretls_plugin.reason import Reason
from requiretls_plugin.requirement import Origin, Requirement, Tag, strongest
from requiretls_plugin.routing import Destination, destinations
from requiretls_plugin.settings import Settings
from requiretls_plugin.smarthost import smarthost_hop
from requiretls_plugin.working_parts import WorkingParts

T = TypeVar("T")


class Engine:
    """Receive hook in, deliver hook out, for one process.

    The coroutine methods run on the loop of the engine: call them there, or
    from another thread through `run`. `start` makes one daemon thread with a
    loop; `async with engine` uses the loop that is running. After a fork the
    child has to `start` again.
    """

    def __init__(self, settings: Settings, plugins: pluggy.PluginManager | None = None) -> None:
        """Make an engine that does nothing yet; raises PluginError if a plugin cannot be loaded.

        *plugins* defaults to those installed under the entry point group `requiretls`.
        """
        self.settings = settings
        self._manager = plugins if plugins is not None else plugin_manager()
        self._manager.register(RFC8689(settings, self._deliver_by_policy), OWN_NAME)
        self._observers = Observers(settings)
        for name, observer in self._observers:
            self._manager.register(observer, name)
        self._calls = PluginCalls(self._manager)
        self._contexts = TLSContexts(
            settings.tls.ca_file, settings.tls.minimum_version, settings.mta_sts.ca_file
        )
        self._parts: WorkingParts | None = None
        self._housekeeping: asyncio.Task[None] | None = None
        self._loop = EngineLoop()

    # Life

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop everything runs on; raises EngineStopped if there is none."""
        return self._loop.loop

    def start(self) -> None:
        """Start the loop in a daemon thread, unless it runs already in this process.

        Raises SettingsError if there is no resolver to ask.
        """
        self._loop.start(self._open)

    def stop(self, timeout: float = 10.0) -> None:
        """Take nothing new, wait for what is under way, end idle sessions, then the loop and its thread.

        *timeout* seconds are the limit for each of these. What is not done by
        then is cancelled, and its caller gets EngineStopped.
        """
        self._loop.stop(self._close, timeout)

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Start *coroutine* on the loop and return at once; for threads other than the loop's.

        The future is cancelled if the engine is stopped. Raises EngineStopped.
        """
        return self._loop.submit(coroutine)

    def run(self, coroutine: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Run *coroutine* on the loop and return its result; for threads other than the loop's.

        Raises EngineStopped, TimeoutError after *timeout* seconds (the coroutine
        is cancelled then), and what *coroutine* raises.
        """
        return self._loop.run(coroutine, timeout)

    async def __aenter__(self) -> Engine:
        """Use the running loop."""
        await self._open()
        self._loop.use(asyncio.get_running_loop())
        return self

    async def __aexit__(self, *exception: object) -> None:
        """End idle sessions."""
        self._loop.use(None)
        await self._close()

    async def _open(self) -> None:
        self._parts = WorkingParts.open(self.settings, self._contexts, self._attempted)
        await self._observers.open(self.watched)
        self._housekeeping = asyncio.get_running_loop().create_task(self._parts.keep_house())

    async def _close(self) -> None:
        parts, self._parts = self._parts, None
        if self._housekeeping is not None:
            self._housekeeping.cancel()
            await asyncio.gather(self._housekeeping, return_exceptions=True)
        if parts is not None:
            await self._observers.close()
            await parts.close()

    async def _attempted(self, attempt: Attempt) -> None:
        """Tell the observers, and remember what the host can do, which decides nothing."""
        await self._calls.attempted(attempt)
        seen = observation_of(attempt)
        if seen is not None and self._parts is not None:
            with contextlib.suppress(InvalidDomainName):  # an address or a socket: nothing to remember it by
                await self._parts.capabilities.remember(DomainName.parse(attempt.host), seen)

    def _running(self) -> WorkingParts:
        if self._parts is None:
            raise EngineStopped("the engine is not running: call start()")
        return self._parts

    # Receiving

    async def receive(self, message: Message) -> Message:
        """Return *message* with its tag, and without header fields that could forge one.

        Raises PluginError if a plugin failed: the message is to be deferred.
        """
        own = tag_of(message, self.settings.receive.trusted_hops)
        asked = own.requirement
        requirement = strongest([asked, *await self._calls.receive(message, asked)])
        origin = own.origin if requirement is own.requirement else Origin.PLUGIN
        content = strip_private_fields(message.content)
        return replace(message, content=content, tag=Tag(requirement, origin))

    # Delivering

    async def deliver(self, message: Message, recipients: Sequence[Recipient]) -> tuple[Outcome, ...]:
        """Deliver *message* and return one outcome for each of *recipients*, in their order.

        Nothing is raised for what DNS, servers or plugins do. Nothing is
        retried and no bounce is made: that is up to the host server. Raises
        EngineStopped.
        """
        once = tuple(dict.fromkeys(recipients))
        outcomes = await self._deliver_once(message, once)
        if message.return_path is None and message.requirement is Requirement.REQUIRED:
            outcomes = await self._rather_than_lose(message, outcomes)
        await self._conclude(message, outcomes)
        if len(once) == len(recipients):
            return outcomes
        by_recipient = {outcome.recipient: outcome for outcome in outcomes}
        return tuple(by_recipient[recipient] for recipient in recipients)

    async def _conclude(self, message: Message, outcomes: Sequence[Outcome]) -> None:
        """Tell the observers, and send the notices they ask for; none follows a notice."""
        for notice in await self._calls.concluded(message, outcomes):
            await self._send(notice)

    async def _send(self, notice: Notice) -> None:
        try:
            await send_notice(self.deliver_as_it_is, notice)
        except (EngineStopped, PluginError) as error:  # what it is about has gone out: its outcomes stand
            logging.getLogger(__name__).error("notice to %s not sent: %s", notice.recipient, error)

    async def deliver_as_it_is(
        self, message: Message, recipients: Sequence[Recipient]
    ) -> tuple[Outcome, ...]:
        """Deliver *message* and observe its requirement though it may be a notice.

        For `send_notice`, which has a fallback of its own. Observers are told
        the outcomes, as of every message.
        """
        outcomes = await self._deliver_once(message, recipients)
        await self._conclude(message, outcomes)
        return outcomes

    async def _rather_than_lose(self, message: Message, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
        """Send a notice that REQUIRETLS stopped without it (RFC 8689 section 5)."""
        stopped = [
            outcome.recipient
            for outcome in outcomes
            if outcome.disposition is Disposition.FAILED and outcome.reason in _REQUIRETLS_REASONS
        ]
        if not stopped:
            return tuple(outcomes)
        again = await self._deliver_once(message.with_tag(Tag()), stopped)
        second = {outcome.recipient: outcome for outcome in again}
        return tuple(second.get(outcome.recipient, outcome) for outcome in outcomes)

    async def _deliver_once(self, message: Message, recipients: Sequence[Recipient]) -> tuple[Outcome, ...]:
        self._running()
        try:
            outcomes = await self._calls.deliver(message, recipients)
            if outcomes is None:  # somebody took our own implementation away
                outcomes = tuple(await self._deliver_by_policy(message, recipients))
        except PluginError as error:
            return deferred_by_mistake(recipients, error)
        return outcomes

    async def _deliver_by_policy(
        self, message: Message, recipients: Sequence[Recipient]
    ) -> Sequence[Outcome]:
        groups = await destinations(message, recipients, self.settings, self._calls)
        running, content = self._running(), Content.of(message.content)

        async def deliver(destination: Destination, members: list[Recipient]) -> Sequence[Outcome]:
            job = Job.of(message, destination.level, content)
            async with running.gate:
                return await deliver_to(destination.next_hop, job, members, running.resolver, running.rules)

        if len(groups) == 1:  # as nearly always: no need for another task
            return await deliver(*next(iter(groups.items())))
        parts = await asyncio.gather(*itertools.starmap(deliver, groups.items()))
        return [outcome for part in parts for outcome in part]

    async def drop_idle_connections(self) -> None:
        """End the sessions that are kept for later messages, as after a change of network."""
        await self._running().rules.pool.drop_idle()

    # Looking on and ahead

    @property
    def plugins(self) -> pluggy.PluginManager:
        """All plugins, this package's own among them."""
        return self._manager

    @property
    def watched(self) -> Watched:
        """The parts that observers look at; raises EngineStopped."""
        running = self._running()
        return Watched(running.dns, running.rules.pool)

    async def findings(self, recipient: Recipient) -> Findings:
        """Return all that decides about mail to *recipient* now; raises PluginError.

        Its hosts are connected to and told no more than EHLO, STARTTLS, EHLO, QUIT.
        """
        running = self._running()
        [destination] = await destinations(Message(None, b""), [recipient], self.settings, self._calls)
        return await gather(destination, running.resolver, running.rules)

    async def check(self, domain: DomainName, probes: Probes | None = None) -> Readiness:
        """Return whether REQUIRETLS mail for *domain* would get through now, by the evaluation that delivers.

        That is through the smarthost or whatever else is named for the domain.
        Raises PluginError. Calls with the same *probes* probe a host that several domains share only once.
        """
        running = self._running()
        hop = await self._calls.next_hop(domain, Message(None, b"")) or DomainHop(domain)
        readiness = await preflight(domain, hop, running.resolver, running.rules, probes)
        return await with_memories(readiness, running.capabilities)

    async def check_smarthost(self) -> Refusal | None:
        """Return why the smarthost of the settings cannot take REQUIRETLS mail now.

        None means that it can, or that the settings name none.
        """
        running = self._running()
        smarthost = smarthost_hop(self.settings.delivery)
        if smarthost is None:
            return None
        return await shortcoming(smarthost, running.resolver, running.rules)


_REQUIRETLS_REASONS = frozenset(Reason) - {
    Reason.REJECTED,
    Reason.NULL_MX,
    Reason.NO_SUCH_DOMAIN,
    Reason.CONFIGURATION,
}
