"""Licences are read, judged and listed."""

from __future__ import annotations

import configparser
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from tests.supply import declared, licences
from tests.supply.findings import SupplyError

ROWS = dict(
    re.findall(r"^\| (\S+) \| (.+) \| (?:the package|extra).*\|$", licences.PAGE.read_text(), re.MULTILINE)
)


def test_the_page_names_everything_that_setup_cfg_names() -> None:
    """If not: python -m tests.supply licences."""
    needed = declared.requirements(declared.read()).values()
    names = {canonicalize_name(each.name) for requirements in needed for each in requirements}
    assert names <= set(ROWS)


@pytest.mark.parametrize("name", ROWS)
def test_every_licence_on_the_page_goes_with_ours(name: str) -> None:
    """In one of the ways that it offers."""
    assert any(way <= set(licences.COMPATIBLE) for way in licences.identifiers(ROWS[name]))


Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path) -> Install:
    """Return what puts the metadata of a package into a folder."""

    def install(name: str, *lines: str) -> Path:
        folder = tmp_path / f"{name}-1.dist-info"
        folder.mkdir()
        text = "\n".join(["Metadata-Version: 2.4", f"Name: {name}", "Version: 1", *lines, ""])
        (folder / "METADATA").write_text(text)
        return tmp_path

    return install


def page_for(needed: str, folder: Path) -> str:
    """Return the page of a package that needs *needed*, and Redis' client for an extra."""
    setup = configparser.ConfigParser()
    setup.read_string(
        f"[metadata]\nname = ours\n[options]\ninstall_requires =\n  {needed}\n"
        "[options.extras_require]\nredis =\n  client\n"
    )
    return licences.page(setup, folder)


def test_what_comes_along_is_listed_with_what_it_is_for(install: Install) -> None:
    """Also what is needed only by what is needed; what is for other machines is left out."""
    install(
        "Direct.Thing",
        "License-Expression: MIT",
        "Requires-Dist: deep",
        "Requires-Dist: gone; python_version<'3'",
    )
    install("deep", "Classifier: License :: OSI Approved :: Apache Software License", "License: UNKNOWN")
    install("idle", "License-Expression: MIT")
    folder = install("client", "License-Expression: BSD-3-Clause OR Commercial", "Requires-Dist: deep")

    rows = re.findall(r"^\| .*(?:itself|`) \|$", page_for("direct_thing >= 1", folder), re.MULTILINE)

    assert rows == [
        "| client | BSD-3-Clause OR Commercial | extra `redis` |",
        "| deep | Apache-2.0 | the package itself |",
        "| direct-thing | MIT | the package itself |",
    ]


@pytest.mark.parametrize(
    "words",
    [
        "License-Expression: GPL-2.0-only",
        "License-Expression: MIT AND GPL-2.0-only",
        "License: ask my lawyer",
        "Classifier: License :: Other/Proprietary License",
        "Summary: says nothing",
    ],
)
def test_a_licence_that_nobody_has_looked_at_is_an_error(install: Install, words: str) -> None:
    """It names the package."""
    install("client", "License-Expression: MIT")
    with pytest.raises(SupplyError, match="odd 1: is its licence compatible"):
        page_for("odd", install("odd", words))


def test_an_extra_of_a_requirement_counts(install: Install) -> None:
    """And brings along what only it needs."""
    install("client", "License-Expression: MIT")
    install("fast", "License-Expression: MIT")
    folder = install(
        "web", "License-Expression: MIT", "Provides-Extra: c", "Requires-Dist: fast; extra == 'c'"
    )

    assert "| fast |" not in page_for("web", folder)
    assert "| fast |" in page_for("web[c]", folder)
