"""What Salmon itself needs before REQUIRETLS mail passes through it."""

from __future__ import annotations

from salmon import bounce

from requiretls_salmon.watched_router import watch_router


class _StatusTexts(dict[str, str]):
    """Texts of status codes; those that Salmon does not know have one too instead of a KeyError."""

    def __missing__(self, code: str) -> str:
        return f"Status code X.{code[:1]}.{code[1:]}"


# RFC 8689 section 8.3 and its neighbours in the registry, subject and detail run together.
_TEXTS = {
    "710": "Encryption needed",
    "711": "Encryption required for requested authentication mechanism",
    "730": "REQUIRETLS support required",
}


def prepare_salmon() -> None:
    """Watch the Router, and let Salmon's `is_bounce` read every status code; once is enough."""
    watch_router()
    if not isinstance(bounce.COMBINED_STATUS_CODES, _StatusTexts):
        bounce.COMBINED_STATUS_CODES = _StatusTexts(bounce.COMBINED_STATUS_CODES | _TEXTS)
