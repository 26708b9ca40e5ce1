"""A server's replies out of its bytes (RFC 5321 §4.2), with bounds on everything."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from requiretls_plugin.errors import ProtocolViolation
from requiretls_plugin.reply import Reply

# RFC 5321 section 4.5.3.1.5 allows 512 octets; some servers are chatty, none needs more than this.
MAX_LINE = 2_048
# The longest EHLO reply seen has about twenty lines.
MAX_LINES = 100

_LINE = re.compile(rb"([2-5][0-9]{2})(?:([ -])([^\x00\r]*))?")
_STATUS = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?: |$)")
# A tab becomes a blank; what could steer a terminal, or is in an unknown character set, a question mark.
_SHOWN = bytes(octet if 0x20 <= octet < 0x7F else b" ?"[octet != 0x09] for octet in range(256))


@dataclass(frozen=True, slots=True)
class ServerReply:
    """One reply of a server: code and the text of each line, in printable ASCII."""

    code: int
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """The lines joined by blanks, without the enhanced status codes at their beginnings."""
        return self._text_without(self.status)

    @property
    def status(self) -> str | None:
        """The enhanced status code (RFC 2034), if there is one of the right class."""
        match = _STATUS.match(self.lines[0])
        return match[1] if match and match[1][0] == str(self.code)[0] else None

    @property
    def kind(self) -> int:
        """The first digit of the code."""
        return self.code // 100

    @property
    def quoted(self) -> str:
        """The whole reply as the server gave it, lines parted by line feeds (RFC 3464 section 2.3.6)."""
        last = len(self.lines) - 1
        return "\n".join(
            f"{self.code}{' ' if number == last else '-'}{line}" for number, line in enumerate(self.lines)
        )

    def as_reply(self) -> Reply:
        """Return the reply in a form that can be passed on; raises ValueError for 3yz, no verdict."""
        status = self.status
        text = self._text_without(status)
        try:
            return Reply(self.code, status or f"{self.kind}.0.0", text)
        except ValueError:  # a status with leading zeros
            return Reply(self.code, f"{self.kind}.0.0", text)

    def _text_without(self, status: str | None) -> str:
        if status is None:
            return " ".join(self.lines)
        return " ".join([line.removeprefix(status).lstrip() for line in self.lines])


class ReplyReader:
    """Cut replies out of a stream of bytes.

    Line ends may be CRLF or LF. Raises ProtocolViolation for what is no reply:
    NUL or CR inside a line, codes that differ within one reply, lines or
    replies that do not end. Other octets that are not printable ASCII become
    question marks, a tab a blank.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._code: bytes | None = None
        self._lines: list[str] = []

    @property
    def pending(self) -> bool:
        """Whether bytes are held that belong to no complete reply yet."""
        return bool(self._buffer or self._lines)

    def feed(self, data: bytes) -> Iterator[ServerReply]:
        """Take *data* and yield the replies that are complete now; of no use after it raised."""
        self._buffer += data
        while (end := self._buffer.find(b"\n", 0, MAX_LINE)) >= 0:
            line = bytes(self._buffer[:end]).removesuffix(b"\r")
            del self._buffer[: end + 1]
            reply = self._take(line)
            if reply is not None:
                yield reply
        if len(self._buffer) >= MAX_LINE:
            raise ProtocolViolation(f"a reply line is longer than {MAX_LINE} octets")

    def _take(self, line: bytes) -> ServerReply | None:
        match = _LINE.fullmatch(line)
        if match is None:
            raise ProtocolViolation(f"this is no SMTP reply: {_quoted(line)}")
        code, separator, text = match.groups(b"")
        if self._code not in (None, code):
            raise ProtocolViolation(f"the lines of one reply have different codes: {_quoted(line)}")
        self._lines.append(text.translate(_SHOWN).decode("ascii"))
        if separator == b"-":
            if len(self._lines) >= MAX_LINES:
                raise ProtocolViolation(f"a reply has more than {MAX_LINES} lines")
            self._code = code
            return None
        reply = ServerReply(int(code), tuple(self._lines))
        self._code, self._lines = None, []
        return reply


def _quoted(line: bytes) -> str:
    return repr(line[:60].translate(_SHOWN).decode("ascii"))
