"""Policies kept in an SQLite file that the processes of one machine share."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.errors import CacheFailure
from requiretls_plugin.policy.sts_cache import (
    CLAIM_LIMIT,
    CLAIM_SECONDS,
    FETCH_FAILURE,
    UNUSED_SECONDS,
    CachedPolicy,
)

# How long to wait for another process's write. The loop stands still meanwhile; a read never waits.
BUSY_SECONDS = 1.0

_SCHEMA_VERSION = 1
_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS policy (
        domain TEXT PRIMARY KEY, record_id TEXT NOT NULL, body TEXT NOT NULL, fetched REAL NOT NULL,
        last_used REAL NOT NULL, expires REAL NOT NULL, refresh_at REAL NOT NULL) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS policy_refresh ON policy(refresh_at)",
    """CREATE TABLE IF NOT EXISTS note (
        kind TEXT, name TEXT, body TEXT NOT NULL, expires REAL NOT NULL,
        PRIMARY KEY (kind, name)) WITHOUT ROWID""",
    f"PRAGMA user_version = {_SCHEMA_VERSION}",
)
_GET = "SELECT domain, record_id, body, fetched, last_used FROM policy WHERE domain = ?"
_LIST = "SELECT domain, record_id, body, fetched, last_used FROM policy WHERE expires > ? ORDER BY domain"
_PUT = """REPLACE INTO policy(domain, record_id, body, fetched, last_used, expires, refresh_at)
    VALUES (?, ?, ?, ?, ?, ?, ?)"""

# One statement is one transaction, so no two processes can claim the same domain. Moving the due
# time is the claim; a successful refresh replaces the row.
_CLAIM = """UPDATE policy SET refresh_at = :again WHERE domain IN (
    SELECT domain FROM policy WHERE refresh_at <= :now AND last_used > :used_since
    ORDER BY refresh_at LIMIT :limit) RETURNING domain"""


class SQLiteCache:
    """A PolicyStore in the SQLite file *path*, opened when first used.

    SQLite is called directly: a look-up takes microseconds, a thread's turn
    more. Without *create* a missing file is a CacheFailure.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self._path = path
        self._uri = f"{path.absolute().as_uri()}?mode={'rwc' if create else 'rw'}"
        self._connection: sqlite3.Connection | None = None

    async def get(self, domain: DomainName) -> CachedPolicy | None:
        rows = self._run(_GET, domain.text)
        return CachedPolicy.restore(*rows[0]) if rows else None

    async def put(self, entry: CachedPolicy) -> None:
        self._run(
            _PUT,
            entry.domain.text,
            entry.record_id,
            entry.policy.text,
            entry.fetched,
            entry.last_used,
            entry.expires,
            entry.refresh_at,
        )

    async def touch(self, domain: DomainName, used: float) -> None:
        self._run("UPDATE policy SET last_used = ? WHERE domain = ?", used, domain.text)

    async def claim_due(self, now: float) -> Sequence[DomainName]:
        self._run("DELETE FROM policy WHERE expires <= ?", now)
        self._run("DELETE FROM note WHERE expires <= ?", now)
        claim = {"now": now, "again": now + CLAIM_SECONDS, "used_since": now - UNUSED_SECONDS}
        return [DomainName(domain) for (domain,) in self._execute(_CLAIM, {**claim, "limit": CLAIM_LIMIT})]

    async def entries(self, now: float) -> Sequence[CachedPolicy]:
        rows = self._run(_LIST, now)
        return [entry for row in rows if (entry := CachedPolicy.restore(*row)) is not None]

    async def purge(self, domains: Collection[DomainName] | None = None) -> int:
        if domains is None:
            self._run("DELETE FROM note WHERE kind = ?", FETCH_FAILURE)
            return len(self._run("DELETE FROM policy RETURNING domain"))
        deleted = 0
        for domain in domains:
            self._run("DELETE FROM note WHERE kind = ? AND name = ?", FETCH_FAILURE, domain.text)
            deleted += len(self._run("DELETE FROM policy WHERE domain = ? RETURNING domain", domain.text))
        return deleted

    async def note(self, kind: str, name: DomainName, now: float) -> str | None:
        rows = self._run(
            "SELECT body FROM note WHERE kind = ? AND name = ? AND expires > ?", kind, name.text, now
        )
        return str(rows[0][0]) if rows else None

    async def put_note(self, kind: str, name: DomainName, text: str, expires: float) -> None:
        self._run("REPLACE INTO note VALUES (?, ?, ?, ?)", kind, name.text, text, expires)

    async def probe(self) -> None:
        self._run("REPLACE INTO note VALUES ('probe', '', '', 0.0)")

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _run(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        return self._execute(statement, values)

    def _execute(self, statement: str, values: object) -> list[tuple[Any, ...]]:
        try:
            if self._connection is None:
                self._connection = self._connected()
            return self._connection.execute(statement, values).fetchall()  # type: ignore[arg-type]
        except sqlite3.Error as error:
            # Only damage comes as a plain DatabaseError; a full disk, a lock or a missing
            # directory is an OperationalError and may pass.
            lasting = type(error) is sqlite3.DatabaseError
            raise CacheFailure(f"{self._path}: {error}", lasting=lasting) from error

    def _connected(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version not in (0, _SCHEMA_VERSION):
                raise sqlite3.DatabaseError(f"has layout {version}, made by another version of this package")
            if version == 0:
                for statement in _SCHEMA:
                    connection.execute(statement)
        except sqlite3.Error:
            connection.close()
            raise
        return connection
