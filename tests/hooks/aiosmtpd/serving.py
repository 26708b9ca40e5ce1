"""A server of ours on a free port for one test, and a raw client that says exactly what it is told."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import trustme
from aiosmtpd.smtp import SMTP

from requiretls_aiosmtpd import SMTPSession, Transaction, bound_tcp_socket

SERVER_NAME = "mx.receiver.example"


@functools.cache
def authority() -> trustme.CA:
    """Return the one authority of these tests."""
    return trustme.CA()


@functools.cache
def server_context() -> ssl.SSLContext:
    """Return the server's side of TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert(SERVER_NAME).configure_cert(context)
    return context


@functools.cache
def client_context() -> ssl.SSLContext:
    """Return a client's side of TLS that trusts the authority and asks for no name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    authority().configure_trust(context)
    return context


def write_certificate(folder: Path) -> tuple[Path, Path]:
    """Write the server's certificate and key to *folder* and return their paths."""
    issued = authority().issue_cert(SERVER_NAME)
    certificate, key = folder / "fullchain.pem", folder / "key.pem"
    certificate.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    return certificate, key


class Keeper:
    """A handler that keeps every transaction and answers as it was told."""

    def __init__(self, answer: object = "250 OK") -> None:
        self.answer = answer
        self.taken: list[Transaction] = []

    async def handle_DATA(self, server: SMTP, session: object, envelope: Transaction) -> object:
        """Keep the transaction."""
        self.taken.append(envelope)
        if isinstance(self.answer, Exception):
            raise self.answer
        if callable(self.answer):
            return await self.answer()
        return self.answer


@contextlib.contextmanager
def serving(
    handler: object,
    session_class: type[SMTPSession] = SMTPSession,
    *,
    implicit_tls: bool = False,
    **arguments: Any,
) -> Iterator[int]:
    """Serve in a thread and yield the port on 127.0.0.1."""
    arguments.setdefault("tls_context", server_context())
    loop = asyncio.new_event_loop()
    listener = bound_tcp_socket("127.0.0.1", 0)
    connections = arguments.setdefault("open_connections", set())

    def session() -> SMTPSession:
        return session_class(handler, hostname=SERVER_NAME, loop=loop, **arguments)

    server = loop.run_until_complete(
        loop.create_server(session, sock=listener, ssl=server_context() if implicit_tls else None)
    )
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        _stop(loop, server, thread, connections)


def _stop(
    loop: asyncio.AbstractEventLoop,
    server: asyncio.Server,
    thread: threading.Thread,
    connections: set[SMTPSession],
) -> None:
    async def wind_up() -> None:
        server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for connection in tuple(connections):
            # A client that does not answer the end of TLS would outlive the loop. Below TLS, because
            # in Python 3.11.2 a TLS transport that was closed twice cannot be aborted any more.
            transport = connection._original_transport or connection.transport
            if isinstance(transport, asyncio.Transport):
                transport.abort()

    asyncio.run_coroutine_threadsafe(wind_up(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


class RawClient:
    """A client that sends the octets it is given and reads whole replies."""

    def __init__(self, port: int, *, tls: bool = False) -> None:
        self.socket: socket.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        if tls:
            self.socket = client_context().wrap_socket(self.socket)
        self.file = self.socket.makefile("rb")
        self.greeting = self.reply()

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()
        self.socket.close()

    def send(self, octets: bytes) -> None:
        """Send *octets* and expect nothing."""
        self.socket.sendall(octets)

    def reply(self) -> list[str]:
        """Return the lines of one reply; none if the connection has ended."""
        lines: list[str] = []
        while not lines or lines[-1][3:4] == "-":
            line = self.file.readline()
            if not line:
                return []
            lines.append(line.decode("ascii").rstrip("\r\n"))
        return lines

    def say(self, command: str) -> str:
        """Send a command and return the last line of its reply."""
        self.send(command.encode() + b"\r\n")
        return (self.reply() or ["connection closed"])[-1]

    def greet(self, verb: str = "EHLO") -> list[str]:
        """Say EHLO and return the extensions listed."""
        self.send(verb.encode() + b" client.example\r\n")
        return [line[4:] for line in self.reply()[1:]]

    def start_tls(self, pipelined: bytes = b"") -> str:
        """Begin TLS, with *pipelined* in the same packet as the command."""
        self.send(b"STARTTLS\r\n" + pipelined)
        answer = self.reply()[-1]
        if answer.startswith("220"):
            self.file.close()
            context = client_context()
            wrapped = context.wrap_socket(
                self.socket, server_hostname=SERVER_NAME, do_handshake_on_connect=False
            )
            self.socket = wrapped
            wrapped.do_handshake()
            self.file = self.socket.makefile("rb")
        return answer


@contextlib.contextmanager
def talking(port: int, *, tls: bool = True, verb: str = "EHLO") -> Iterator[RawClient]:
    """Yield a client that has greeted, inside TLS unless told otherwise."""
    with RawClient(port) as client:
        client.greet(verb)
        if tls:
            client.start_tls()
            client.greet(verb)
        yield client
