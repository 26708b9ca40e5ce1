"""The entries of docs/conformance/*.toml: what the RFCs ask of us."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[2]
FOLDER = PROJECT / "docs" / "conformance"


@dataclass(frozen=True, slots=True)
class Entry:
    """One requirement. *elsewhere* says who fulfils it in our place, *not_applicable* why nobody has to."""

    id: str
    level: str
    side: str
    text: str
    test: str
    elsewhere: str = ""
    not_applicable: str = ""

    @property
    def rfc(self) -> int:
        """The number of the RFC it is drawn from."""
        return int(self.id.partition("-")[0])

    @property
    def section(self) -> str:
        """The section of that RFC: `4.2.1`."""
        return self.id.split("-")[1]

    @property
    def is_must(self) -> bool:
        """Whether the RFC leaves no choice."""
        return self.level in ("MUST", "MUST NOT")

    @property
    def reading_order(self) -> tuple[int, list[int], int]:
        """By RFC, by section as a table of contents has them, then as numbered here."""
        rfc, section, number = self.id.split("-")
        return int(rfc), [int(part) for part in section.split(".")], int(number)


def entries_in(text: str) -> Iterator[Entry]:
    """Yield the entries of one TOML file with the content *text*; raises TypeError for an unknown key."""
    for table in tomllib.loads(text)["requirement"]:
        yield Entry(**table)


def all_entries() -> list[Entry]:
    """Return every entry of the project, in reading order."""
    files = sorted(FOLDER.glob("*.toml"))
    found = [entry for file in files for entry in entries_in(file.read_text(encoding="utf-8"))]
    return sorted(found, key=lambda entry: entry.reading_order)
