"""What observers get to see of a running engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from requiretls_plugin.delivery.pool import Pool
from requiretls_plugin.policy.dns_lookup import CachedLookups


@dataclass(frozen=True, slots=True)
class Watched:
    """The parts of an engine that observers ask or look at."""

    dns: CachedLookups
    pool: Pool[Any]
