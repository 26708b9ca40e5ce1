"""One connection to an SMTP client: its limits, its replies, its timers. Commands are in `session`."""

from __future__ import annotations

import asyncio
import collections
import functools
import logging
from typing import Any, cast

from aiosmtpd import smtp

from requiretls_aiosmtpd.transaction import Transaction
from requiretls_plugin.receiving.command_arguments import AUTH_LINE, COMMAND_LINE, MAIL_LINE, RCPT_LINE
from requiretls_plugin.receiving.status_lines import replies_for
from requiretls_plugin.reply import INTERNAL_ERROR, Reply

TOO_MANY = Reply(421, "4.3.2", "Too many connections")
SHUTTING_DOWN = Reply(421, "4.3.2", "Server shuts down, come again")

# For servers that have no reason to take more or less: each takes a file descriptor, of which a
# process has 1024 by default.
MAX_CONNECTIONS = 500

# So many octets of a message are a sign of life. Every octet alone would be too little: for one
# every few minutes a client could keep a connection for ever.
PROGRESS_OCTETS = 1024

# How many replies one client gets before the others have their turn: commands that come at once
# are answered without waiting for anything, and a packet has room for thousands.
TURN = 20


class Connection(smtp.SMTP):
    """A connection that answers safely, and is patient with the busy only.

    *open_connections* is a set of the caller's that it joins while it lasts;
    one that would be more than *max_connections* in it is sent away.
    """

    # No line of a message is too long; this is how much is buffered before the client has to wait.
    line_length_limit = 64 * 1024
    command_size_limit = COMMAND_LINE

    def __init__(
        self,
        handler: Any,
        *,
        open_connections: set[Connection] | None = None,
        max_connections: int | None = None,
        **arguments: Any,
    ) -> None:
        # aiosmtpd keeps these limits on the class, where every new connection resets everybody's.
        self.command_size_limits = collections.defaultdict(lambda: COMMAND_LINE)
        self._open_connections = open_connections if open_connections is not None else set()
        self._max_connections = max_connections
        self._greeting_sent = False
        self._replies_sent = 0
        self._last_heard = 0.0
        self._unnoted_octets = 0
        self._reading_message = self._handler_works = False
        super().__init__(handler, **arguments)
        self.command_size_limits.update(MAIL=MAIL_LINE, RCPT=RCPT_LINE, AUTH=AUTH_LINE)

    def __dir__(self) -> list[str]:
        """Return what aiosmtpd asks every new connection for: the names of commands and AUTH mechanisms.

        All names would cost it more time than a message does.
        """
        session_class: type = type(self)
        return _command_names(session_class)

    def _create_envelope(self) -> Transaction:
        return Transaction()

    @property
    def transaction(self) -> Transaction:
        """The envelope of the transaction now open."""
        return cast(Transaction, self.envelope)

    @property
    def client(self) -> smtp.Session:
        """What is known of the client since it connected, or since TLS began."""
        return cast(smtp.Session, self.session)

    @property
    def inside_tls(self) -> bool:
        """Whether a TLS handshake has been completed on this connection."""
        return self.transport is not None and self.transport.get_extra_info("ssl_object") is not None

    @property
    def peer_address(self) -> str | None:
        """The client's IP address, None on a UNIX socket."""
        peer = self.client.peer
        return str(peer[0]) if isinstance(peer, tuple) and peer else None

    @property
    def busy(self) -> bool:
        """Whether a message is coming in or being handled."""
        return self._reading_message or self._handler_works

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, for the first time or inside TLS."""
        super().connection_made(transport)
        self._open_connections.add(self)
        if self._max_connections is not None and len(self._open_connections) > self._max_connections:
            self.dismiss(TOO_MANY)

    def connection_lost(self, error: Exception | None) -> None:
        """End."""
        self._open_connections.discard(self)
        super().connection_lost(error)

    def dismiss(self, reply: Reply) -> None:
        """Tell the client why, and hang up, unless that is done already; not for busy connections."""
        if self._handler_coroutine is not None:
            self._handler_coroutine.cancel()
        # A TLS transport that is closed can no longer be written to.
        if self.transport is not None and not self.transport.is_closing():
            self._writer.write(f"{reply}\r\n".encode("ascii"))
            self.transport.close()

    # Replies

    async def push(self, status: Any) -> None:
        """Send a reply, with an enhanced status code unless it is the greeting or a 3yz reply."""
        text = status.decode("ascii", "replace") if isinstance(status, bytes) else status
        is_reply = self._greeting_sent and not str(text).startswith("3")
        self._greeting_sent = True
        await self.send_lines(str(replies_for(text, 1)[0]) if is_reply else text)

    async def send_lines(self, *lines: str) -> None:
        """Send *lines* in one piece, as they are."""
        self._writer.write("".join(f"{line}\r\n" for line in lines).encode("ascii", "replace"))
        await self._writer.drain()
        self._replies_sent += 1
        if self._replies_sent % TURN == 0:
            await asyncio.sleep(0)

    async def handle_exception(self, error: Exception) -> str:
        """Log *error* and return a reply that says nothing of it."""
        peer = self.peer_address or "a local client"
        if isinstance(error, smtp.TLSSetupException):
            logging.info("TLS handshake with %s failed: %s", peer, error.__cause__)
        else:
            logging.error("error in a session with %s", peer, exc_info=error)
        return str(INTERNAL_ERROR)

    # Timers: idle is who sends no command, too little of a message, and waits for no handler

    def _reset_timeout(self, duration: float | None = None) -> None:
        self._last_heard = self.loop.time()
        if self._timeout_handle is None:
            self._timeout_handle = self.loop.call_later(self._timeout_duration, self._timeout_cb)

    def _timeout_cb(self) -> None:
        idle = 0.0 if self._handler_works else self.loop.time() - self._last_heard
        if idle < self._timeout_duration:
            self._timeout_handle = self.loop.call_later(self._timeout_duration - idle, self._timeout_cb)
        elif self.transport is not None:
            logging.info("client %s said nothing for %.0f seconds", self.peer_address, idle)
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Take octets from the client, who is not idle if they belong to a message and are many."""
        self._unnoted_octets += len(data)
        if self._reading_message and self._unnoted_octets >= PROGRESS_OCTETS:
            self._unnoted_octets = 0
            self._last_heard = self.loop.time()
        super().data_received(data)

    async def while_handler_works(self, command: str) -> object:
        """Return what the handler's hook for *command* answers, however long it takes.

        An error of the handler is an answer too: to try again later.
        """
        self._handler_works = True
        try:
            return await self._call_handler_hook(command)
        except Exception as error:
            # Whatever it is: LMTP owes a reply to every recipient.
            return await self.handle_exception(error)
        finally:
            self._handler_works = False
            self._last_heard = self.loop.time()


@functools.cache
def _command_names(session_class: type) -> list[str]:
    return [name for name in dir(session_class) if name.startswith(("smtp_", "auth_"))]
