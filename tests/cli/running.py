"""Run `requiretls` inside the test process."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from requiretls_plugin.cli import run


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command left behind."""

    code: int
    output: str
    errors: str

    def json(self) -> Any:
        """Return the output as JSON."""
        return json.loads(self.output)


class CommandLine:
    """The command line with one settings file."""

    def __init__(
        self, settings: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self._settings = settings
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def __call__(self, command: str, *arguments: str, stdin: bytes = b"") -> Ran:
        """Run *command* with `--config` and *arguments*."""
        self._monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = run([command, "--config", str(self._settings), *arguments])
        captured = self._capsys.readouterr()
        return Ran(code, captured.out, captured.err)
