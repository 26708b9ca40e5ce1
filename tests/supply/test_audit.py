"""No report of pip-audit is mistaken for a clean bill."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.supply import audit
from tests.supply.findings import NotLookedAtError, SupplyError

CLEAN = {"name": "idna", "version": "3.20", "vulns": []}
FLAWED = {"name": "idna", "version": "3.6", "vulns": [{"id": "PYSEC-2024-60"}]}
SKIPPED = {"name": "rich", "skip_reason": "not found on PyPI"}
OWN = {"name": "Requiretls_Plugin", "skip_reason": "not found on PyPI"}


def report(*packages: dict[str, Any]) -> dict[str, Any]:
    """Return what pip-audit would say."""
    return {"dependencies": list(packages), "fixes": []}


def test_what_was_looked_up_and_has_nothing_is_clean() -> None:
    """The package itself need not be known."""
    assert audit.judge(report(CLEAN, OWN), "requiretls-plugin") == "1 packages without known vulnerability"


@pytest.mark.parametrize(
    ("packages", "found"),
    [
        pytest.param((CLEAN, FLAWED), "idna 3.6: PYSEC-2024-60", id="a vulnerability"),
        pytest.param((CLEAN, SKIPPED), "rich : not found on PyPI", id="not looked up"),
    ],
)
def test_anything_else_is_named(packages: tuple[dict[str, Any], ...], found: str) -> None:
    """Also what the service does not know: pip-audit itself passes over it."""
    with pytest.raises(SupplyError, match=found):
        audit.judge(report(*packages), "requiretls-plugin")


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(None, id="unreachable"),
        pytest.param(report({"name": "idna", "version": "3.6", "vulns": []}), id="a mirror without the list"),
        pytest.param(report({"name": "idna", "skip_reason": "404"}), id="a mirror without versions"),
    ],
)
def test_a_service_that_knows_nothing_is_not_believed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: object
) -> None:
    """It is asked about something that is known to be vulnerable first."""
    monkeypatch.setattr(audit, "_ask", lambda service, *what: answer)
    with pytest.raises(NotLookedAtError, match="not looked up"):
        audit.audit(tmp_path, "requiretls-plugin")


def test_a_service_that_knows_is_asked_about_everything(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The first one that does."""
    answers = {"pypi": {}, "osv": {"--requirement": report(FLAWED), "--path": report(CLEAN, CLEAN)}}
    monkeypatch.setattr(audit, "_ask", lambda service, *what: answers[service].get(what[0]))
    assert audit.audit(tmp_path, "requiretls-plugin") == "2 packages without known vulnerability"
