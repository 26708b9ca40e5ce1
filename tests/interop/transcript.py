"""Talks with foreign servers as they were recorded, and a wire that plays the server's side again.

A transcript is a text file: a head of `# key: value` lines, then `C: ` before each line of the client,
`S: ` before each line of the server, and the one word `TLS` where the handshake was.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import Path

from requiretls_plugin.delivery.proof import TLSProof
from requiretls_plugin.delivery.server_reply import ReplyReader, ServerReply
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message, Recipient
from tests.delivery.demands import PROVED, tls

FOLDER = Path(__file__).parent / "transcripts"
HANDSHAKE = "TLS"

MESSAGE = Message(
    MailAddress.parse("a@sender.test"), b"Subject: recorded\r\n\r\n.a dot\r\n", mail_parameter=True
)


def written(side: str, octets: bytes) -> list[str]:
    """Return the lines that `C` or `S` said."""
    return [f"{side}: {line}".rstrip(" ") for line in octets.decode("ascii").splitlines()]


@dataclass(frozen=True, slots=True)
class Transcript:
    """One talk, MESSAGE on its way to *to*.

    *demand* is a key of `DEMANDS`; *source* and *recorded* say with whom and when it was.
    """

    source: str
    recorded: str
    demand: str
    to: tuple[Recipient, ...]
    lines: tuple[str, ...]

    @classmethod
    def read(cls, name: str) -> Transcript:
        """Return the transcript of that name; raises OSError, KeyError if the head is not complete."""
        text = (FOLDER / f"{name}.txt").read_text(encoding="ascii").splitlines()
        head = dict(line.removeprefix("# ").split(": ", 1) for line in text if line.startswith("# "))
        to = tuple(Recipient.parse(address) for address in head["to"].split())
        lines = tuple(line for line in text if not line.startswith("# "))
        return cls(head["source"], head["recorded"], head["demand"], to, lines)

    def write(self, name: str) -> None:
        """Write it under that name."""
        to = " ".join(map(str, self.to))
        head = [f"# source: {self.source}", f"# recorded: {self.recorded}"]
        head += [f"# demand: {self.demand}", f"# to: {to}"]
        (FOLDER / f"{name}.txt").write_text("\n".join([*head, *self.lines, ""]), encoding="ascii")


class Replay:
    """A wire with the server of a transcript at its other end, which takes nothing but what it took then."""

    def __init__(self, transcript: Transcript) -> None:
        self.left = deque(transcript.lines)
        self._reader = ReplyReader()

    def say(self, octets: bytes) -> None:
        """Check *octets* against what was said then."""
        for line in written("C", octets):
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
