"""Our own server for foreign clients: what they sent, with the tag it gets on receipt."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from requiretls_aiosmtpd import LMTPSession, SMTPSession, Transaction
from requiretls_plugin.engine import Engine
from requiretls_plugin.message import Message, Recipient
from requiretls_plugin.settings import Settings
from tests.delivery.delivering import plugins
from tests.hooks.aiosmtpd.serving import serving

SECONDS = 10.0

SESSIONS: dict[str, type[SMTPSession]] = {"smtp": SMTPSession, "lmtp": LMTPSession}


@dataclass(slots=True)
class Taken:
    """A message as it came, for whom, and whether its session was in TLS."""

    message: Message
    recipients: list[Recipient]
    tls: bool


@dataclass
class Receiver:
    """A server on 127.0.0.1 and *port* that speaks *protocol*.

    *refusal* is its answer to messages with a return path, if it is not to take them.
    """

    protocol: str
    refusal: str | None = None
    port: int = 0
    taken: list[Taken] = field(default_factory=list)

    async def handle_DATA(self, server: SMTPSession, session: object, transaction: Transaction) -> str:
        """Keep what came, unless it is to be refused."""
        message = transaction.message(server.peer_address)
        if self.refusal is not None and message.return_path is not None:
            return self.refusal
        self.taken.append(Taken(message, transaction.recipients, server.inside_tls))
        return "250 2.0.0 OK"

    def wait(self) -> Taken:
        """Return the first message once it is there."""
        deadline = time.monotonic() + SECONDS
        while not self.taken:
            assert time.monotonic() < deadline, "no message came"
            time.sleep(0.01)
        return self.taken[0]


@contextlib.contextmanager
def receiving(protocol: str = "smtp", *, refusal: str | None = None, **arguments: Any) -> Iterator[Receiver]:
    """Run one; other arguments are those of the session class."""
    receiver = Receiver(protocol, refusal)
    with serving(receiver, SESSIONS[protocol], **arguments) as receiver.port:
        yield receiver


def tagged(message: Message, settings: Settings) -> Message:
    """Return *message* as the engine takes it in."""
    return asyncio.run(Engine(settings, plugins()).receive(message))
