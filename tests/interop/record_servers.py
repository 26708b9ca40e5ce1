"""Talks of our deliveries with the servers that `fetch.sh` fetched, recorded."""

from __future__ import annotations

import contextlib
import socket
from collections import deque
from dataclasses import dataclass

from requiretls_lab.laboratory import Laboratory
from requiretls_lab.smtp_clients import trusting
from requiretls_plugin.delivery.proof import TLSProof
from requiretls_plugin.delivery.server_reply import ReplyReader, ServerReply
from requiretls_plugin.message import Recipient
from tests.delivery.demands import DEMANDS, PROVED, tls
from tests.interop import versions
from tests.interop.conftest import DOMAINS, place_of
from tests.interop.conversation import converse
from tests.interop.exim import exim
from tests.interop.next_hop import NextHop
from tests.interop.postfix import postfix
from tests.interop.replayed_server import MESSAGE
from tests.interop.smtp_server import smtp_server
from tests.interop.transcript import CLIENT, HANDSHAKE, OF_SERVERS, SERVER, Transcript, written

# The talks with each server: what the name ends in, the demand, to whom.
_TALKS = (
    ("required", "REQUIRETLS", ("u",)),
    ("unstated", "DANE", ("u",)),
    ("two-recipients", "DANE", ("u", "nobody")),
)


class Recorder:
    """A wire to a server that keeps what went over it."""

    def __init__(self, hop: NextHop, lab: Laboratory) -> None:
        self.lines: list[str] = []
        self._lab, self._name = lab, hop.place.name
        self._socket: socket.socket = socket.create_connection((hop.place.address, hop.place.port), timeout=5)
        self._reader = ReplyReader()
        self._heard: deque[ServerReply] = deque()

    def say(self, octets: bytes) -> None:
        """Send *octets*."""
        self.lines += written(CLIENT, octets)
        self._socket.sendall(octets)

    def hear(self) -> ServerReply:
        """Return the next reply."""
        while not self._heard:
            octets = b""
            while not octets.endswith(b"\n"):
                part = self._socket.recv(65_536)
                if not part:
                    raise ConnectionError(f"{self._name} hung up")
                octets += part
            self.lines += written(SERVER, octets)
            self._heard.extend(self._reader.feed(octets))
        return self._heard.popleft()

    def shake_hands(self) -> TLSProof:
        """Begin TLS; the server is verified by the laboratory's authority."""
        self.lines.append(HANDSHAKE)
        self._socket = trusting(self._lab).wrap_socket(self._socket, server_hostname=self._name)
        self._reader = ReplyReader()
        return tls(PROVED)

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


@dataclass(frozen=True, slots=True)
class _Server:
    name: str
    source: str
    hop: NextHop


def record() -> None:
    """Write all of them."""
    with contextlib.ExitStack() as stack:
        lab = stack.enter_context(Laboratory(DOMAINS))
        on = stack.enter_context(smtp_server(place_of(lab, "smtp-server"), requiretls=True))
        off = stack.enter_context(smtp_server(place_of(lab, "no-keyword"), requiretls=False))
        front = stack.enter_context(postfix(place_of(lab, "postfix")))
        other = stack.enter_context(exim(place_of(lab, "exim")))
        npm = versions.npm("smtp-server")
        servers = (
            _Server("smtp-server", f"{npm}, hideREQUIRETLS: false", on),
            _Server("smtp-server-off", f"{npm}, hideREQUIRETLS: true", off),
            _Server("postfix", versions.postfix(front), front),
            _Server("exim", versions.exim(other), other),
        )
        for server in servers:
            for ending, demand, boxes in _TALKS:
                domain = server.hop.place.name.removeprefix("mx.")
                to = [Recipient.parse(f"{box}@{domain}") for box in boxes]
                with contextlib.closing(Recorder(server.hop, lab)) as wire:
                    converse(DEMANDS[demand], MESSAGE, to, wire)
                Transcript.recorded_today(
                    server.source, wire.lines, demand=demand, to=" ".join(map(str, to))
                ).write(OF_SERVERS / f"{server.name}-{ending}.txt")
