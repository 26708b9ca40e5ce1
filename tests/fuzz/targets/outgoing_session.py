"""Whatever a mail server says in a whole outgoing session, from the greeting to the end of two messages."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from dataclasses import replace

from requiretls_plugin.delivery.content import Content
from requiretls_plugin.delivery.opening import open_session
from requiretls_plugin.delivery.session import Session
from requiretls_plugin.policy.demand import Demand
from tests.delivery.demands import DEMANDS, MESSAGE, recipients
from tests.delivery.played_tls import HOST, End, record, rules, shaken
from tests.fuzz.parts import SEPARATOR, choice
from tests.socketless import PlayedTransport, SocketlessLoop, settled

CONTENT = Content.of(MESSAGE.content)
TO = recipients(2)
ENDS = tuple(End)


def target(data: bytes) -> None:
    """MAIL is said only where the demand is met; each message goes once; every recipient is accounted for.

    The first octet chooses the demand, the second how handshakes end. Each part is what
    the server says when it has heard something, the first one before that.
    """
    number, rest = choice(data)
    end, stream = choice(rest)
    demand = list(DEMANDS.values())[number % len(DEMANDS)]
    if demand.tlsa:
        demand = replace(demand, tlsa=(record(),), tlsa_names=(HOST,))
    server = Server(demand, ENDS[end % len(ENDS)], iter(stream.split(SEPARATOR)))
    loop = SocketlessLoop(server.connected, server.shake_hands)
    try:
        loop.run_until_complete(sent(demand, server))
    finally:
        loop.close()


class Server:
    """Says one part each time, then hangs up, and judges what it hears."""

    def __init__(self, demand: Demand, end: End, says: Iterator[bytes]) -> None:
        self.end = end
        self.contents = 0
        self.mails = 0
        self._demand = demand
        self._says = says
        self._in_tls = False
        self._last_said = b""
        self._offers_requiretls = False
        self._transport: PlayedTransport

    def connected(self, protocol: asyncio.BaseProtocol, address: str) -> PlayedTransport:
        self._in_tls = self._offers_requiretls = False
        self._transport = PlayedTransport(protocol, listener=self.hear)
        asyncio.get_running_loop().call_soon(self.speak)
        return self._transport

    async def shake_hands(self, transport: PlayedTransport, context: ssl.SSLContext) -> object:
        session = shaken(context, self.end)
        self._in_tls, self._last_said = True, b""
        if self._demand.implicit_tls:
            asyncio.get_running_loop().call_soon(self.speak)
        return session

    def speak(self) -> None:
        """Say the next part."""
        said = next(self._says, None)
        if said is None:
            self._transport.hang_up()
        else:
            self._last_said = said
            self._transport.say(said)

    def hear(self, data: bytes) -> None:
        """Judge what the client says, and answer."""
        if data == CONTENT.wire:
            self.contents += 1
        elif data.startswith((b"MAIL", b"RSET\r\nMAIL")):
            self.mails += 1
            self._judge()
        elif data.startswith((b"RCPT", b"DATA", b"AUTH", b"c2VjcmV0")):
            self._judge()
        asyncio.get_running_loop().call_soon(self.speak)

    def _judge(self) -> None:
        """Fail if this may not be said to us; the server's own words are not parsed but searched."""
        demand = self._demand
        assert self._in_tls or not demand.needs_tls
        assert self.end is End.GOOD or not demand.authenticated
        self._offers_requiretls = self._offers_requiretls or b"REQUIRETLS" in self._last_said.upper()
        assert self._offers_requiretls or not demand.requiretls


async def sent(demand: Demand, server: Server) -> None:
    """Open a session and send a message over it twice, as two messages."""
    shared = rules()
    session = await open_session(demand, shared)
    for _ in range(2):
        if not isinstance(session, Session) or not session.usable:
            break
        contents, mails = server.contents, server.mails
        handover = await session.send(MESSAGE, TO, CONTENT)
        # A recipient for whom there was no room beside the other has a transaction of its own.
        assert server.contents - contents <= server.mails - mails <= len(TO)
        accounted = [*handover.replies, *handover.doubtful, *handover.unsendable]
        assert len(accounted) == len(set(accounted))
        assert set(accounted) <= set(TO)
        assert set(accounted) == set(TO) or handover.refusal is not None or not session.usable
        if any(reply.kind == 2 for reply in handover.replies.values()):
            assert server.contents > contents
    if isinstance(session, Session):
        await session.quit()
    await shared.farewells.all_said()
    await settled()
