"""docs/conformance.md: every requirement, the tests that show it, and how they ended."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tests.conformance.entries import PROJECT, Entry
from tests.conformance.marks import Mark

PAGE = PROJECT / "docs" / "conformance.md"

TITLES = {
    8689: "SMTP Require TLS Option",
    8461: "SMTP MTA Strict Transport Security (MTA-STS)",
    8460: "SMTP TLS Reporting",
    7672: "SMTP Security via Opportunistic DANE TLS",
    7671: "DANE: Updates and Operational Guidance",
    6698: "DANE: TLSA",
    5321: "Simple Mail Transfer Protocol",
    7505: "Null MX",
    3207: "SMTP STARTTLS",
    6125: "Service Identity in TLS (2011)",
    9525: "Service Identity in TLS",
    3461: "SMTP Extension for Delivery Status Notifications",
    3464: "Format of Delivery Status Notifications",
    6522: "multipart/report",
    3463: "Enhanced Mail System Status Codes",
    5248: "Registry of Status Codes",
    2034: "SMTP Extension for Enhanced Status Codes",
}
"""The RFCs in the order of the page: the one this is about, the policies it leans on, the rest."""

PASSED = "passed"

_HEAD = """\
# Conformance

What the RFCs ask of a mail server with REQUIRETLS, and the tests that show it: written by `make conformance`,
which runs them. The entries are in `docs/conformance/*.toml`, each with what its test has to see.
*Elsewhere* names who fulfils an entry in the place of this package. Choices that an RFC leaves open are in
[choices.md](choices.md). Tests are named from `tests/` on.

| RFC | entries | shown by a test | elsewhere | not applicable | of MUST and MUST NOT, the same |
|---|---|---|---|---|---|
"""


def page(entries: Sequence[Entry], marks: Iterable[Mark], results: Mapping[str, str]) -> str:
    """Return the page. *results* has how each test function ended; "not run" stands for the others."""
    tests: defaultdict[str | None, list[str]] = defaultdict(list)
    for mark in sorted(marks, key=lambda mark: mark.test):
        tests[mark.id].append(mark.test)
    ordered = sorted(entries, key=lambda entry: (list(TITLES).index(entry.rfc), entry.reading_order))
    by_rfc = {rfc: list(group) for rfc, group in itertools.groupby(ordered, key=lambda entry: entry.rfc)}
    lines = [_count(f"[{rfc}](#rfc-{rfc})", group, tests) for rfc, group in by_rfc.items()]
    lines.append(_count("all", ordered, tests))
    for rfc, group in by_rfc.items():
        lines += ["", f"## RFC {rfc}", "", TITLES[rfc] + "."]
        for section, members in itertools.groupby(group, key=lambda entry: entry.section):
            lines += ["", f"### RFC {rfc} section {section}", ""]
            lines += ["| id | level | requirement | tests | result |", "|---|---|---|---|---|"]
            lines += [_row(entry, tests[entry.id], results) for entry in members]
    return _HEAD + "\n".join(lines) + "\n"


def _count(name: str, entries: Sequence[Entry], tests: Mapping[str | None, Sequence[str]]) -> str:
    def counts(members: Sequence[Entry]) -> list[int]:
        left = [entry for entry in members if not tests.get(entry.id)]
        elsewhere = sum(bool(entry.elsewhere) for entry in left)
        not_applicable = sum(bool(entry.not_applicable) for entry in left)
        return [len(members) - len(left), elsewhere, not_applicable]

    of_must = ", ".join(map(str, counts([entry for entry in entries if entry.is_must])))
    return _cells(name, len(entries), *counts(entries), of_must)


_MARKDOWN = re.compile(r"([\\\\`*_<>|\[\]])")


def _plain(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", text)


def _row(entry: Entry, tests: Sequence[str], results: Mapping[str, str]) -> str:
    named = "<br>".join(f"`{test.removeprefix('tests/')}`" for test in tests)
    remarks = [f"elsewhere: {_plain(entry.elsewhere)}"] if entry.elsewhere else []
    remarks += [f"not applicable: {_plain(entry.not_applicable)}"] if entry.not_applicable else []
    shown = _worst([results.get(test, "not run") for test in tests]) if tests else ""
    return _cells(
        entry.id, entry.level, _plain(entry.text), "<br>".join(filter(None, [named, *remarks])), shown
    )


def _worst(results: Sequence[str]) -> str:
    return next((result for result in sorted(results) if result != PASSED), PASSED)


def _cells(*values: object) -> str:
    return "| " + " | ".join(map(str, values)) + " |"


def without_results(text: str) -> str:
    """Return the page *text* without the last column of its tables of requirements."""
    return "\n".join(line.rpartition(" | ")[0] if _is_row(line) else line for line in text.splitlines())


def results_in(text: str) -> Iterator[tuple[str, str]]:
    """Yield the id and the result of each requirement in the page *text* that has tests."""
    for line in text.splitlines():
        result = line.removesuffix(" |").rpartition(" | ")[2].strip()
        if _is_row(line) and result not in ("", "|"):
            yield line.split(" ")[1], result


def _is_row(line: str) -> bool:
    name = line.removeprefix("| ").partition(" ")[0]
    return name[:4].isdigit() and name[4:5] == "-"
