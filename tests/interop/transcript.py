"""Talks with foreign software as they were recorded.

A transcript is a text file: a head of `# key: value` lines, then `C: ` before each line of the client,
`S: ` before each line of the server, and the one word `TLS` where the handshake was.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

OF_SERVERS = Path(__file__).parent / "transcripts" / "of_servers"
OF_CLIENTS = Path(__file__).parent / "transcripts" / "of_clients"

CLIENT, SERVER, HANDSHAKE = "C", "S", "TLS"

# What our receivers call themselves in transcripts, as aiosmtpd puts its version there.
IDENT = "ESMTP"


def written(side: str, octets: bytes) -> list[str]:
    """Return the lines that CLIENT or SERVER said."""
    return [f"{side}: {line}".rstrip(" ") for line in octets.decode("ascii").splitlines()]


@dataclass(frozen=True, slots=True)
class Transcript:
    """One talk. *head* says with what software it was (`source`), when (`recorded`), and what about."""

    head: Mapping[str, str]
    lines: tuple[str, ...]

    @classmethod
    def recorded_today(cls, source: str, lines: Iterable[str], **head: str) -> Transcript:
        """Return a new one."""
        today = datetime.date.today().isoformat()
        made = {"source": source, "recorded": f"{today} by python -m tests.interop.record"}
        return cls({**made, **head}, tuple(lines))

    @classmethod
    def read(cls, file: Path) -> Transcript:
        """Return the one in *file*; raises OSError."""
        text = file.read_text(encoding="ascii").splitlines()
        head = dict(line.removeprefix("# ").split(": ", 1) for line in text if line.startswith("# "))
        return cls(head, tuple(line for line in text if not line.startswith("# ")))

    def write(self, file: Path) -> None:
        """Write it to *file*."""
        head = [f"# {key}: {value}" for key, value in self.head.items()]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join([*head, *self.lines, ""]), encoding="ascii")

    @property
    def turns(self) -> list[tuple[str, list[str]]]:
        """What was said without an interruption, each time with who said it; HANDSHAKE says nothing."""
        parts = groupby(self.lines, lambda line: line.partition(":")[0])
        return [(side, [line[2:].removeprefix(" ") for line in said]) for side, said in parts]
