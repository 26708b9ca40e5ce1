"""Which tests say that they show which requirements, read from the sources alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.entries import PROJECT

_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Mark:
    """One argument of one `@pytest.mark.requirement(…)`. *id* is None if it is no string."""

    id: str | None
    test: str
    """The test function as pytest names it, without parameters: `tests/test_a.py::test_it`."""


def all_marks() -> list[Mark]:
    """Return the marks of all tests of the project, sorted."""
    marks = {
        mark
        for path in (PROJECT / "tests").rglob("test_*.py")
        for mark in marks_in(path.read_text(encoding="utf-8"), path.relative_to(PROJECT))
    }
    return sorted(marks, key=lambda mark: (mark.test, mark.id or ""))


def marks_in(source: str, path: Path) -> Iterator[Mark]:
    """Yield the marks in *source*, the content of the test file *path*.

    Marks of single parameters count for the whole function, also where the
    parameters stand in a list of their own.
    """
    module = ast.parse(source)
    named = {
        target.id: statement.value
        for statement in module.body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }
    for function in module.body:
        if isinstance(function, _Function) and function.name.startswith("test"):
            for decorator in function.decorator_list:
                for name in _ids(decorator, named):
                    yield Mark(name, f"{path.as_posix()}::{function.name}")


def _ids(node: ast.AST, named: Mapping[str, ast.expr]) -> Iterator[str | None]:
    for child in ast.walk(node):
        if isinstance(child, ast.Call) and ast.unparse(child.func).endswith("mark.requirement"):
            for argument in child.args:
                value = argument.value if isinstance(argument, ast.Constant) else None
                yield value if isinstance(value, str) else None
        elif isinstance(child, ast.Name) and child.id in named:
            yield from _ids(
                named[child.id], {name: value for name, value in named.items() if name != child.id}
            )
