"""The command line against the laboratory."""

from __future__ import annotations

from pathlib import Path

import pytest

from requiretls_lab.laboratory import Laboratory
from tests.cli.running import CommandLine


@pytest.fixture
def requiretls(
    lab: Laboratory, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> CommandLine:
    """`requiretls` with the laboratory's settings."""
    return CommandLine(lab.write_settings(tmp_path / "requiretls.toml"), capsys, monkeypatch)
