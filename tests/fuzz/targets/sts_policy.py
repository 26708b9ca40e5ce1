"""An MTA-STS policy file (RFC 8461 section 3.2), read from its site and from a cache."""

from __future__ import annotations

import contextlib

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.errors import InvalidSTSPolicy
from requiretls_plugin.policy.sts_cache import CachedPolicy
from requiretls_plugin.policy.sts_policy import parse_sts_policy

HOST = DomainName("mx.example.org")


def target(data: bytes) -> None:
    """A policy or our error; a cache gives back the same one."""
    try:
        policy = parse_sts_policy(data)
    except InvalidSTSPolicy as refused:
        assert str(refused).isprintable()
        return
    kept = CachedPolicy.restore("example.org", "1", policy.text, 1.0, 2.0)
    assert kept is not None
    assert kept.policy == policy
    assert kept.fetched <= kept.refresh_at <= kept.expires
    assert policy.matches(HOST) == any(
        str(pattern) in ("mx.example.org", "*.example.org") for pattern in policy.mx
    )


def arrive(data: bytes) -> None:
    """Only read."""
    with contextlib.suppress(InvalidSTSPolicy):
        parse_sts_policy(data)
