"""What Salmon itself needs before REQUIRETLS mail passes through it."""

from __future__ import annotations

from salmon import bounce

from requiretls_salmon.watched_router import watch_router

# What notices about REQUIRETLS messages say, subject and detail run together.
_TEXTS = {"710": "Encryption needed", "730": "REQUIRETLS support required"}

_TABLES = ("PRIMARY_STATUS_CODES", "SECONDARY_STATUS_CODES", "COMBINED_STATUS_CODES")


class _StatusTexts(dict[str, str]):
    """Texts for parts of status codes; one that Salmon does not know has one too, instead of a KeyError."""

    def __missing__(self, digits: str) -> str:
        return f"Unknown Status Code {digits}"


def prepare_salmon() -> None:
    """Watch the Router, and let Salmon's `is_bounce` read every status code; once is enough."""
    watch_router()
    for name in _TABLES:
        table = getattr(bounce, name)
        if not isinstance(table, _StatusTexts):
            setattr(bounce, name, _StatusTexts(table))
    bounce.COMBINED_STATUS_CODES.update(_TEXTS)
