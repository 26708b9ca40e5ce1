"""How strictly a domain is held to REQUIRETLS: exact entry, parent, then the rest."""

from __future__ import annotations

import pytest

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.level import Level, LevelTable

TABLE = LevelTable(
    {
        "*": Level.OPPORTUNISTIC,
        ".example": Level.OPPORTUNISTIC_STARTTLS,
        ".strict.example": Level.ENFORCE,
        "partner.example": Level.ENFORCE,
    }
)


@pytest.mark.parametrize(
    ("domain", "level"),
    [
        pytest.param("partner.example", Level.ENFORCE, id="the exact domain before its parent"),
        pytest.param(
            "sub.partner.example", Level.OPPORTUNISTIC_STARTTLS, id="an entry is no parent of others"
        ),
        pytest.param("other.example", Level.OPPORTUNISTIC_STARTTLS, id="a parent"),
        pytest.param("a.b.example", Level.OPPORTUNISTIC_STARTTLS, id="a parent two labels up"),
        pytest.param("a.strict.example", Level.ENFORCE, id="the nearest parent"),
        pytest.param("strict.example", Level.OPPORTUNISTIC_STARTTLS, id="a parent entry is not for itself"),
        pytest.param("example", Level.OPPORTUNISTIC, id="everything else"),
        pytest.param("notexample", Level.OPPORTUNISTIC, id="a name that only ends alike"),
    ],
)
def test_the_first_entry_that_fits_counts(domain: str, level: Level) -> None:
    """From the most to the least specific."""
    assert TABLE.level_of(DomainName(domain)) is level


def test_without_an_entry_everything_is_enforced() -> None:
    """Fail closed."""
    assert LevelTable().level_of(DomainName("example.org")) is Level.ENFORCE
    assert (
        LevelTable({"other.example": Level.OPPORTUNISTIC}).level_of(DomainName("a.example")) is Level.ENFORCE
    )
