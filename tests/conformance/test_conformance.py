"""Every requirement has a test that shows it, or says who else sees to it; docs/conformance.md agrees."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.conformance.entries import PROJECT, Entry, all_entries, entries_in
from tests.conformance.marks import Mark, all_marks, marks_in
from tests.conformance.page import PAGE, PASSED, page, results_in, without_results
from tests.conformance.report import by_function, disagreements

ENTRIES = all_entries()
MARKS = all_marks()
LEVELS = {"MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY", "implied"}
SIDES = {"receive", "send", "submit", "bounce", "mediate", "report"}


def unknown(marks: list[Mark], entries: list[Entry]) -> list[str]:
    """Return the marks that name no requirement."""
    known = {entry.id for entry in entries}
    return [f"{mark.test}: {mark.id}" for mark in marks if mark.id not in known]


def open_entries(marks: list[Mark], entries: list[Entry]) -> list[str]:
    """Return the entries that neither a test nor anybody else sees to."""
    shown = {mark.id for mark in marks}
    return [
        entry.id
        for entry in entries
        if entry.id not in shown and not entry.elsewhere and not entry.not_applicable
    ]


def test_every_requirement_has_an_id_of_its_own() -> None:
    """Over all files."""
    counts = Counter(entry.id for entry in ENTRIES)
    assert [name for name, count in counts.items() if count > 1] == []
    assert len(counts) > 400


def test_every_entry_is_complete() -> None:
    """Level, side, and in words what is required and how it is seen; not at once elsewhere and nowhere."""
    for entry in ENTRIES:
        assert entry.level in LEVELS, entry
        assert entry.side in SIDES, entry
        assert entry.text, entry
        assert entry.test, entry
        assert not (entry.elsewhere and entry.not_applicable), entry


def test_tests_name_only_requirements_that_exist() -> None:
    """A misspelt id would show nothing."""
    assert unknown(MARKS, ENTRIES) == []


def test_every_entry_has_a_test_or_says_who_sees_to_it() -> None:
    """None is forgotten."""
    assert open_entries(MARKS, ENTRIES) == []


def test_what_is_not_applicable_has_no_test() -> None:
    """One of the two would be wrong."""
    shown = {mark.id for mark in MARKS}
    assert [entry.id for entry in ENTRIES if entry.not_applicable and entry.id in shown] == []


def test_the_page_is_that_of_these_entries_and_tests() -> None:
    """After a test was renamed or an entry changed, `make conformance` writes it anew."""
    assert without_results(PAGE.read_text(encoding="utf-8")) == without_results(page(ENTRIES, MARKS, {}))


def test_all_tests_on_the_page_passed() -> None:
    """It was written after a run without failures."""
    results = dict(results_in(PAGE.read_text(encoding="utf-8")))
    assert [f"{name}: {result}" for name, result in results.items() if result != PASSED] == []
    assert results.keys() == {mark.id for mark in MARKS}


def test_every_choice_is_fixed_by_the_test_it_names() -> None:
    """docs/choices.md names requirements that exist, and tests that show them."""
    shown = {(mark.id, mark.test.removeprefix("tests/")) for mark in MARKS}
    wrong = []
    for line in (PROJECT / "docs" / "choices.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("| ") and line[2:6].isdigit():
            ids, *_, tests = line.strip("| ").split(" | ")
            named = [test.strip("` ") for test in tests.split("<br>")]
            wrong += [each for each in ids.split(", ") if not any((each, test) in shown for test in named)]
            wrong += [test for test in named if not any((each, test) in shown for each in ids.split(", "))]
    assert wrong == []


# The checks above could fail.

PLACE = Path("tests/test_a.py")


@pytest.mark.parametrize(
    ("source", "found"),
    [
        pytest.param(
            '@pytest.mark.requirement("8689-2-1", "8689-2-2")\n', ["8689-2-1", "8689-2-2"], id="mark"
        ),
        pytest.param("@pytest.mark.requirement(*others)\n", [None], id="not to be read"),
        pytest.param(
            '@pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.requirement("8689-2-3"))])\n',
            ["8689-2-3"],
            id="mark of a parameter",
        ),
        pytest.param(
            'CASES = [pytest.param(1, marks=pytest.mark.requirement("8689-2-4"))]\n'
            '@pytest.mark.parametrize("x", CASES)\n',
            ["8689-2-4"],
            id="mark in a list of parameters",
        ),
        pytest.param('@pytest.mark.parametrize("x", ["8689-2-1"])\n', [], id="no mark"),
    ],
)
def test_the_search_for_marks_finds_them(source: str, found: list[str | None]) -> None:
    """Wherever pytest does."""
    marks = list(marks_in(f"{source}def test_it(x): ...", PLACE))
    assert marks == [Mark(name, "tests/test_a.py::test_it") for name in found]


def _entry(name: str, **more: str) -> Entry:
    return Entry(name, "MUST", "send", "be so", "it is so", **more)


def test_an_unknown_id_is_seen() -> None:
    """And a string that is none at all."""
    marks = [Mark("8689-2-1", "a"), Mark("8689-2-99", "b"), Mark(None, "c")]
    assert unknown(marks, [_entry("8689-2-1")]) == ["b: 8689-2-99", "c: None"]


def test_an_entry_without_a_test_is_seen() -> None:
    """Unless it says who sees to it."""
    entries = [
        _entry("8689-2-1"),
        _entry("8689-2-2"),
        _entry("8689-2-3", elsewhere="the mail client"),
        _entry("8689-2-4", not_applicable="nothing is stored"),
    ]
    assert open_entries([Mark("8689-2-1", "a")], entries) == ["8689-2-2"]


def test_a_key_nobody_knows_is_no_excuse() -> None:
    """A misspelt `elsewhere` would be one."""
    with pytest.raises(TypeError, match="elswhere"):
        list(entries_in('[[requirement]]\nid = "1-1-1"\nelswhere = "x"\n'))


def test_a_renamed_test_makes_the_page_stale() -> None:
    """And so does one that is added; how the tests ended does not matter here."""
    entries = [_entry("8689-2-1"), _entry("8689-2-2", elsewhere="the mail client")]
    before = page(entries, [Mark("8689-2-1", "tests/a")], {"tests/a": PASSED})

    def is_stale(*marks: Mark) -> bool:
        return without_results(page(entries, marks, {})) != without_results(before)

    assert not is_stale(Mark("8689-2-1", "tests/a"))
    assert is_stale(Mark("8689-2-1", "tests/b"))
    assert is_stale(Mark("8689-2-1", "tests/a"), Mark("8689-2-2", "tests/a"))
    assert is_stale()


def test_the_page_says_how_the_tests_of_an_entry_ended() -> None:
    """One that did not pass is enough."""
    entries = [_entry("8689-2-1"), _entry("8689-2-2"), _entry("8689-2-3", elsewhere="the mail client")]
    marks = [Mark("8689-2-1", "a"), Mark("8689-2-2", "a"), Mark("8689-2-2", "b")]

    for result in ("failed", "skipped", "not run"):
        written = page(entries, marks, {"a": PASSED, "b": result} if result != "not run" else {"a": PASSED})
        assert list(results_in(written)) == [("8689-2-1", PASSED), ("8689-2-2", result)]


def test_a_test_has_passed_if_all_its_parameters_have() -> None:
    """Also over the requirements it is named for."""
    recorded = {"8689-2-1": {"a[1]": "passed", "b": "passed"}, "8689-2-2": {"a[2]": "failed"}}
    assert by_function(recorded) == {"a": "failed", "b": "passed"}


def test_sources_and_run_have_to_agree() -> None:
    """A mark that pytest does not see shows nothing, and so does one that the page would not name."""
    marks = [Mark("8689-2-1", "a"), Mark("8689-2-2", "b")]
    recorded = {"8689-2-1": {"a[1]": "passed"}, "8689-2-3": {"c": "passed"}}
    assert disagreements(marks, recorded) == [
        "not run: b for 8689-2-2",
        "not found in the sources: c for 8689-2-3",
    ]
    assert disagreements(marks[:1], {"8689-2-1": {"a[1]": "passed"}}) == []


SMALL_TESTS = """\
import pytest

