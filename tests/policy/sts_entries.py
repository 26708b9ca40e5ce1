"""Cached policies for tests, and a clock they can turn."""

from __future__ import annotations

import time

from requiretls_lab.policy_host import policy_text
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.policy.sts_cache import CachedPolicy
from requiretls_plugin.policy.sts_policy import parse_sts_policy

# Redis counts by its own clock, so tests begin about now.
BEGIN = float(int(time.time()))


class Clock:
    """A clock that shows what it was set to."""

    def __init__(self, now: float = BEGIN) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def entry(
    domain: str = "example.org",
    *,
    record_id: str = "1",
    mode: str = "enforce",
    max_age: int = 604_800,
    fetched: float = BEGIN,
    last_used: float | None = None,
) -> CachedPolicy:
    """Return a policy as it is cached."""
    return CachedPolicy(
        DomainName(domain),
        record_id,
        parse_sts_policy(policy_text(mode, f"mx.{domain}", max_age=max_age).encode()),
        fetched,
        fetched if last_used is None else last_used,
    )
