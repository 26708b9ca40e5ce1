"""What pydantic found wrong with the settings, in an operator's words: key path, remedy, what is there."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

_SHOWN = 60

# Where pydantic's own words would not tell what to write.
_REMEDIES = {
    "bool_type": "write true or false",
    "int_type": "write a whole number",
    "float_type": "write a number",
    "finite_number": "write a finite number",
    "string_type": "write it as a string in quotes",
    "tuple_type": "write a list in brackets",
    "model_type": "write a section of that name, in brackets",
}


class TableError(ValueError):
    """Several mistakes in a table whose keys are the operator's: key, remedy and value of each."""

    def __init__(self, mistakes: Sequence[tuple[str, str, Any]]) -> None:
        self.mistakes = mistakes
        super().__init__(f"{len(mistakes)} mistakes")


def mistakes_of(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """Return one line for each mistake that *error* has, *model* being what was validated."""
    return [line for details in error.errors() for line in _lines(details, model)]


def _lines(details: Any, model: type[BaseModel]) -> Iterator[str]:
    path = _path(details["loc"])
    raised = details.get("ctx", {}).get("error")
    if isinstance(raised, TableError):
        for key, remedy, value in raised.mistakes:
            yield f'{path}."{key}": {remedy} (given: {_shown(value)})'
    elif details["type"] == "extra_forbidden":
        yield f"{path}: unknown key; {_suggestion(details['loc'], model)}"
    else:
        given = details["input"]
        remedy = _REMEDIES.get(details["type"]) or str(raised or details["msg"])
        remedy = remedy.replace("Input should be", "has to be")
        if isinstance(given, str):
            remedy = remedy.replace(given, _without_password(given))
        yield f"{path}: {remedy} (given: {_shown(given)})"


def _path(steps: Iterable[str | int]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).removeprefix(".")


def _suggestion(steps: Sequence[str | int], model: type[BaseModel]) -> str:
    section: Any = model
    for step in steps[:-1]:
        table_of_sections = get_origin(section) is not None
        section = get_args(section)[-1] if table_of_sections else section.model_fields[step].annotation
    similar = difflib.get_close_matches(str(steps[-1]), section.model_fields, n=1)
    return f"is {similar[0]} meant?" if similar else "remove it"


def _without_password(text: str) -> str:
    """Return *text* without user and password, which somebody may have written before a host."""
    before, _at, after = text.rpartition("@")
    return f"…@{after}" if ":" in before.rpartition("://")[2] else text


def _shown(value: Any) -> str:
    if isinstance(value, str):
        value = _without_password(value)
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
