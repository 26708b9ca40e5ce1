"""What is the same for every store that breaks."""

from __future__ import annotations

import logging

import pytest

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.policy.sts_cache import DAY, PolicyCache
from tests.policy.sts_entries import BEGIN, entry

EXAMPLE = DomainName("example.org")
OTHER = DomainName("other.example")


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the warnings that were logged."""
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


async def use_everything(cache: PolicyCache) -> None:
    """Call every method; none may raise, and what is put has to be there."""
    await cache.put(entry())
    await cache.touch(EXAMPLE, BEGIN + 1)
    await cache.put_note("kind", EXAMPLE, "text", BEGIN + DAY)
    found = await cache.get(EXAMPLE)
    assert found is not None
    assert found.policy == entry().policy
    assert await cache.note("kind", EXAMPLE, BEGIN) == "text"
    assert EXAMPLE in [each.domain for each in await cache.entries(BEGIN)]
    assert EXAMPLE in await cache.claim_due(BEGIN + DAY)
    assert await cache.purge([EXAMPLE]) == 1
    await cache.put(entry())
