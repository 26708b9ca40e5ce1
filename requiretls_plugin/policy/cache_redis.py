"""Policies kept in Redis, which several machines share (the extra `redis`)."""

from __future__ import annotations

import json
import math
import socket
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.errors import CacheFailure
from requiretls_plugin.policy.sts_cache import (
    CLAIM_LIMIT,
    CLAIM_SECONDS,
    FETCH_FAILURE,
    UNUSED_SECONDS,
    CachedPolicy,
)

# Seconds for one command, connecting included: mail waits meanwhile.
COMMAND_SECONDS = 1.0

_PREFIX = "requiretls:"
_REFRESH = _PREFIX + "refresh"  # sorted set: domain -> when its refresh is due
_USED = _PREFIX + "used"  # sorted set: domain -> when it was last used
_SCAN_SIZE = 500


class RedisCache:
    """A PolicyStore in the Redis server that *url* names (`redis://` or `rediss://`)."""

    def __init__(self, url: str) -> None:
        self._url = url
        # For messages: without the password, wherever the URL has it.
        self._shown = url.rpartition("@")[2].partition("?")[0].removeprefix("redis://")
        self._client: redis.asyncio.Redis | None = None

    async def get(self, domain: DomainName) -> CachedPolicy | None:
        async with self._connected() as client:
            return (await self._entries_of(client, [domain.text]))[0]

    async def put(self, entry: CachedPolicy) -> None:
        name = entry.domain.text
        kept = [entry.record_id, entry.policy.text, entry.fetched]
        async with self._connected() as client, client.pipeline(transaction=True) as batch:
            batch.set(_policy_key(name), json.dumps(kept), pxat=_milliseconds(entry.expires))
            batch.zadd(_REFRESH, {name: entry.refresh_at})
            batch.zadd(_USED, {name: entry.last_used})
            batch.delete(_lease_key(name))
            await batch.execute()

    async def touch(self, domain: DomainName, used: float) -> None:
        async with self._connected() as client:
            await client.zadd(_USED, {domain.text: used}, xx=True)

    async def claim_due(self, now: float) -> Sequence[DomainName]:
        async with self._connected() as client:
            due = await client.zrange(_REFRESH, 0, now, byscore=True, offset=0, num=CLAIM_LIMIT)
            names = [str(name) for name in due]
            claimed = []
            for name, entry in zip(names, await self._entries_of(client, names), strict=True):
                if entry is None or entry.expires <= now:
                    # Redis deletes the policy itself.
                    await client.zrem(_REFRESH, name)
                    await client.zrem(_USED, name)
                elif await client.set(_lease_key(name), 1, nx=True, ex=int(CLAIM_SECONDS)):
                    await client.zadd(_REFRESH, {name: now + CLAIM_SECONDS}, xx=True)
                    if entry.last_used > now - UNUSED_SECONDS:
                        claimed.append(entry.domain)
            return claimed

    async def entries(self, now: float) -> Sequence[CachedPolicy]:
        async with self._connected() as client:
            names = sorted(await _names(client, _policy_key("*")))
            found: list[CachedPolicy] = []
            for start in range(0, len(names), _SCAN_SIZE):
                entries = await self._entries_of(client, names[start : start + _SCAN_SIZE])
                found += [entry for entry in entries if entry is not None and entry.expires > now]
            return found

    async def purge(self, domains: Collection[DomainName] | None = None) -> int:
        async with self._connected() as client:
            if domains is not None:
                return await self._delete(client, [domain.text for domain in domains])
            failed = await _names(client, _note_key(FETCH_FAILURE, "*"))
            return await self._delete(client, [*await _names(client, _policy_key("*")), *failed])

    async def note(self, kind: str, name: DomainName, now: float) -> str | None:
        async with self._connected() as client:
            text = await client.get(_note_key(kind, name.text))
            return None if text is None else str(text)

    async def put_note(self, kind: str, name: DomainName, text: str, expires: float) -> None:
        async with self._connected() as client:
            await client.set(_note_key(kind, name.text), text, pxat=_milliseconds(expires))

    async def probe(self) -> None:
        async with self._connected() as client:
            await client.set(_PREFIX + "probe", 1, ex=1)

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[redis.asyncio.Redis]:
        try:
            if self._client is None:
                self._client = _client(self._url)
            yield self._client
        except (RedisError, OSError, ValueError) as error:
            await self.close()
            raise CacheFailure(f"Redis at {self._shown}: {error}") from error

    async def _entries_of(
        self, client: redis.asyncio.Redis, names: Sequence[str]
    ) -> list[CachedPolicy | None]:
        if not names:
            return []
        async with client.pipeline(transaction=False) as batch:
            batch.mget([_policy_key(name) for name in names])
            batch.zmscore(_USED, list(names))
            kept, used = await batch.execute()
        return [_restored(*row) for row in zip(names, kept, used, strict=True)]

    async def _delete(self, client: redis.asyncio.Redis, names: Sequence[str]) -> int:
        if not names:
            return 0
        async with client.pipeline(transaction=True) as batch:
            batch.delete(*map(_policy_key, names))
            batch.delete(*map(_lease_key, names))
            batch.delete(*(_note_key(FETCH_FAILURE, name) for name in names))
            batch.zrem(_REFRESH, *names)
            batch.zrem(_USED, *names)
            return int((await batch.execute())[0])


def _restored(name: str, kept: str | None, used: float | None) -> CachedPolicy | None:
    try:
        record_id, text, fetched = json.loads(kept or "[]")
    except (ValueError, TypeError, RecursionError):
        return None
    return CachedPolicy.restore(name, record_id, text, fetched, fetched if used is None else used)


def _policy_key(name: str) -> str:
    return f"{_PREFIX}policy:{name}"


def _lease_key(name: str) -> str:
    return f"{_PREFIX}lease:{name}"


def _note_key(kind: str, name: str) -> str:
    return f"{_PREFIX}{kind}:{name}"


def _milliseconds(when: float) -> int:
    return math.ceil(when * 1000)


async def _names(client: redis.asyncio.Redis, pattern: str) -> set[str]:
    """Return what the star of *pattern* stands for in the keys there are."""
    start = len(pattern) - 1
    return {str(key)[start:] async for key in client.scan_iter(pattern, count=_SCAN_SIZE)}


def _client(url: str) -> redis.asyncio.Redis:
    """Return a client connected to an address, never to a name.

    asyncio looks names up in threads, which a process that is ending cannot
    start. Name Redis by address, and no look-up is needed at all.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "127.0.0.1", parts.port or 6379
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    # localhost is ::1 first on many machines, and Redis often listens on 127.0.0.1 only.
    address = min(found, key=lambda each: each[0] is not socket.AF_INET)[4][0]
    pool = redis.asyncio.ConnectionPool.from_url(
        url,
        decode_responses=True,
        socket_timeout=COMMAND_SECONDS,
        socket_connect_timeout=COMMAND_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    pool.connection_kwargs["host"] = address
    if parts.scheme == "rediss":
        pool.connection_kwargs.setdefault("ssl_check_hostname", True)  # redis-py does so since version 6
        pool.connection_class = _named(host)
    return redis.asyncio.Redis.from_pool(pool)


def _named(host: str) -> type[redis.asyncio.SSLConnection]:
    class NamedSSLConnection(redis.asyncio.SSLConnection):
        """Checks the certificate for the name in the URL, not for the address."""

        def _connection_arguments(self) -> Mapping[str, Any]:
            return {**super()._connection_arguments(), "server_hostname": host}

    return NamedSSLConnection
