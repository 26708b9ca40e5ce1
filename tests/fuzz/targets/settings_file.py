"""The settings file: TOML, if all is well."""

from __future__ import annotations

import atexit
import tempfile
from pathlib import Path

from requiretls_plugin.errors import SettingsError
from requiretls_plugin.settings import Settings

_FOLDER = tempfile.TemporaryDirectory(prefix="requiretls-fuzz-")
atexit.register(_FOLDER.cleanup)
FILE = Path(_FOLDER.name) / "requiretls.toml"


def target(data: bytes) -> None:
    """Settings, or every mistake in one line."""
    FILE.write_bytes(data)
    try:
        Settings.load(FILE)
    except SettingsError as error:
        assert error.problems
        assert all("\n" not in problem for problem in error.problems)


def arrive(data: bytes) -> None:
    """As much as an operator writes; it is read once, before there is any mail."""
    target(data[:8_192])
