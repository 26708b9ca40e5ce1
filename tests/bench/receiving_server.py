"""One server to be measured, in a process of its own: `python -m tests.bench.receiving_server KIND PORT`."""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP
from salmon import routing, server
from salmon.routing import Router

from requiretls_aiosmtpd import SMTPSession, bound_tcp_socket
from requiretls_plugin.engine import Engine
from requiretls_plugin.plugins import plugin_manager
from requiretls_plugin.settings import ReceiveSettings, Settings
from requiretls_salmon import SMTPReceiver
from requiretls_salmon.shared_engine import share_engine
from tests.hooks.aiosmtpd.serving import write_certificate

SLOW_SECONDS = 0.05


def handle_everything(message: Any, user: str, host: str) -> None:
    """Do nothing; take a moment for the user `slow`."""
    if user == "slow":
        time.sleep(SLOW_SECONDS)


def _route_everything() -> None:
    Router.LOG_EXCEPTIONS = False
    routing.route("(user)@(host)", user=".+", host=".+")(
        routing.stateless(routing.nolocking(handle_everything))
    )


def run_stock(port: int) -> None:
    """Salmon's own SMTPReceiver."""
    _route_everything()
    server.SMTPReceiver("127.0.0.1", port).start()


def run_ours(port: int) -> None:
    """Our SMTPReceiver, with STARTTLS for clients that want it."""
    _route_everything()
    certificate, key = write_certificate(Path(tempfile.mkdtemp(prefix="requiretls-bench-")))
    receive = ReceiveSettings(certificate=str(certificate), private_key=str(key))  # type: ignore[arg-type]
    settings = Settings(hostname="relay.test", receive=receive)  # type: ignore[arg-type]
    share_engine(Engine(settings, plugin_manager(installed=False)))
    SMTPReceiver("127.0.0.1", port).start()


class Nothing:
    """An aiosmtpd handler."""

    async def handle_DATA(self, *arguments: object) -> str:
        """Take everything."""
        return "250 OK"


def run_aiosmtpd(port: int) -> None:
    """aiosmtpd alone."""
    _serve(SMTP, port)


def run_session(port: int) -> None:
    """Our session class alone, without Salmon behind it."""
    _serve(SMTPSession, port)


def _serve(session_class: type[SMTP], port: int) -> None:
    loop = asyncio.new_event_loop()
    listener = bound_tcp_socket("127.0.0.1", port)
    server = loop.create_server(
        lambda: session_class(Nothing(), hostname="bench.test", loop=loop), sock=listener, backlog=128
    )
    loop.run_until_complete(server)
    loop.run_forever()


SERVERS: dict[str, Callable[[int], None]] = {
    "stock": run_stock,
    "ours": run_ours,
    "aiosmtpd": run_aiosmtpd,
    "session": run_session,
}

if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    SERVERS[sys.argv[1]](int(sys.argv[2]))
