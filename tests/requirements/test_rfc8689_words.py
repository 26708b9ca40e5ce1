"""Nothing we say promises more than RFC 8689 gives (section 8.3)."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import pytest

from requiretls_plugin.cli import requiretls
from requiretls_plugin.explanations import EXPLANATIONS
from tests.conformance.entries import PROJECT

_WHO = r"(only the recipient|nobody (else|on the way)|no (server|relay)( on the way)?)"
CLAIM = re.compile(
    rf"{_WHO} (can|could) (see|read)"
    r"|end-to-end (encrypted|encryption (is|of) )"
    r"|(hides|hidden) from (relays|servers)",
    re.IGNORECASE,
)


def _said() -> Iterator[tuple[str, str]]:
    for path in [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]:
        yield path.name, path.read_text(encoding="utf-8")
    for name, command in requiretls.commands.items():
        yield f"requiretls {name} --help", command.get_help(click.Context(command))
    for reason, explanation in EXPLANATIONS.items():
        yield reason.value, str(explanation)


@pytest.mark.requirement("8689-8.3-1")
def test_nothing_we_say_claims_that_relays_cannot_read_a_message() -> None:
    """Documents, the command line's help and what senders are told."""
    claims = [
        (where, claim[0]) for where, text in _said() for claim in CLAIM.finditer(" ".join(text.split()))
    ]
    assert claims == []


@pytest.mark.requirement("8689-8.3-1")
def test_the_readme_says_that_every_server_on_the_way_can_read_the_message() -> None:
    """And what keeps content secret in its place."""
    words = " ".join((PROJECT / "README.md").read_text(encoding="utf-8").split())
    assert "Every server on the way can read the message" in words
    assert "what only the recipient may read needs end-to-end encryption" in words


@pytest.mark.parametrize(
    "claim",
    ["With REQUIRETLS only the recipient can read it.", "It is end-to-end encrypted.", "hidden from relays"],
)
def test_a_claim_would_be_found(claim: str) -> None:
    """Or the test above would prove nothing."""
    assert CLAIM.search(claim)
