"""Every reason has words that a sender understands."""

from __future__ import annotations

import string

import pytest

from requiretls_plugin.explanations import EXPLANATIONS, UNEXPLAINED, Explanation, explanation_of
from requiretls_plugin.reason import Reason


@pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.value)
def test_every_reason_is_explained(reason: Reason) -> None:
    """What happened, what it means, what to do: whole sentences with known places."""
    explanation = explanation_of(reason)

    for sentence in (explanation.happened, explanation.meaning, explanation.remedy):
        places = {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}
        assert places <= {"server", "domain", "reporter"}
        assert sentence.endswith(".")
        assert len(sentence) > 20


def test_no_two_reasons_have_the_same_explanation() -> None:
    """A word for each thing that can happen."""
    assert len({explanation.happened for explanation in EXPLANATIONS.values()}) == len(Reason)


def test_an_outcome_without_reason_is_explained_too() -> None:
    """A plugin may forget to give one."""
    assert explanation_of(None) is UNEXPLAINED


def test_attack_a_host_name_with_braces_is_not_looked_into() -> None:
    """What is filled in is text, not a template."""
    filled = Explanation("{server} failed.", "So.", "Wait.").filled(
        server="{domain.__class__}", domain="x.example", reporter="y.example"
    )

    assert filled[0] == "{domain.__class__} failed."
