"""What a case about a receiving server consists of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from requiretls_lab.selftest.receiving.target import Server


@dataclass(frozen=True, slots=True)
class ReceivingCase:
    """A claim about a server; *run* tries it there and returns what was seen, or raises Broken or Skipped."""

    name: str
    claim: str
    section: str
    setup: str
    expected: str
    run: Callable[[Server], str]
