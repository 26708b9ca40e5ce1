"""A TLS handshake in memory, between one of our contexts and a server that sends what a test wants."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from tests.certificate.forge import DAY, Issued, Key, Period, authority, ec_key, server
from tests.certificate.openssl_oracle import server_context

TODAY = datetime.now(UTC).replace(microsecond=0)
VALID: Period = (TODAY - DAY, TODAY + DAY)
EXPIRED: Period = (TODAY - 3 * DAY, TODAY - DAY)
MX = "mx1.secure.test"


def trusted_root() -> Issued:
    """Return a CA that is valid today."""
    return authority("Trusted", ec_key(31), valid=VALID)


def server_today(issuer: Issued, *names: str, common_name: str | None = None) -> Issued:
    """Return a server's certificate that is valid today."""
    return server(issuer, *names, common_name=common_name, valid=VALID)


def shake_hands(client: ssl.SSLContext, to: ssl.SSLContext, name: str | None = MX) -> ssl.SSLObject:
    """Return our side of a session that is made; raises ssl.SSLError from our side if it cannot be."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname=name)
    theirs = to.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        with suppress(ssl.SSLWantReadError):
            ours.do_handshake()
        # What the server thinks of it is seen on our side.
        with suppress(ssl.SSLError):
            theirs.do_handshake()
    ours.do_handshake()
    return ours


def serving(folder: Path, chain: Sequence[bytes], key: Key) -> ssl.SSLContext:
    """Return the context of a server that sends *chain*."""
    return server_context(folder, chain, key)
