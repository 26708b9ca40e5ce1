"""Failed policy fetches, noted in the cache so that no process repeats them too soon (RFC 8461 §3.3)."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.policy.sts_cache import DAY, FETCH_FAILURE, PolicyCache, is_time

# Of RFC 8460 section 4.3, those about policies.
RESULT_TYPES = ("sts-policy-fetch-error", "sts-policy-invalid", "sts-webpki-invalid")

# RFC 8461 section 3.3: at least five minutes after a failed fetch for the same id.
BACK_OFF = 300.0

# How long a failure can be shown to the operator.
_KEPT = 7 * DAY


@dataclass(frozen=True, slots=True)
class FetchFailure:
    """What went wrong when a policy was wanted.

    *record_id* is the id it was wanted for, None if the TXT record itself could
    not be looked up. *result_type* is a word of RFC 8460 section 4.3, *at* in
    seconds since 1970.
    """

    record_id: str | None
    result_type: str
    why: str
    at: float

    def forbids_fetch(self, record_id: str, now: float) -> bool:
        """Whether it is too soon to try again for *record_id*; another id may be tried at once."""
        return self.record_id == record_id and 0 <= now - self.at < BACK_OFF


async def note_failure(cache: PolicyCache, domain: DomainName, failure: FetchFailure) -> None:
    """Keep *failure* as the last one for *domain*."""
    await cache.put_note(FETCH_FAILURE, domain, json.dumps(asdict(failure)), failure.at + _KEPT)


async def last_failure(cache: PolicyCache, domain: DomainName, now: float) -> FetchFailure | None:
    """Return the last failed fetch for *domain* that *cache* remembers."""
    text = await cache.note(FETCH_FAILURE, domain, now)
    try:
        kept = json.loads(text or "null")
        failure = FetchFailure(kept["record_id"], kept["result_type"], kept["why"], kept["at"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return failure if _may_be_ours(failure) else None


def _may_be_ours(failure: FetchFailure) -> bool:
    """Return whether this package could have noted it; others may write to the store."""
    words = failure.record_id, failure.result_type, failure.why
    said = all(isinstance(word, str) for word in words)
    return said and failure.result_type in RESULT_TYPES and is_time(failure.at)