@pytest.mark.requirement("8689-2-1", "8689-2-2")
@pytest.mark.parametrize("x", [1, pytest.param(2, marks=pytest.mark.requirement("8689-2-3"))])
def test_it(x):
    assert x == 1

@pytest.fixture
def broken():
    yield
    raise OSError

@pytest.mark.requirement("8689-2-4")
def test_what_breaks_afterwards(broken):
    pass
"""


@pytest.mark.parametrize("workers", ["0", "1"])
def test_the_recorder_writes_how_each_test_of_a_requirement_ended(tmp_path: Path, workers: str) -> None:
    """Also of tests that ran in another process, and of what fails after the test itself."""
    (tmp_path / "test_small.py").write_text(SMALL_TESTS, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = requirement(id): x\n", encoding="utf-8")
    file = tmp_path / "requirements.json"
    command = [sys.executable, "-m", "pytest", "-q", "-n", workers, "-p", "tests.conformance.recorder"]

    subprocess.run(
        [*command, "--requirements-json", str(file), "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        check=False,
    )

    small = "test_small.py::"
    assert json.loads(file.read_text(encoding="utf-8")) == {
        "8689-2-1": {f"{small}test_it[1]": "passed", f"{small}test_it[2]": "failed"},
        "8689-2-2": {f"{small}test_it[1]": "passed", f"{small}test_it[2]": "failed"},
        "8689-2-3": {f"{small}test_it[2]": "failed"},
        "8689-2-4": {f"{small}test_what_breaks_afterwards": "failed"},
    }
