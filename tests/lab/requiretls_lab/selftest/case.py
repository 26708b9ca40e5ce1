"""What every case of the self-test has, and how it can end."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Protocol


class Case(Protocol):
    """One claim.

    *name* is `theme/what`, *section* the RFC's. *setup* says what is done, *expected* what must come of it.
    """

    @property
    def name(self) -> str: ...

    @property
    def claim(self) -> str: ...

    @property
    def section(self) -> str: ...

    @property
    def setup(self) -> str: ...

    @property
    def expected(self) -> str: ...


class Verdict(enum.Enum):
    """How a case ended."""

    PASS = "pass"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Result:
    """One case and how it ended; *seen* is what happened, or why it was skipped."""

    case: Case
    verdict: Verdict
    seen: str


class Broken(Exception):  # noqa: N818 - a finding, not an error of ours
    """The claim does not hold; the text says what was seen."""


class Skipped(Exception):  # noqa: N818 - the same
    """The claim cannot be tried here; the text says why."""
