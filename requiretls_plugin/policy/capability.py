"""What mail hosts were last seen to do. It informs and warns; it never decides anything."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.errors import CacheFailure
from requiretls_plugin.policy.sts_cache import CAPABILITY, DAY, PolicyCache, is_time

log = logging.getLogger(__name__)

# A host not heard of for so long may be another one by now.
LIFETIME = 90 * DAY

# Sessions with a busy host come by the second; when it was last seen matters by the hour.
_REMEMBER_EVERY = 3600.0


@dataclass(frozen=True, slots=True)
class Observation:
    """What one session with a host showed.

    None means that it showed nothing about it: a session that broke off before
    EHLO says nothing about REQUIRETLS, and one failed handshake is no proof
    that a host lost STARTTLS.
    """

    starttls: bool | None = None
    requiretls: bool | None = None
    dane: bool | None = None


@dataclass(frozen=True, slots=True)
class HostCapability:
    """When a host was last proved to have STARTTLS, to list REQUIRETLS inside TLS, and to match by DANE.

    All in seconds since 1970, None if never (or no longer). *requiretls_since*
    is when REQUIRETLS was first seen without having been missing since.
    """

    starttls: float | None = None
    requiretls: float | None = None
    requiretls_since: float | None = None
    dane: float | None = None


class CapabilityMemory:
    """Remembers in *cache* what hosts can do, for 90 days after it was last seen.

    A cache that fails, or that kept rubbish, means that nothing is known.
    """

    def __init__(self, cache: PolicyCache, clock: Callable[[], float] = time.time) -> None:
        self._cache = cache
        self._clock = clock

    async def recall(self, host: DomainName) -> HostCapability | None:
        """Return what is known of *host*."""
        try:
            text = await self._cache.note(CAPABILITY, host, self._clock())
        except CacheFailure as failure:
            log.debug("capabilities of %s not read: %s", host, failure)
            return None
        return None if text is None else _restored(text)

    async def remember(self, host: DomainName, seen: Observation) -> None:
        """Keep what *seen* shows about *host*.

        Logs a warning, once, if REQUIRETLS was there before and is not now: somebody
        may be between us and the host.
        """
        now = self._clock()
        known = await self.recall(host) or HostCapability()
        if seen.requiretls is False and known.requiretls is not None:
            since = known.requiretls_since or known.requiretls
            log.warning(
                "%s no longer offers REQUIRETLS; it did for %.0f days, last %.1f days ago",
                host,
                (known.requiretls - since) / DAY,
                (now - known.requiretls) / DAY,
            )
        requiretls = _updated(known.requiretls, seen.requiretls, now)
        capability = HostCapability(
            starttls=_updated(known.starttls, seen.starttls, now),
            requiretls=requiretls,
            requiretls_since=None if requiretls is None else known.requiretls_since or requiretls,
            dane=_updated(known.dane, seen.dane, now),
        )
        if capability != known:
            await self._keep(host, capability, now + LIFETIME)

    async def _keep(self, host: DomainName, capability: HostCapability, expires: float) -> None:
        try:
            await self._cache.put_note(CAPABILITY, host, json.dumps(asdict(capability)), expires)
        except CacheFailure as failure:
            log.debug("capabilities of %s not kept: %s", host, failure)


def _updated(last: float | None, seen: bool | None, now: float) -> float | None:
    if seen is None:
        return last
    if seen and last is not None and 0 <= now - last < _REMEMBER_EVERY:
        return last
    return now if seen else None


def _restored(text: str) -> HostCapability | None:
    try:
        kept = json.loads(text)
        times = [kept[name] for name in ("starttls", "requiretls", "requiretls_since", "dane")]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return HostCapability(*times) if all(time is None or is_time(time) for time in times) else None
