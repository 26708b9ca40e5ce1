"""Talks of the clients that `fetch.sh` fetched, and of others, with our receivers, recorded."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from requiretls_aiosmtpd import SMTPSession
from requiretls_lab.laboratory import Laboratory
from tests.hooks.aiosmtpd.serving import serving
from tests.interop import versions
from tests.interop.clients import (
    Client,
    Letter,
    by_aiosmtplib,
    by_nodemailer,
    by_relay,
    by_smtplib,
    by_swaks,
    ca_file,
)
from tests.interop.conftest import DOMAINS, place_of
from tests.interop.exim import exim
from tests.interop.postfix import postfix
from tests.interop.receiver import SESSIONS, Receiver
from tests.interop.transcript import CLIENT, HANDSHAKE, IDENT, OF_CLIENTS, SERVER, Transcript, written

_FIELD = "From: a@sender.test\r\nTLS-Required: No\r\nSubject: to us\r\n\r\nhello\r\n.dot\r\n"

# The talks of each client: what the name ends in, and what is unlike other letters.
_PARAMETER: tuple[str, dict[str, Any]] = "parameter", {"requiretls": True}
_LMTP: tuple[str, dict[str, Any]] = "lmtp-parameter", {"requiretls": True, "protocol": "lmtp"}
_IN_CLEARTEXT: tuple[str, dict[str, Any]] = "cleartext-parameter", {"requiretls": True, "starttls": False}
_HEADER_FIELD: tuple[str, dict[str, Any]] = "header-field", {"text": _FIELD}


def _recording(kind: type[SMTPSession], lines: list[str]) -> type[SMTPSession]:
    """Return a class of sessions that keeps what is said; raises UnicodeError where that is not ASCII."""
    said = {CLIENT: b"", SERVER: b""}

    def keep(side: str, octets: bytes) -> None:
        said[side] += octets
        whole, newline, said[side] = said[side].rpartition(b"\n")
        lines.extend(written(side, whole + newline))

    class Recorded(kind):  # type: ignore[valid-type, misc] # a base chosen at run time
        def connection_made(self, transport: Any) -> None:
            if transport.get_extra_info("ssl_object") is not None:
                lines.append(HANDSHAKE)
            super().connection_made(transport)

        def data_received(self, data: bytes) -> None:
            keep(CLIENT, data)
            super().data_received(data)

        async def send_lines(self, *texts: str) -> None:
            keep(SERVER, "".join(f"{text}\r\n" for text in texts).encode("ascii"))
            await super().send_lines(*texts)

    return Recorded


@dataclass(frozen=True, slots=True)
class _Client:
    name: str
    source: str
    send: Client
    talks: tuple[tuple[str, dict[str, Any]], ...]

    def record(self, trust: str) -> None:
        """Write its transcripts."""
        for ending, unlike in self.talks:
            protocol = unlike.get("protocol", "smtp")
            receiver, lines = Receiver(protocol), list[str]()
            with serving(receiver, _recording(SESSIONS[protocol], lines), ident=IDENT) as port:
                self.send(Letter(port, trust, **unlike))
                if ending != _IN_CLEARTEXT[0]:
                    receiver.wait()
            transcript = Transcript.recorded_today(self.source, lines, protocol=protocol)
            transcript.write(OF_CLIENTS / f"{self.name}-{ending}.txt")


def record() -> None:
    """Write all of them."""
    with contextlib.ExitStack() as stack:
        lab = stack.enter_context(Laboratory(DOMAINS))
        trust = ca_file(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        front = stack.enter_context(postfix(place_of(lab, "postfix")))
        other = stack.enter_context(exim(place_of(lab, "exim")))
        by_hand = _PARAMETER, _IN_CLEARTEXT, _HEADER_FIELD
        clients = (
            _Client(
                "nodemailer", versions.npm("nodemailer"), by_nodemailer, (_PARAMETER, _LMTP, _HEADER_FIELD)
            ),
            _Client("smtplib", versions.smtplib(), by_smtplib, by_hand),
            _Client("aiosmtplib", versions.aiosmtplib(), by_aiosmtplib, by_hand),
            _Client("swaks", versions.swaks(), by_swaks, (_HEADER_FIELD,)),
            _Client("postfix", versions.postfix(front), by_relay(front.place), (_HEADER_FIELD,)),
            _Client("exim", versions.exim(other), by_relay(other.place), (_HEADER_FIELD,)),
        )
        for client in clients:
            client.record(trust)
