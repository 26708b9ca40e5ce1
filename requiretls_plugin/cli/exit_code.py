"""Exit codes, those of sysexits.h."""

from __future__ import annotations

import enum


class ExitCode(enum.IntEnum):
    """What a command's exit tells the shell."""

    OK = 0
    USAGE = 64
    FAILED = 69
    """Something failed for good: a recipient, a domain that is not ready."""
    TRY_AGAIN = 75
    """Nothing failed for good, but something is still open."""
    SETTINGS = 78
    INTERRUPTED = 130
