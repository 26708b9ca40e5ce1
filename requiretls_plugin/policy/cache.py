"""From `cache.url` in the settings to a cache."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from requiretls_plugin.errors import SettingsError
from requiretls_plugin.policy.cache_fallback import FallbackCache
from requiretls_plugin.policy.cache_memory import MemoryCache
from requiretls_plugin.policy.cache_sqlite import SQLiteCache
from requiretls_plugin.policy.sts_cache import PolicyCache, PolicyStore

MEMORY = "memory:"
_SQLITE = "sqlite://"


def open_cache(url: str, clock: Callable[[], float] = time.time) -> PolicyCache:
    """Return the cache that *url* names, as `cache.url` in the settings does.

    It never raises: while its store does not work it goes on in memory. Raises
    SettingsError if the library for the store is not installed. Nothing is
    opened or connected to yet.
    """
    if url == MEMORY:
        return MemoryCache()
    return FallbackCache(open_store(url), clock)


def open_store(url: str, *, create: bool = True) -> PolicyStore:
    """Return the bare store that *url* names, whose methods raise CacheFailure.

    For whoever wants to know what is in it; without *create* a missing SQLite
    file stays missing. Raises SettingsError as `open_cache` does.
    """
    file = sqlite_path(url)
    if file is not None:
        return SQLiteCache(file, create=create)
    try:
        from requiretls_plugin.policy.cache_redis import RedisCache
    except ImportError:
        problem = "cache.url: Redis needs the extra redis: pip install 'requiretls-plugin[redis]'"
        raise SettingsError("settings", [problem]) from None
    return RedisCache(url)


def sqlite_path(url: str) -> Path | None:
    """Return the file that *url* names if it is an SQLite URL.

    `sqlite:///a` is the file `/a`; a fourth slash, as other programs want it, changes nothing.
    """
    return Path("/" + url.removeprefix(_SQLITE).lstrip("/")) if url.startswith(_SQLITE) else None
