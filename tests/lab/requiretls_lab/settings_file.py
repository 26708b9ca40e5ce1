"""Settings of requiretls_plugin as a TOML file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

Table = dict[str, Any]


def merged(table: Mapping[str, Any], changes: Mapping[str, Any]) -> Table:
    """Return *table* with *changes*: sections are merged, a value of None removes a key."""
    result = dict(table)
    for key, value in changes.items():
        if isinstance(value, Mapping):
            result[key] = merged(result.get(key, {}), value)
        elif value is None:
            result.pop(key, None)
        else:
            result[key] = value
    return result


def as_toml(table: Mapping[str, Any]) -> str:
    """Return *table*, at most one level of sections deep, as TOML.

    Strings, numbers, booleans and lists of them look the same in JSON and TOML.
    """
    sections = {name: section for name, section in table.items() if isinstance(section, Mapping)}
    lines = _lines({key: value for key, value in table.items() if key not in sections})
    for name, section in sections.items():
        lines += ["", f"[{name}]", *_lines(section)]
    return "\n".join([*lines, ""])


def _lines(section: Mapping[str, Any]) -> list[str]:
    return [f"{_key(key)} = {json.dumps(value)}" for key, value in section.items()]


def _key(key: str) -> str:
    return key if key.replace("_", "").isalnum() else json.dumps(key)
