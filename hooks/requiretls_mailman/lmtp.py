"""The LMTP server: STARTTLS and REQUIRETLS before Mailman's own handler."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from mailman.config import config
from mailman.runners import lmtp

from requiretls_aiosmtpd import LMTPSession, Transaction, quiet_aiosmtpd, server_tls_context
from requiretls_aiosmtpd.connection import MAX_CONNECTIONS, Connection
from requiretls_mailman.adapter import Adapter, installed
from requiretls_mailman.cause import because_of
from requiretls_plugin.errors import PluginError
from requiretls_plugin.reply import INTERNAL_ERROR

log = logging.getLogger("mailman.smtp")


class TaggingHandler(lmtp.LMTPHandler):
    """Mailman's handler; what it puts into queues has the tag of the transaction."""

    def __init__(self, adapter: Adapter) -> None:
        self._adapter = adapter

    async def handle_DATA(self, server: LMTPSession, session: Any, envelope: Transaction) -> object:  # noqa: N802
        """Return the answers of Mailman, one for each recipient."""
        engine = self._adapter.engine
        received = engine.receive(envelope.message(server.peer_address))
        try:
            message = await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(received, engine.loop))
        except PluginError as error:
            log.error("message deferred, a plugin failed: %s", error)
            return INTERNAL_ERROR
        envelope.content = message.content
        with because_of(message.tag):
            answers = await super().handle_DATA(server, session, envelope)
        # Whom RCPT took, Mailman refuses here only for trouble of its own: a full disk, a database.
        lines = [INTERNAL_ERROR if line == lmtp.ERR_550 else line for line in answers.split(lmtp.CRLF)]
        return lines if len(lines) > 1 else lines[0]


class SecureController(lmtp.LMTPController):
    """Serves sessions of ours on Mailman's address and port."""

    def __init__(self, adapter: Adapter, hostname: str, port: int) -> None:
        """Bind nothing yet; raises OSError if the certificate cannot be read."""
        receive = adapter.settings.receive
        self._adapter = adapter
        self._connections: set[Connection] = set()
        self._tls = None
        if receive.certificate is not None and receive.private_key is not None:
            self._tls = server_tls_context(receive.certificate, receive.private_key)
        super().__init__(TaggingHandler(adapter), hostname=hostname, port=port)

    def factory(self) -> LMTPSession:
        """Return a session for a connection."""
        settings = self._adapter.settings
        return LMTPSession(
            self.handler,
            advertise=settings.receive.advertise,
            open_connections=self._connections,
            max_connections=MAX_CONNECTIONS,
            # A post has arrived when the list has it; the server in front says so, if we do not offer to.
            dsn=False,
            hostname=str(settings.hostname),
            tls_context=self._tls,
            ident="GNU Mailman LMTP runner",
            loop=self.loop,
        )


class LMTPRunner(lmtp.LMTPRunner):
    """`[runner.lmtp] class: requiretls_mailman.runners.LMTPRunner`."""

    def __init__(self, name: str, slice: int | None = None) -> None:  # noqa: A002
        """Bind nothing yet; raises NotInstalledError, and OSError if the certificate cannot be read."""
        self._adapter = installed()
        super().__init__(name, slice)
        self.lmtp.loop.close()  # Mailman's own server is not used
        hostname, port = config.mta.lmtp_host, int(config.mta.lmtp_port)
        self.lmtp: Any = SecureController(self._adapter, hostname, port)

    def run(self) -> None:
        """See `IRunner`."""
        quiet_aiosmtpd()
        self._adapter.engine.start()
        super().run()
