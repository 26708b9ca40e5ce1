"""What the cases are made of."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from requiretls_lab.selftest.case import Case
from requiretls_lab.selftest.outgoing import OUTGOING
from requiretls_lab.selftest.receiving import RECEIVING
from requiretls_lab.selftest.running import all_cases, chosen


def test_there_are_enough_cases_of_both_kinds() -> None:
    """A theme that is no longer listed would be missed here."""
    assert len(OUTGOING) >= 120
    assert len(RECEIVING) >= 33


@pytest.mark.parametrize("what", ["name", "claim"])
def test_no_two_cases_say_the_same(what: str) -> None:
    """Each stands for itself."""
    said = Counter(getattr(case, what) for case in all_cases())
    assert [words for words, times in said.items() if times > 1] == []


@pytest.mark.parametrize("case", all_cases(), ids=lambda case: case.name)
def test_every_case_says_what_it_does_and_which_section_asks_for_it(case: Case) -> None:
    """Tables, JSON and people rely on it."""
    assert re.fullmatch(r"[a-z-]+/[a-z0-9-]+", case.name)
    assert re.fullmatch(r"RFC \d+ section \d+(\.\d+)*", case.section)
    assert case.claim[0].isupper() or case.claim[0] == "`"
    assert case.setup
    assert case.expected


def test_no_case_shares_a_domain_with_another() -> None:
    """What one does in its world is nothing to the others."""
    domains = Counter(domain.name for case in OUTGOING for domain in case.domains)
    assert [name for name, times in domains.items() if times > 1] == []


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (["keyword/missing"], ["keyword/missing"]),
        (["*/*-cleartext", "keyword/missing"],
         ["keyword/missing", "notices/redacted-in-cleartext", "offer/not-in-cleartext",
          "parameter/in-cleartext"]),
    ],
    ids=["a name", "a pattern, in the order of the list"],
)  # fmt: skip
def test_cases_are_chosen_by_name_and_pattern(patterns: list[str], names: list[str]) -> None:
    """`*` stands for anything."""
    assert [case.name for case in chosen(patterns, all_cases())] == names


def test_cases_are_chosen_by_theme() -> None:
    """The theme is what stands before the slash."""
    found = {case.name.partition("/")[0] for case in chosen(["mta-sts", "offer"], all_cases())}
    assert found == {"mta-sts", "offer"}
    assert len(chosen(["offer"], all_cases())) == sum(case.name.startswith("offer/") for case in RECEIVING)


def test_without_a_choice_there_are_all() -> None:
    """And a pattern that fits none is an error, not an empty run that passes."""
    assert chosen([], all_cases()) == list(all_cases())
    with pytest.raises(LookupError, match="no-such"):
        chosen(["keyword", "no-such"], all_cases())
