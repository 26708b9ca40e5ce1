"""One session of a scripted destination: SMTP or LMTP, the server's side."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import ssl
from collections.abc import Awaitable, Callable, Iterator

from requiretls_lab.channel import Channel
from requiretls_lab.smtp_record import AcceptedMessage, Command, Connection, Recipient
from requiretls_lab.smtp_script import Act, Answer, Drip, Endless, Script

_PATH = re.compile(r"(?P<keyword>FROM|TO):\s*<(?P<address>[^>]*)>(?:\s+(?P<parameters>.*))?", re.IGNORECASE)

# The EHLO keyword that has to be listed before a client may use a MAIL or RCPT parameter.
_NEEDS = {
    "SIZE": "SIZE",
    "BODY": "8BITMIME",
    "SMTPUTF8": "SMTPUTF8",
    "RET": "DSN",
    "ENVID": "DSN",
    "NOTIFY": "DSN",
    "ORCPT": "DSN",
    "REQUIRETLS": "REQUIRETLS",
}


class _Over(Exception):  # noqa: N818 - an end, not an error
    """The session ends here."""


def _positive(answer: Answer) -> bool:
    """Whether a command so answered took effect."""
    text = answer.text if isinstance(answer, Drip) else answer
    if isinstance(text, Act | Endless):
        return False
    return text[:1] in ("2", "3", b"2", b"3")


def _listed(answer: Answer) -> set[str]:
    """Return the keywords of an EHLO reply."""
    text = answer.text if isinstance(answer, Drip) else answer
    lines = (text if isinstance(text, bytes) else str(text).encode()).upper().split(b"\n")
    return {words[0].decode("latin-1") for line in lines[1:] if (words := line[4:].split())}


class Session:
    """Talks to one client as *script* says and writes everything down in *record*."""

    def __init__(
        self,
        channel: Channel,
        script: Script,
        record: Connection,
        context: ssl.SSLContext,
        name: str,
    ) -> None:
        self._channel = channel
        self._script = script
        self._record = record
        self._context = context
        self._name = name
        self._scripted: dict[str, Iterator[Answer]] = {}
        self._sent = 0
        self._keywords: set[str] = set()
        self._mail: tuple[str, tuple[str, ...]] | None = None
        self._recipients: list[Recipient] = []

    async def serve(self) -> None:
        """Talk until the client leaves or the script ends it."""
        try:
            await self._answer("greeting", f"220 {self._name} ESMTP laboratory")
            while line := await self._channel.line():
                await self._obey(line)
        except ssl.SSLError as error:
            self._record.tls_failure = str(error)
        except (_Over, OSError):
            pass
        finally:
            self._record.open = False
            self._channel.close()

    async def _obey(self, line: bytes) -> None:
        text = line.decode("utf-8", "surrogateescape").rstrip("\r\n")
        command = Command(text, self._record.tls)
        self._record.commands.append(command)
        known: dict[str, Callable[[Command], Awaitable[None]]] = {
            "LHLO" if self._script.lmtp else "EHLO": self._ehlo,
            "HELO": self._helo,
            "MAIL": self._mail_from,
            "RCPT": self._rcpt_to,
            "DATA": self._data,
            "RSET": self._rset,
            "NOOP": self._noop,
            "QUIT": self._quit,
        }
        if self._script.starttls or "STARTTLS" in self._script.replies:
            known["STARTTLS"] = self._starttls
        await known.get(command.verb, self._unknown)(command)

    async def _unknown(self, command: Command) -> None:
        await self._answer(command.verb, "500 5.5.2 Unknown command")

    async def _noop(self, _: Command) -> None:
        await self._answer("NOOP", "250 2.0.0 Ok")

    async def _ehlo(self, command: Command) -> None:
        keywords = self._script.keywords(tls=self._record.tls)
        lines = [f"{self._name} greets {command.argument}", *keywords]
        last = len(lines) - 1
        text = "\n".join(f"250{' ' if at == last else '-'}{line}" for at, line in enumerate(lines))
        answer = await self._answer(command.verb, text)
        if _positive(answer):
            self._reset()
            self._keywords = _listed(answer)

    async def _helo(self, command: Command) -> None:
        if _positive(await self._answer("HELO", f"250 {self._name}")):
            self._reset()
            self._keywords = set()

    async def _starttls(self, command: Command) -> None:
        if self._record.tls:
            await self._answer("STARTTLS", "503 5.5.1 TLS is active")
        elif command.argument:
            await self._answer("STARTTLS", "501 5.5.4 No parameters allowed")
        elif _positive(await self._answer("STARTTLS", "220 2.0.0 Ready to start TLS")):
            await self._handshake()

    async def _handshake(self) -> None:
        self._record.early = self._channel.take_early()
        if "handshake" in self._script.replies:
            # Any sooner, and a client might read it together with the 220.
            await self._channel.receive()
            await self._answer("handshake", b"")
            await self._linger()
        tls = await self._channel.start_tls(self._context)
        self._record.sni = getattr(tls, "named_by_client", None)
        self._record.tls_version = tls.version()
        # RFC 3207 section 4.2: what was learned before is forgotten.
        self._keywords = set()
        self._reset()

    async def _mail_from(self, command: Command) -> None:
        address, parameters, usual = self._parsed(command, "FROM")
        if self._mail:
            usual = "503 5.5.1 Nested MAIL command"
        if _positive(await self._answer("MAIL", usual or "250 2.1.0 Ok")):
            self._mail = address, parameters

    async def _rcpt_to(self, command: Command) -> None:
        address, parameters, usual = self._parsed(command, "TO")
        if not self._mail:
            usual = "503 5.5.1 MAIL first"
        if _positive(await self._answer("RCPT", usual or "250 2.1.5 Ok")):
            self._recipients.append(Recipient(address, parameters))

    def _parsed(self, command: Command, keyword: str) -> tuple[str, tuple[str, ...], str]:
        """Return address and parameters of a MAIL or RCPT command, and a refusal if there is cause."""
        match = _PATH.fullmatch(command.argument)
        if match is None or match["keyword"].upper() != keyword:
            return "", (), f"501 5.5.4 Syntax: {command.verb} {keyword}:<address>"
        parameters = tuple((match["parameters"] or "").split())
        for parameter in parameters:
            name = parameter.partition("=")[0].upper()
            if name == "REQUIRETLS" and not self._record.tls:
                return match["address"], parameters, "530 5.7.10 REQUIRETLS needs TLS"
            if _NEEDS.get(name) not in self._keywords:
                return match["address"], parameters, f"555 5.5.4 {name} was not offered"
        return match["address"], parameters, ""

    async def _data(self, _: Command) -> None:
        usual = "354 End with a dot" if self._recipients else "503 5.5.1 RCPT first"
        if not _positive(await self._answer("DATA", usual)):
            return
        content = await self._content()
        mail_from, parameters = self._mail or ("", ())
        message = AcceptedMessage(
            mail_from, parameters, tuple(self._recipients), content, self._record.tls, self._record.sni
        )
        self._reset()
        if self._script.lmtp:
            await self._answer_each(message)
        else:
            await self._answer("end-of-data", "250 2.0.0 Accepted", accepts=message)

    async def _answer_each(self, message: AcceptedMessage) -> None:
        """Give one reply for each recipient, as LMTP does (RFC 2033 section 4.2)."""
        for recipient in message.recipients:
            alone = dataclasses.replace(message, recipients=(recipient,))
            await self._answer("end-of-data", f"250 2.0.0 <{recipient.address}> accepted", accepts=alone)

    async def _content(self) -> bytes:
        lines: list[bytes] = []
        while (line := await self._channel.line()) != b".\r\n":
            if not line:
                raise _Over
            lines.append(line.removeprefix(b"."))
            if len(lines) == 1 and "content" in self._script.replies:
                await self._answer("content", b"")
        return b"".join(lines)

    async def _rset(self, _: Command) -> None:
        self._reset()
        await self._answer("RSET", "250 2.0.0 Ok")

    async def _quit(self, _: Command) -> None:
        await self._answer("QUIT", "221 2.0.0 Bye")
        raise _Over

    def _reset(self) -> None:
        self._mail = None
        self._recipients = []

    def _next_answer(self, step: str, usual: Answer) -> Answer:
        replies = self._script.replies
        inside = f"{step} in TLS"
        key = inside if self._record.tls and inside in replies else step
        scripted = replies.get(key)
        if scripted is None:
            return usual
        if isinstance(scripted, str | bytes | Act | Drip | Endless):
            return scripted
        return next(self._scripted.setdefault(key, iter(scripted)), usual)

    async def _answer(self, step: str, usual: Answer, accepts: AcceptedMessage | None = None) -> Answer:
        """Answer *step* as scripted or as *usual*, and return that answer.

        If it is positive, *accepts* is recorded before the client can know.
        """
        answer = self._next_answer(step, usual)
        if self._script.delay:
            await asyncio.sleep(self._script.delay)
        if accepts and _positive(answer):
            self._record.messages.append(accepts)
        await self._play(answer)
        return answer

    async def _play(self, answer: Answer) -> None:
        match answer:
            case str():
                await self._send(_wire(answer))
            case bytes():
                await self._send(answer)
            case Drip(text, interval):
                for octet in _wire(text):
                    await self._send(bytes([octet]))
                    await asyncio.sleep(interval)
            case Endless(chunk):
                while True:
                    await self._send(chunk)
                    await asyncio.sleep(0)
            case Act.SILENCE:
                await self._linger()
            case Act.RESET:
                self._channel.reset()
                raise _Over
            case Act.CLOSE:
                raise _Over

    async def _send(self, data: bytes) -> None:
        if self._script.cut_after is not None:
            data = data[: self._script.cut_after - self._sent]
        await self._channel.send(data)
        self._sent += len(data)
        if self._sent == self._script.cut_after:
            raise _Over

    async def _linger(self) -> None:
        """Hear the client out without a word."""
        while await self._channel.receive():
            pass
        raise _Over


def _wire(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode("utf-8", "surrogateescape") + b"\r\n"
