"""A client of our sessions on a connection without sockets."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator

from requiretls_aiosmtpd import SMTPSession
from tests.hooks.aiosmtpd.serving import client_context
from tests.socketless import PlayedTransport, settled


class Client:
    """Says what it is told to; its TLS is real."""

    def __init__(self, session: SMTPSession, *, implicit_tls: bool) -> None:
        self.in_tls = implicit_tls
        self.transport = PlayedTransport(session, tls=object() if implicit_tls else None)
        self._read = 0
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None

    async def say(self, text: str) -> list[list[str]]:
        """Say *text* and return the replies, each as its lines."""
        data = text.encode()
        if self._tls is not None:
            self._tls.write(data)
            data = self._outgoing.read()
        self.transport.say(data)
        await settled()
        return list(grouped(self._heard().decode("ascii")))

    async def start_tls(self) -> None:
        """Shake hands."""
        self._tls = client_context().wrap_bio(self._incoming, self._outgoing)
        for _ in range(10):
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self.transport.say(self._outgoing.read())
                await settled()
                self._incoming.write(self._new())
            else:
                break
        self.transport.say(self._outgoing.read())
        await settled()
        self.in_tls = True

    def _new(self) -> bytes:
        new = bytes(self.transport.heard[self._read :])
        self._read += len(new)
        return new

    def _heard(self) -> bytes:
        if self._tls is None:
            return self._new()
        self._incoming.write(self._new())
        clear = b""
        try:
            while piece := self._tls.read():
                clear += piece
        except ssl.SSLWantReadError:
            return clear
        # The server said that this is the end, and waits for us to hang up.
        self.transport.hang_up()
        return clear


def grouped(text: str) -> Iterator[list[str]]:
    """Yield replies; what is none fails."""
    lines: list[str] = []
    for line in text.split("\r\n")[:-1]:
        assert re.fullmatch(r"[2-5][0-9]{2}[ -][\x20-\x7e]*", line), line
        lines.append(line)
        assert line[:3] == lines[0][:3]
        if line[3] == " ":
            yield lines
            lines = []
    assert lines == []
    assert text == "" or text.endswith("\r\n")
