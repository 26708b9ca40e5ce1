"""Whether a dataclass holds what its class says: for values that strangers, or plugins, put together."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Sequence
from typing import Any


def wrong_field(value: Any) -> str | None:
    """Return the name of the first field of *value*, a dataclass, of another type than its class says.

    None if all are right. Dataclasses among them have to be of the very class,
    not of one derived from it; their own fields are not looked at.
    """
    for name, kinds, hint in _fields(value.__class__):
        field = getattr(value, name)
        if type(field) not in kinds and not _fits(field, hint):
            return name
    return None


def wrong_field_within(value: Any) -> str | None:
    """Return what `wrong_field` does, for *value* and the dataclasses in its fields: `server.port`."""
    if (wrong := wrong_field(value)) is not None:
        return wrong
    for name, _, _ in _fields(value.__class__):
        field = getattr(value, name)
        if dataclasses.is_dataclass(field) and (wrong := wrong_field_within(field)) is not None:
            return f"{name}.{wrong}"
    return None


@functools.cache
def _fields(kind: type[Any]) -> Sequence[tuple[str, frozenset[Any], Any]]:
    """Return name, simple types and whole type of each field of *kind*."""
    hints = typing.get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]
    return [(name, frozenset(_alternatives(hints[name])), hints[name]) for name in names]


def _alternatives(hint: Any) -> tuple[Any, ...]:
    is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return typing.get_args(hint) if is_union else (hint,)


def _fits(value: Any, hint: Any) -> bool:
    alternatives = _alternatives(hint)
    if len(alternatives) > 1:
        return any(_fits(value, each) for each in alternatives)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (tuple, frozenset):
        return isinstance(value, origin) and all(_fits(each, arguments[0]) for each in value)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if dataclasses.is_dataclass(hint):
        return type(value) is hint
    return isinstance(value, hint)
