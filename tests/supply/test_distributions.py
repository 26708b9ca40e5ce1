"""What may be in a wheel."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tests.supply.distributions import strangers

PACKAGES = ("ours", "ours.inner")
GOOD = (
    "ours/__init__.py",
    "ours/py.typed",
    "ours/inner/__init__.py",
    "ours/inner/module.py",
    "ours-1.dist-info/METADATA",
    "ours-1.dist-info/licenses/LICENSE",
)


def wheel(folder: Path, *names: str) -> Path:
    """Make one with empty files."""
    path = folder / "ours-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"")
    return path


def test_a_whole_wheel_is_good(tmp_path: Path) -> None:
    """Our packages with their markers, and the licence."""
    assert strangers(wheel(tmp_path, *GOOD), PACKAGES) == []


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ((*GOOD, "tests/__init__.py"), "tests/__init__.py is in none of our packages"),
        ((*GOOD, "ours/data/words"), "ours/data/words is in none of our packages"),
        ((*GOOD, "module.py"), "module.py is in none of our packages"),
        ((*GOOD, "ours/test_module.py"), "ours/test_module.py is a test"),
        (GOOD[:1] + GOOD[2:], "ours/py.typed is missing"),
        (GOOD[:2] + GOOD[3:], "ours/inner/__init__.py is missing"),
        (GOOD[:-1], "the licence is missing"),
    ],
)
def test_what_is_wrong_with_a_wheel_is_named(tmp_path: Path, names: tuple[str, ...], found: str) -> None:
    """File by file."""
    assert strangers(wheel(tmp_path, *names), PACKAGES) == [found]
