"""What setup.cfg says the package needs."""

from __future__ import annotations

import configparser
from collections.abc import Iterator, Mapping
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).parents[2]

# Extras for work on the project itself; every other extra is for those who use it.
DEVELOPMENT = frozenset({"bench", "docs", "fuzz", "lint", "mutation", "supply", "test"})

_LOWEST = frozenset({">=", "==", "~="})


def read(file: Path = PROJECT / "setup.cfg") -> configparser.ConfigParser:
    """Return setup.cfg."""
    setup = configparser.ConfigParser()
    setup.read(file, encoding="utf-8")
    return setup


def requirements(setup: configparser.ConfigParser) -> Mapping[str, tuple[Requirement, ...]]:
    """Return what is needed always (by the name "") and for each extra that users have."""
    own = canonicalize_name(setup.get("metadata", "name"))
    found = {"": setup.get("options", "install_requires")}
    found |= {name: text for name, text in setup.items("options.extras_require") if name not in DEVELOPMENT}
    parsed = {name: map(Requirement, text.split("\n")[1:]) for name, text in found.items()}
    return {
        name: tuple(each for each in needed if canonicalize_name(each.name) != own)
        for name, needed in parsed.items()
    }


def extras(setup: configparser.ConfigParser) -> str:
    """Return the extras that users have, as they are written after a package's name."""
    return ",".join(sorted(name for name in requirements(setup) if name))


def packages(setup: configparser.ConfigParser) -> tuple[str, ...]:
    """Return the dotted names of the packages that are shipped."""
    return tuple(setup.get("options", "packages").split("\n")[1:])


def constraints(setup: configparser.ConfigParser) -> str:
    """Return a constraints file for pip that allows only the lowest version of each requirement."""
    return "".join(sorted(set(_lowest_versions(setup))))


def _lowest_versions(setup: configparser.ConfigParser) -> Iterator[str]:
    for needed in requirements(setup).values():
        for each in needed:
            for clause in each.specifier:
                if clause.operator in _LOWEST:
                    yield f"{each.name}=={clause.version}\n"
