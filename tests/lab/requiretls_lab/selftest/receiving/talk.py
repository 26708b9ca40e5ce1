"""One conversation with a server: exactly the octets a case wants to send, and whole replies."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from types import TracebackType

from requiretls_lab.selftest.case import Broken

HOSTNAME = "client.test"
SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply: its code, and its lines without code. Code 0 stands for a connection that has ended."""

    code: int
    lines: tuple[str, ...]

    @property
    def positive(self) -> bool:
        """Whether the command took effect."""
        return self.code // 100 in (2, 3)

    def __str__(self) -> str:
        return f"{self.code} {self.lines[-1]}" if self.code else "by hanging up"


class Talk:
    """A connection to *host* and *port*; everything raises Broken if it fails or stays silent.

    *listed* are the lines of the last EHLO reply after the first.
    """

    def __init__(self, host: str, port: int) -> None:
        self._socket: socket.socket = socket.create_connection((host, port), SECONDS)
        self._file = self._socket.makefile("rb")
        self.listed: tuple[str, ...] = ()

    def __enter__(self) -> Talk:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self._socket.close()

    def send(self, octets: bytes) -> None:
        """Send *octets* in one piece."""
        try:
            self._socket.sendall(octets)
        except TimeoutError:
            raise Broken(f"does not read for {SECONDS:.0f} seconds") from None
        except OSError:
            pass  # it has hung up; the reply will say so

    def reply(self) -> Reply:
        """Return the next reply."""
        lines: list[str] = []
        while not lines or lines[-1][3:4] == "-":
            line = self._line()
            if line is None:
                return Reply(0, ())
            lines.append(line)
        if not lines[-1][:3].isdigit():
            raise Broken(f"answers what is no reply: {lines[-1][:80]!r}")
        return Reply(int(lines[-1][:3]), tuple(line[4:] for line in lines))

    def _line(self) -> str | None:
        """Return the next line, None at the end."""
        try:
            line = self._file.readline(4096)
        except TimeoutError:
            raise Broken(f"says nothing for {SECONDS:.0f} seconds") from None
        except OSError:
            return None
        return line.decode("latin-1").rstrip("\r\n") if line else None

    def say(self, command: str) -> Reply:
        """Send a command and return its reply."""
        self.send(command.encode() + b"\r\n")
        return self.reply()

    def replies_until_the_end(self) -> list[Reply]:
        """Say QUIT, and return the replies that come until the server hangs up."""
        self.send(b"QUIT\r\n")
        replies = []
        while (reply := self.reply()).code:
            replies.append(reply)
        return replies

    def greet(self) -> None:
        """Say EHLO."""
        reply = self.say(f"EHLO {HOSTNAME}")
        if not reply.positive:
            raise Broken(f"answers {reply} to EHLO")
        self.listed = reply.lines[1:]

    def start_tls(self) -> None:
        """Say STARTTLS and shake hands."""
        reply = self.say("STARTTLS")
        if not reply.positive:
            raise Broken(f"answers {reply} to STARTTLS")
        self.shake_hands()

    def shake_hands(self, verifying: ssl.SSLContext | None = None, name: str | None = None) -> None:
        """Begin TLS with anybody, or only with who proves *name* to the context *verifying*."""
        self._file.close()
        context = verifying or _with_anybody()
        try:
            self._socket = context.wrap_socket(self._socket, server_hostname=name)
        except OSError as error:
            raise Broken(f"the handshake fails: {error}") from None
        self._file = self._socket.makefile("rb")


def _with_anybody() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def greeted(host: str, port: int, *, tls: bool) -> Talk:
    """Return a conversation that has come to EHLO; raises Broken, and OSError if nobody is there."""
    talk = Talk(host, port)
    try:
        greeting = talk.reply()
        if not greeting.positive:
            raise Broken(f"greets with {greeting}")
        talk.greet()
        if tls:
            talk.start_tls()
            talk.greet()
    except BaseException:
        talk.close()
        raise
    return talk
