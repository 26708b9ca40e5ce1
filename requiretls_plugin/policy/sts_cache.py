"""What is kept of MTA-STS policies between messages, and what a cache has to do (RFC 8461 §3.3)."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeGuard

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.errors import InvalidInput
from requiretls_plugin.policy.sts_policy import STSPolicy, parse_sts_policy

DAY = 86_400.0

# RFC 8461 section 3.3 suggests to refresh about once a day, and before the policy expires.
REFRESH_EVERY = DAY

# A claimed refresh that does not end in a new policy becomes due again after this. Long enough for
# the failures to be a few lines a day in the log, short enough for a second try within half a day.
CLAIM_SECONDS = DAY / 4

# A domain that no mail went to for so long is left to expire.
UNUSED_SECONDS = 30 * DAY

# How many refreshes one process takes on at once.
CLAIM_LIMIT = 50

FETCH_FAILURE = "fetch-failure"
CAPABILITY = "capability"

# What a store may have kept; anything else is rubbish.
_YEAR_3000 = 32_503_680_000.0
_ID = re.compile(r"[A-Za-z0-9]{1,32}")

# Parsing costs more than reading from SQLite. Only short policies are remembered, which is nearly
# all of them: long ones would let strangers fill the memory.
_SHORT_POLICY = 1024
_parse_short = functools.lru_cache(maxsize=4096)(parse_sts_policy)


@dataclass(frozen=True, slots=True)
class CachedPolicy:
    """A policy as it was fetched for *domain* when its TXT record said *record_id*.

    *fetched* and *last_used* are seconds since 1970.
    """

    domain: DomainName
    record_id: str
    policy: STSPolicy
    fetched: float
    last_used: float

    @classmethod
    def restore(
        cls, domain: object, record_id: object, text: object, fetched: object, last_used: object
    ) -> CachedPolicy | None:
        """Return the entry that a store kept as these values, or None if it kept rubbish."""
        if not (isinstance(domain, str) and isinstance(record_id, str) and isinstance(text, str)):
            return None
        if not (is_time(fetched) and is_time(last_used) and _ID.fullmatch(record_id)):
            return None
        try:
            body = text.encode()
            policy = _parse_short(body) if len(body) <= _SHORT_POLICY else parse_sts_policy(body)
            return cls(DomainName.parse(domain), record_id, policy, fetched, last_used)
        except (InvalidInput, UnicodeEncodeError):
            return None

    @property
    def expires(self) -> float:
        """When the policy stops to count, in seconds since 1970; counted from the last fetch."""
        return self.fetched + self.policy.max_age

    @property
    def refresh_at(self) -> float:
        """When it should be fetched again although nothing changed, in seconds since 1970."""
        return self.fetched + min(REFRESH_EVERY, self.policy.max_age / 2)


def is_time(value: object) -> TypeGuard[float]:
    """Return whether *value* is a time that a store of ours could have kept, in seconds since 1970."""
    return isinstance(value, float) and 0 <= value < _YEAR_3000


class PolicyCache(Protocol):
    """Keeps policies, and small notes that expire. Times are seconds since 1970.

    What `open_cache` returns never raises: a cache decides no delivery.
    """

    async def get(self, domain: DomainName) -> CachedPolicy | None:
        """Return what is kept for *domain*, expired or not."""

    async def put(self, entry: CachedPolicy) -> None:
        """Keep *entry* in place of what was kept for its domain."""

    async def touch(self, domain: DomainName, used: float) -> None:
        """Set when the policy of *domain* was last used."""

    async def claim_due(self, now: float) -> Sequence[DomainName]:
        """Return domains whose refresh is due, at most CLAIM_LIMIT, to this caller and no other.

        Whoever shares the cache gets none of them for the next CLAIM_SECONDS.
        Domains unused for UNUSED_SECONDS and expired policies are left out;
        what is expired may be deleted.
        """

    async def entries(self, now: float) -> Sequence[CachedPolicy]:
        """Return all policies that have not expired, sorted by domain."""

    async def purge(self, domains: Collection[DomainName] | None = None) -> int:
        """Delete the policies of *domains* (None: of all) and say how many there were.

        What is noted about failed fetches goes too, so the next message fetches afresh.
        """

    async def note(self, kind: str, name: DomainName, now: float) -> str | None:
        """Return the unexpired note of *kind* about *name*."""

    async def put_note(self, kind: str, name: DomainName, text: str, expires: float) -> None:
        """Keep *text* as the note of *kind* about *name*."""

    async def close(self) -> None:
        """Let go of files and connections; the cache may be used again."""


class PolicyStore(PolicyCache, Protocol):
    """A cache outside this process. Every method raises CacheFailure if it does not work."""

    async def probe(self) -> None:
        """Do nothing, if reading and writing work."""
