"""The one error of the laboratory."""

from __future__ import annotations


class LabError(Exception):
    """The laboratory cannot be set up; the text says what to do about it."""
