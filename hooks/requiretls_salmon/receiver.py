"""`SMTPReceiver` and `LMTPReceiver` with Salmon's signatures, STARTTLS and REQUIRETLS."""

from __future__ import annotations

import asyncio
import functools
import logging
import socket as sockets
import ssl
import time
from typing import Any, ClassVar

from aiosmtpd.smtp import Session
from salmon import mail, routing

from requiretls_aiosmtpd import (
    LMTPSession,
    SMTPSession,
    Transaction,
    bound_tcp_socket,
    bound_unix_socket,
    quiet_aiosmtpd,
    revive_loggers,
    server_tls_context,
)
from requiretls_aiosmtpd.connection import MAX_CONNECTIONS, SHUTTING_DOWN, Connection
from requiretls_plugin.errors import PluginError
from requiretls_plugin.reply import INTERNAL_ERROR, Reply
from requiretls_plugin.settings import ReceiveSettings
from requiretls_salmon.hand_over import hand_over
from requiretls_salmon.handling import Handling, handling_of
from requiretls_salmon.kept import Accepted
from requiretls_salmon.preparation import prepare_salmon
from requiretls_salmon.shared_engine import shared_engine
from requiretls_salmon.signals import forget, stop_on_signals
from requiretls_salmon.workers import Workers

OK = Reply(250, "2.0.0", "OK")
ONE_RECIPIENT = Reply(451, "4.5.3", "One recipient in each transaction, please")

DEFAULT_WORKERS = 8
DEFAULT_SIZE_LIMIT = 2**25
DRAIN_SECONDS = 30.0


class Receiver:
    """What both receivers are: a socket bound at once, sessions on the engine's loop, handlers in threads."""

    session_class: ClassVar[type[SMTPSession]]

    def __init__(
        self,
        listener: sockets.socket,
        *,
        ssl_context: ssl.SSLContext | None,
        workers: int,
        size_limit: int,
        hostname: str | None,
    ) -> None:
        """Take *listener*; files are read now, while the process may still read them."""
        self.engine = shared_engine()
        self.listener = listener
        receive = self.engine.settings.receive
        self._context = ssl_context or _context_of(receive)
        self._hostname = hostname or str(self.engine.settings.hostname)
        self._size_limit = size_limit
        self._workers = Workers(workers, type(self).__name__)
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        prepare_salmon()

    def start(self) -> None:
        """Begin to receive; returns at once, and the process lives on in the workers' threads."""
        quiet_aiosmtpd()
        revive_loggers()
        if routing.Router.RELOAD:
            logging.warning("Router.RELOAD is on: messages are handled one at a time")
        self.engine.start()
        self._workers.start()
        self._server = self.engine.run(self._serve())
        stop_on_signals(self.stop)
        logging.info("%s started on %s.", type(self).__name__, self.place)

    def stop(self, timeout: float = DRAIN_SECONDS) -> None:
        """End: no new client, messages under way are finished for *timeout* seconds at the most."""
        if self._server is None:
            return
        server, self._server = self._server, None
        forget(self.stop)
        self.engine.run(self._drain(server, timeout))
        self._workers.finish()
        logging.info("%s on %s stopped.", type(self).__name__, self.place)

    def close(self) -> None:
        """Close the socket of a receiver that was never started; else the same as `stop`."""
        self.stop()
        self.listener.close()

    @property
    def place(self) -> str:
        """Where it listens."""
        name = self.listener.getsockname() if self.listener.fileno() >= 0 else "a closed socket"
        return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else str(name)

    async def _serve(self) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        factory = functools.partial(
            self.session_class,
            Intake(self),
            advertise=self.engine.settings.receive.advertise,
            open_connections=self._connections,
            max_connections=MAX_CONNECTIONS,
            data_size_limit=self._size_limit,
            hostname=self._hostname,
            ident="Salmon",
            tls_context=self._context,
            loop=loop,
        )
        if self.listener.family == sockets.AF_UNIX:
            return await loop.create_unix_server(factory, sock=self.listener)
        return await loop.create_server(factory, sock=self.listener)

    async def _drain(self, server: asyncio.Server, timeout: float) -> None:
        server.close()
        deadline = time.monotonic() + timeout
        while self._connections and time.monotonic() < deadline:
            for connection in [one for one in self._connections if not one.busy]:
                connection.dismiss(SHUTTING_DOWN)
            await asyncio.sleep(0.01)

    def process_message(self, Peer: Any, From: Any, To: Any, Data: Any, **kwargs: Any) -> str | None:  # noqa: N803
        """Let the Router handle one message for one recipient; return None, or a reply to refuse it with.

        Apps may override it, and tests call it.
        """
        error = hand_over(mail.MailRequest(Peer, From, To, Data))
        return str(error) if error else None

    def handle(self, accepted: Accepted, peer: Any, options: dict[str, Any]) -> str | Reply:
        """Return the answer to one message for one recipient; runs in a worker's thread."""
        sender = accepted.message.return_path
        with handling_of(Handling(accepted, reports=True)):
            refusal = self.process_message(
                peer, str(sender or ""), str(accepted.recipient), accepted.salmon_data(), **options
            )
        return refusal or OK

    async def answer(self, accepted: Accepted, peer: Any, options: dict[str, Any]) -> str | Reply:
        """Return the answer to one message for one recipient, given by a worker."""
        try:
            return await self._workers.result_of(lambda: self.handle(accepted, peer, options))
        except Exception as error:
            logging.error("handling failed, the sender keeps the message", exc_info=error)
            return INTERNAL_ERROR


