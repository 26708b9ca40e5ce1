"""Tells a web application what became of each message, and nothing of what is in it."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import os
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from requiretls_plugin.delivery.outcome import Outcome
from requiretls_plugin.hookspecs import hookimpl
from requiretls_plugin.message import Message

# In seconds: whoever waits for the delivery waits for this as well.
PATIENCE = 2.0

# In seconds: how long an application that failed is left alone.
PAUSE = 30.0


class OutcomeWebhook:
    """Posts to *url*; raises ValueError if that is none."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"OUTCOME_WEBHOOK_URL is {url!r}: write https://host/path or http://host/path")
        self._tls = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port or (443 if self._tls else 80)
        self._authority = parts.netloc.rpartition("@")[2]
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._alone_until = 0.0

    @hookimpl
    async def requiretls_concluded(self, message: Message, outcomes: Sequence[Outcome]) -> None:
        """Tell the application, or the log if that cannot be done."""
        if time.monotonic() < self._alone_until:
            return
        try:
            async with asyncio.timeout(PATIENCE):
                await self._post(json.dumps(_facts(message, outcomes)).encode())
        except (OSError, EOFError) as error:
            self._alone_until = time.monotonic() + PAUSE
            why = str(error) or type(error).__name__
            logging.getLogger(__name__).warning("webhook left alone for %g seconds: %s", PAUSE, why)

    async def _post(self, body: bytes) -> None:
        reader, writer = await asyncio.open_connection(self._host, self._port, ssl=self._tls or None)
        try:
            header = (
                f"POST {self._target} HTTP/1.1\r\nHost: {self._authority}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            )
            writer.write(header.encode() + body)
            await writer.drain()
            answer = await reader.readexactly(len("HTTP/1.1 200"))
        finally:
            writer.transport.abort()
        if not answer.startswith((b"HTTP/1.1 2", b"HTTP/1.0 2")):
            raise ConnectionError(f"it answered {answer!r}")


def _facts(message: Message, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    return {
        "from": str(message.return_path or ""),
        "envid": message.envid,
        "requirement": message.requirement.value,
        "outcomes": [
            {
                "recipient": str(outcome.recipient),
                "outcome": outcome.disposition.value,
                "code": outcome.reply.code,
                "status": outcome.reply.status,
                "reason": outcome.reason.value if outcome.reason else None,
                "host": outcome.host,
                "security": outcome.security.value if outcome.security else None,
                "requiretls": outcome.requiretls,
                "receipt": dataclasses.asdict(outcome.receipt) if outcome.receipt else None,
            }
            for outcome in outcomes
        ],
    }


plugin = OutcomeWebhook(os.environ.get("OUTCOME_WEBHOOK_URL", ""))
