"""A pytest plugin that writes down how the tests of each requirement ended: `-p tests.conformance.recorder`.

`--requirements-json FILE` is where to: `{"8689-2-1": {"tests/test_a.py::test_it[x]": "passed"}}`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import pytest

# With pytest-xdist only a report travels from the worker, and this goes with it.
_PROPERTY = "requirement"

# A test has three phases; the worst of them is how it ended.
_WORST_FIRST = ("failed", "skipped", "passed")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add our option."""
    parser.addoption("--requirements-json", type=Path, help="where to write the results by requirement")


def pytest_configure(config: pytest.Config) -> None:
    """Record, in the process that sees all results."""
    path = config.getoption("requirements_json")
    if path is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Recorder(path))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Write the ids on the tests, once each."""
    for item in items:
        ids = dict.fromkeys(str(each) for mark in item.iter_markers("requirement") for each in mark.args)
        item.user_properties.extend((_PROPERTY, each) for each in ids)


class _Recorder:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._results: defaultdict[str, dict[str, str]] = defaultdict(dict)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for key, value in report.user_properties:
            if key == _PROPERTY:
                before = self._results[str(value)].get(report.nodeid, "passed")
                worst = min(before, report.outcome, key=_WORST_FIRST.index)
                self._results[str(value)][report.nodeid] = worst

    def pytest_sessionfinish(self) -> None:
        self._path.write_text(json.dumps(self._results, indent=1, sort_keys=True), encoding="utf-8")