class Intake:
    """The aiosmtpd handler of a receiver."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        if not issubclass(receiver.session_class, LMTPSession):
            self.handle_RCPT = self._only_one

    async def _only_one(
        self, server: SMTPSession, session: Session, envelope: Transaction, address: str, options: list[str]
    ) -> Reply:
        """Take one recipient: SMTP has one reply for all, and handlers decide for each."""
        if envelope.rcpt_tos:
            return ONE_RECIPIENT
        envelope.rcpt_tos.append(address)
        return OK

    async def handle_DATA(self, server: SMTPSession, session: Session, envelope: Transaction) -> object:  # noqa: N802
        """Return the answers of the app, one for each recipient."""
        message = envelope.message(server.peer_address)
        try:
            message = await self._receiver.engine.receive(message)
        except PluginError as error:
            logging.error("message deferred, a plugin failed: %s", error)
            return INTERNAL_ERROR
        options = {"mail_options": envelope.mail_options, "rcpt_options": envelope.rcpt_options}
        pending = [
            self._receiver.answer(Accepted(message, recipient), session.peer, options)
            for recipient in envelope.recipients
        ]
        return [await pending[0]] if len(pending) == 1 else await asyncio.gather(*pending)


class SMTPReceiver(Receiver):
    """Receive mail by SMTP and hand it to the Router; takes the place of `salmon.server.SMTPReceiver`."""

    session_class = SMTPSession

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 8825,
        *,
        ssl_context: ssl.SSLContext | None = None,
        workers: int = DEFAULT_WORKERS,
        size_limit: int = DEFAULT_SIZE_LIMIT,
        hostname: str | None = None,
    ) -> None:
        """Bind *host* and *port*; raises OSError and SettingsError.

        *ssl_context* is instead of `receive.certificate` of the settings,
        *workers* is the number of messages handled at once, *size_limit* the
        octets of the largest, *hostname* is instead of the settings' one.
        """
        self.host, self.port = host, port
        super().__init__(
            bound_tcp_socket(host, port),
            ssl_context=ssl_context,
            workers=workers,
            size_limit=size_limit,
            hostname=hostname,
        )


class LMTPReceiver(Receiver):
    """Receive mail by LMTP and hand it to the Router; takes the place of `salmon.server.LMTPReceiver`."""

    session_class = LMTPSession

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 8824,
        socket: str | None = None,
        *,
        ssl_context: ssl.SSLContext | None = None,
        workers: int = DEFAULT_WORKERS,
        size_limit: int = DEFAULT_SIZE_LIMIT,
        hostname: str | None = None,
    ) -> None:
        """Bind *host* and *port*, or the UNIX socket at the path *socket*; else as `SMTPReceiver`."""
        self.socket = socket or f"{host}:{port}"
        super().__init__(
            bound_unix_socket(socket) if socket else bound_tcp_socket(host, port),
            ssl_context=ssl_context,
            workers=workers,
            size_limit=size_limit,
            hostname=hostname,
        )


def _context_of(receive: ReceiveSettings) -> ssl.SSLContext | None:
    if receive.certificate is None or receive.private_key is None:
        return None
    return server_tls_context(receive.certificate, receive.private_key)
