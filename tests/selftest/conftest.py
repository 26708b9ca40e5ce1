"""`requiretls selftest` inside the test process."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.running import CommandLine


@pytest.fixture
def requiretls(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> CommandLine:
    """`requiretls` with an empty settings file."""
    settings = tmp_path / "requiretls.toml"
    settings.touch()
    monkeypatch.setenv("REQUIRETLS_NO_PLUGINS", "1")
    return CommandLine(settings, capsys, monkeypatch)
