"""Record the transcripts anew, from the servers that `fetch.sh` fetched: python -m tests.interop.record"""

from __future__ import annotations

import contextlib
import datetime
import json
import re
import socket
import subprocess
from collections import deque
from dataclasses import dataclass

from requiretls_lab.laboratory import Laboratory
from requiretls_lab.smtp_clients import trusting
from requiretls_plugin.delivery.proof import TLSProof
from requiretls_plugin.delivery.server_reply import ReplyReader, ServerReply
from requiretls_plugin.message import Recipient
from tests.delivery.demands import DEMANDS, PROVED, tls
from tests.interop.conftest import DOMAINS, place_of
from tests.interop.conversation import converse
from tests.interop.exim import exim
from tests.interop.next_hop import NextHop
from tests.interop.postfix import postfix
from tests.interop.smtp_server import smtp_server
from tests.interop.software import fetched, node
from tests.interop.transcript import FOLDER, HANDSHAKE, MESSAGE, Transcript, written

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
        self.lines += written("C", octets)
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
            self.lines += written("S", octets)
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


def _version(package: str) -> str:
    text = (fetched() / "node_modules" / package / "package.json").read_text()
    return str(json.loads(text)["version"])


def _exim_version(hop: NextHop) -> str:
    with socket.create_connection((hop.place.address, hop.place.port), timeout=5) as client:
        greeting = client.recv(1024).decode()
    match = re.search(r"Exim ([0-9.]+)", greeting)
    return match[1] if match else greeting


def record() -> None:
    """Write all transcripts."""
    today = datetime.date.today().isoformat()
    with contextlib.ExitStack() as stack:
        lab = stack.enter_context(Laboratory(DOMAINS))
        on = stack.enter_context(smtp_server(place_of(lab, "smtp-server"), requiretls=True))
        off = stack.enter_context(smtp_server(place_of(lab, "no-keyword"), requiretls=False))
        front = stack.enter_context(postfix(place_of(lab, "postfix")))
        other = stack.enter_context(exim(place_of(lab, "exim")))
        runtime = subprocess.run([node(), "--version"], capture_output=True, text=True, check=True).stdout
        npm = f"npm smtp-server {_version('smtp-server')} on Node.js {runtime.strip()}"
        servers = (
            _Server("smtp-server", f"{npm}, hideREQUIRETLS: false", on),
            _Server("smtp-server-off", f"{npm}, hideREQUIRETLS: true", off),
            _Server("postfix", f"Debian's Postfix {front.postconf('-h', 'mail_version').strip()}", front),
            _Server("exim", f"Debian's Exim {_exim_version(other)}", other),
        )
        FOLDER.mkdir(exist_ok=True)
        for server in servers:
            for ending, demand, boxes in _TALKS:
                domain = server.hop.place.name.removeprefix("mx.")
                to = tuple(Recipient.parse(f"{box}@{domain}") for box in boxes)
                wire = stack.enter_context(contextlib.closing(Recorder(server.hop, lab)))
                converse(DEMANDS[demand], MESSAGE, to, wire)
                Transcript(
                    server.source, f"{today} by tests/interop/record.py", demand, to, tuple(wire.lines)
                ).write(f"{server.name}-{ending}")


if __name__ == "__main__":
    record()
