"""Send one message through an engine, and keep what observers are told."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from types import TracebackType
from typing import Any

from requiretls_plugin.delivery.outcome import Attempt, Outcome
from requiretls_plugin.engine import Engine
from requiretls_plugin.hookspecs import hookimpl
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message, Recipient
from requiretls_plugin.plugins import plugin_manager
from requiretls_plugin.requirement import Requirement
from requiretls_plugin.settings import Settings

_FIELDS = {Requirement.OPTIONAL: b"TLS-Required: No\r\n"}


class Watching:
    """A plugin that keeps all attempts."""

    def __init__(self) -> None:
        self.attempts: list[Attempt] = []

    @hookimpl
    def requiretls_attempted(self, attempt: Attempt) -> None:
        """Keep *attempt*."""
        self.attempts.append(attempt)


class Collector:
    """A UNIX datagram socket at *path* that keeps what it is told, as tlsrpt-collectd does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

    def __enter__(self) -> Collector:
        self._socket.bind(str(self.path))
        self._socket.setblocking(False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def received(self) -> list[dict[str, Any]]:
        """Return the datagrams that came since the last time."""
        found = []
        while True:
            try:
                found.append(json.loads(self._socket.recv(1 << 16)))
            except BlockingIOError:
                return found


def message(requirement: Requirement, *fields: bytes) -> Message:
    """Return a message with *requirement* and more header *fields*."""
    header = b"Subject: the secret plan\r\n" + _FIELDS.get(requirement, b"") + b"".join(fields)
    sender = MailAddress.parse("alice@sender.test")
    return Message(sender, header + b"\r\nburn this\r\n", mail_parameter=requirement is Requirement.REQUIRED)


def send(
    settings: Settings, domain: str, *messages: Message, local_part: str = "bob"
) -> tuple[list[Outcome], list[Attempt]]:
    """Send *messages* one after the other to *local_part*@*domain*; return outcomes and attempts."""
    watching = Watching()
    plugins = plugin_manager(installed=False)
    plugins.register(watching, "watching")

    async def deliver() -> list[Outcome]:
        outcomes: list[Outcome] = []
        async with Engine(settings, plugins) as engine:
            for each in messages:
                tagged = await engine.receive(each)
                outcomes += await engine.deliver(tagged, [Recipient.parse(f"{local_part}@{domain}")])
        return outcomes

    return asyncio.run(deliver()), watching.attempts
