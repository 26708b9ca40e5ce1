"""Outcomes in the words in which cases expect them."""

from __future__ import annotations

from requiretls_plugin.delivery.outcome import Outcome


def in_words(outcome: Outcome) -> str:
    """Return `delivered dane requiretls`, `failed 550 5.7.30 requiretls-not-offered` and the like."""
    words = [outcome.disposition.value]
    if outcome.reason is None:
        words += [outcome.security.value] if outcome.security else []
        words += ["requiretls"] if outcome.requiretls else []
    else:
        words += [str(outcome.reply.code), outcome.reply.status, outcome.reason.value]
    return " ".join(words)
