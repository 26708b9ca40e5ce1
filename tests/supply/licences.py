"""Under which licences the packages are that come along, and whether ours goes with them.

docs/licences.md is written by this; what is not in the tables below is an error until somebody has
looked at it.
"""

from __future__ import annotations

import configparser
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.supply import declared
from tests.supply.findings import SupplyError

PAGE = declared.PROJECT / "docs" / "licences.md"

# By SPDX identifier: why code under it may be part of a work under GPL-3.0-or-later.
COMPATIBLE: Mapping[str, str] = {
    "0BSD": "asks for nothing",
    "Apache-2.0": "compatible with version 3 of the GPL, which was written so that it is",
    "BSD-2-Clause": "asks for its notice only",
    "BSD-3-Clause": "asks for its notice only",
    "GPL-3.0-only": "the same licence; what is combined with it is under version 3",
    "GPL-3.0-or-later": "the same licence",
    "ISC": "asks for its notice only",
    "LGPL-3.0-only": "the GPL, version 3, with more permissions",
    "MIT": "asks for its notice only",
    "MIT-0": "asks for nothing",
    "MPL-2.0": "names the GPL as a secondary licence (section 3.3)",
    "PSF-2.0": "asks for its notice only",
    "ZPL-2.1": "asks for its notice only",
    "Zlib": "asks for its notice only",
}

# What packages say that do not give an SPDX expression.
SAID: Mapping[str, str] = {
    "Apache 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD": "BSD-3-Clause",
    "BSD License": "BSD-3-Clause",
    "BSD-like": "Zlib",  # dkimpy; its LICENSE is that of zlib
    "GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "ISC License (ISCL)": "ISC",
    "LGPL v3": "LGPL-3.0-only",
    "MIT License": "MIT",
    "MIT and MPL-2.0": "MIT AND MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "Zope Public License": "ZPL-2.1",
}

_HEAD = """\
<!-- written by `python -m tests.supply licences` -->

# Licences

This package is under GPL-3.0-or-later. Here is what pip installs along with it, what for, and under
which licence by its own word. All of it may be combined with GPL-3.0-or-later; the second table says why.

| package | licence | comes with |
|---|---|---|
"""

_WHY = """
| licence | why it goes together with GPL-3.0-or-later |
|---|---|
"""


def identifiers(expression: str) -> list[set[str]]:
    """Return the ways to comply with an SPDX *expression*: the licences of each way."""
    ways = re.split(r"\s+OR\s+", expression.replace("(", "").replace(")", ""))
    return [set(re.split(r"\s+AND\s+", way)) for way in ways]


def licence_of(package: Distribution) -> str:
    """Return the licence of *package* by its own word, as an SPDX expression; raises SupplyError."""
    metadata = package.metadata
    name = f"{metadata['Name']} {package.version}"
    said = [metadata["License-Expression"]] if "License-Expression" in metadata else list(_said(package))
    for words in said:
        expression = SAID.get(words, words)
        if any(way <= set(COMPATIBLE) for way in identifiers(expression)):
            return expression
    raise SupplyError(
        f"{name}: is its licence compatible with ours? It says {said}: see tests/supply/licences.py"
    )


def _said(package: Distribution) -> Iterator[str]:
    """What older metadata say: classifiers are more exact about versions, the field about everything else."""
    known = [each for each in package.metadata.get_all("Classifier", []) if each.startswith("License ::")]
    classifiers = [each.rpartition(" :: ")[2] for each in known]
    field = next(iter(package.metadata.get_all("License", [])), "").split("\n")[0]
    exact = [each for each in classifiers if "GPLv3" in each]
    yield from (*exact, field, *classifiers)


def closure(needed: Iterable[Requirement], installed: Mapping[str, Distribution]) -> set[str]:
    """Return the canonical names of all that *needed* pull in."""
    found: set[str] = set()
    waiting = [(each, "") for each in needed]
    seen: set[tuple[str, str]] = set()
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        if name not in installed:
            raise SupplyError(f"{requirement} is not installed")
        found.add(name)
        for wanted in {"", *requirement.extras}:
            if (name, wanted) not in seen:
                seen.add((name, wanted))
                waiting += [(Requirement(text), wanted) for text in installed[name].requires or ()]
    return found


def page(setup: configparser.ConfigParser, site_packages: Path) -> str:
    """Return docs/licences.md for what is installed in *site_packages*; raises SupplyError."""
    found = distributions(path=[str(site_packages)])
    installed: dict[str, Distribution] = {canonicalize_name(each.metadata["Name"]): each for each in found}
    needed_by: defaultdict[str, list[str]] = defaultdict(list)
    for extra, needed in declared.requirements(setup).items():
        for name in closure(needed, installed):
            needed_by[name].append(extra)
    rows, used = [], set()
    for name, needing in sorted(needed_by.items()):
        licence = licence_of(installed[name])
        used |= set.union(*(way for way in identifiers(licence) if way <= set(COMPATIBLE)))
        rows.append(f"| {name} | {licence} | {_purpose(needing)} |\n")
    reasons = [f"| {licence} | {COMPATIBLE[licence]} |\n" for licence in sorted(used)]
    return "".join([_HEAD, *rows, _WHY, *reasons])


def _purpose(needing: list[str]) -> str:
    return "the package itself" if "" in needing else "extra " + ", ".join(f"`{each}`" for each in needing)
