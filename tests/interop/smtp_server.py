"""npm smtp-server as a next hop, with REQUIRETLS or without."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from tests.interop.next_hop import Arrived, Place, answers, open_folder
from tests.interop.process import running
from tests.interop.software import HERE, node, node_environment


class SMTPServer:
    """A running smtp-server; the only foreign server here that knows REQUIRETLS."""

    def __init__(self, place: Place, output: Path) -> None:
        self.place = place
        self._output = output

    def messages(self) -> list[Arrived]:
        """Return every message that it has taken so far."""
        taken = [json.loads(line) for line in self._output.read_text().splitlines()]
        return [Arrived(base64.b64decode(each["content"]), each["tls"], each["requiretls"]) for each in taken]


@contextlib.contextmanager
def smtp_server(place: Place, *, requiretls: bool) -> Iterator[SMTPServer]:
    """Run one at *place*."""
    options = {
        "address": place.address,
        "port": place.port,
        "name": place.name,
        "key": str(place.certificate.key_file),
        "cert": str(place.certificate.chain_file),
        "hideREQUIRETLS": not requiretls,
    }
    command = [node(), str(HERE / "node" / "next_hop.cjs"), json.dumps(options)]
    with (
        open_folder("smtp-server") as folder,
        running(command, folder / "output", lambda: answers(place), node_environment()),
    ):
        yield SMTPServer(place, folder / "output")
