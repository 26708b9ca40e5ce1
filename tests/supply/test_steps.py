"""A step that fails makes the whole fail; one that could not look says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.supply.__main__ import look, main
from tests.supply.findings import NotLookedAtError, SupplyError, run
from tests.supply.foreign_types import FOREIGN, expected


def wrong() -> str:
    """Find something."""
    raise SupplyError("something")


def not_looked_at() -> str:
    """Find nobody to ask."""
    raise NotLookedAtError("nobody to ask")


def test_all_is_well_if_every_step_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """What could not be looked at stands out, and is no error."""
    assert look({"one": lambda: "fine", "two": not_looked_at}) == 0
    assert capsys.readouterr().out == "one: ok: fine\ntwo: NOT LOOKED AT: nobody to ask\n"


def test_one_thing_wrong_is_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    """The steps after it are taken all the same."""
    assert look({"one": wrong, "two": lambda: "fine"}) == 1
    assert capsys.readouterr().out == "one: WRONG: something\ntwo: ok: fine\n"


def test_a_step_that_does_not_exist_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """With those that do."""
    assert main(["dits"]) == 64
    assert "dits is no step; there are dist, contents" in capsys.readouterr().err


def test_a_command_that_fails_is_shown_with_what_it_said(tmp_path: Path) -> None:
    """Both streams."""
    with pytest.raises(SupplyError, match=r"(?s)sh -c .*: exit code 3\nout\nerr"):
        run("sh", "-c", "echo out; echo err >&2; exit 3", cwd=tmp_path)


def test_mistakes_are_expected_in_the_one_foreign_program_only() -> None:
    """The other is to pass; what is expected is compared with what mypy reports."""
    found = expected(FOREIGN)
    assert {file for file, _, _ in found} == {"mistakes.py"}
    assert {code for _, _, code in found} >= {"arg-type", "attr-defined", "import-not-found", "return-value"}
