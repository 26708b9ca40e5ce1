"""Deliver one message through the engine, and say in words what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pluggy

from requiretls_lab.words import in_words as in_words
from requiretls_plugin.delivery.outcome import Attempt, Outcome
from requiretls_plugin.engine import Engine
from requiretls_plugin.hookspecs import hookimpl
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message, Recipient
from requiretls_plugin.plugins import plugin_manager
from requiretls_plugin.policy.next_hop import NextHop
from requiretls_plugin.requirement import Requirement
from requiretls_plugin.settings import Settings

SENDER = MailAddress.parse("a@sender.test")
CONTENT = b"Subject: x\r\n\r\nhello\r\n"


def message(
    requirement: Requirement = Requirement.UNSTATED,
    *,
    content: bytes = CONTENT,
    next_hop: NextHop | None = None,
    **changes: Any,
) -> Message:
    """Return a message as it was received, saying what it asks of TLS the way senders do."""
    if requirement is Requirement.OPTIONAL:
        content = b"TLS-Required: No\r\n" + content
    required = requirement is Requirement.REQUIRED
    return Message(SENDER, content, mail_parameter=required, next_hop=next_hop, **changes)


class Watching:
    """A plugin that keeps every attempt."""

    def __init__(self) -> None:
        self.attempts: list[Attempt] = []

    @hookimpl
    def requiretls_attempted(self, attempt: Attempt) -> None:
        self.attempts.append(attempt)


def plugins(*registered: object) -> pluggy.PluginManager:
    """Return a plugin manager with these plugins and no installed ones."""
    manager = plugin_manager(installed=False)
    for plugin in registered:
        manager.register(plugin)
    return manager


async def delivered_by(engine: Engine, sent: Message, *to: str) -> tuple[Outcome, ...]:
    """Receive and deliver *sent* as a host server does."""
    tagged = await engine.receive(sent)
    return await engine.deliver(tagged, [Recipient.parse(address) for address in to])


def deliver(
    settings: Settings, sent: Message, *to: str, watching: Sequence[object] = ()
) -> tuple[Outcome, ...]:
    """The same with an engine of its own."""

    async def run() -> tuple[Outcome, ...]:
        async with Engine(settings, plugins(*watching)) as engine:
            return await delivered_by(engine, sent, *to)

    return asyncio.run(run())
