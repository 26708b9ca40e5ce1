"""A wire with the server of a transcript at its other end, which takes nothing but what it took then."""

from __future__ import annotations

from collections import deque

from requiretls_plugin.delivery.proof import TLSProof
from requiretls_plugin.delivery.server_reply import ReplyReader, ServerReply
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message
from tests.delivery.demands import PROVED, tls
from tests.interop.transcript import CLIENT, HANDSHAKE, Transcript, written

# What all transcripts of servers are about.
MESSAGE = Message(
    MailAddress.parse("a@sender.test"), b"Subject: recorded\r\n\r\n.a dot\r\n", mail_parameter=True
)


class ReplayedServer:
    """The wire."""

    def __init__(self, transcript: Transcript) -> None:
        self.left = deque(transcript.lines)
        self._reader = ReplyReader()

    def say(self, octets: bytes) -> None:
        """Check *octets* against what was said then."""
        for line in written(CLIENT, octets):
            assert line == self.left.popleft()

    def hear(self) -> ServerReply:
        """Return the reply that was heard then."""
        while True:
            line = self.left.popleft()
            assert line.startswith("S: "), f"the server said nothing, but: {line}"
            for reply in self._reader.feed(f"{line[3:]}\r\n".encode()):
                return reply

    def shake_hands(self) -> TLSProof:
        """Go on to what was said in TLS."""
        assert self.left.popleft() == HANDSHAKE
        self._reader = ReplyReader()
        return tls(PROVED)
