"""`python -m tests.faults [PART…]`: break what is around a running server, at full size; print figures."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from tests.faults import drips, kill_mailman, kill_nine, slow_dns, soak

PARTS: dict[str, Callable[[], int]] = {
    "kill": kill_nine.main,
    "mailman": kill_mailman.main,
    "drips": drips.main,
    "dns": slow_dns.main,
    "soak": soak.main,
}


def main(chosen: Sequence[str]) -> int:
    """Run the parts *chosen*, by default all; return the worst exit status."""
    worst = 0
    for part in chosen or PARTS:
        print(f"--- {part}", flush=True)
        worst = max(worst, PARTS[part]())
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
