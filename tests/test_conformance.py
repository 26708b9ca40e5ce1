"""Tests name the requirements they show, and only requirements that exist."""

from __future__ import annotations

import ast
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
LISTS = sorted((PROJECT / "docs" / "conformance").glob("*.toml"))
LEVELS = {"MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY", "implied"}
SIDES = {"receive", "send", "submit", "bounce", "mediate", "report"}


def requirements(file: Path) -> list[dict[str, str]]:
    entries: list[dict[str, str]] = tomllib.loads(file.read_text(encoding="utf-8"))["requirement"]
    return entries


KNOWN = Counter(entry["id"] for file in LISTS for entry in requirements(file))


def marks(source: str) -> Iterator[tuple[int, str | None]]:
    """Yield line and value of each argument of `@pytest.mark.requirement(…)`; None if it is no string."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("mark.requirement"):
            for argument in node.args:
                text = argument.value if isinstance(argument, ast.Constant) else None
                yield argument.lineno, text if isinstance(text, str) else None


def test_every_requirement_has_an_id_of_its_own() -> None:
    """Over all files."""
    assert [name for name, count in KNOWN.items() if count > 1] == []
    assert len(KNOWN) > 200


@pytest.mark.parametrize("file", LISTS, ids=lambda file: file.stem)
def test_every_entry_is_complete(file: Path) -> None:
    """Id, level, side, and in words what is required and how it is seen."""
    for entry in requirements(file):
        assert entry["level"] in LEVELS, entry
        assert entry["side"] in SIDES, entry
        assert entry["text"], entry
        assert entry["test"], entry


def test_tests_name_only_requirements_that_exist() -> None:
    """A misspelt id would show nothing."""
    wrong = [
        f"{path.relative_to(PROJECT)}:{line}: {name}"
        for path in sorted((PROJECT / "tests").rglob("*.py"))
        for line, name in marks(path.read_text(encoding="utf-8"))
        if name not in KNOWN
    ]
    assert wrong == []


def test_the_search_for_marks_finds_them() -> None:
    """Or the test above would prove nothing."""
    source = '@pytest.mark.requirement("8689-2-1", "8689-9-9", *others)\ndef test_it(): ...'
    assert [name for _, name in marks(source)] == ["8689-2-1", "8689-9-9", None]
