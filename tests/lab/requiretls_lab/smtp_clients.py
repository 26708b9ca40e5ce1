"""Foreign and bare clients for the scripted mail servers."""

from __future__ import annotations

import contextlib
import smtplib
import socket
import ssl
from collections.abc import Iterator

from requiretls_lab.destination import Destination
from requiretls_lab.laboratory import Laboratory


def trusting(lab: Laboratory) -> ssl.SSLContext:
    """Return a client's context that trusts the laboratory's authority."""
    return ssl.create_default_context(cafile=lab.authority.ca_file)


@contextlib.contextmanager
def client_of(host: Destination) -> Iterator[smtplib.SMTP]:
    """A foreign client, connected and not yet greeted by EHLO."""
    client = smtplib.SMTP(timeout=5, local_hostname="client.test")
    # smtplib takes the name for SNI from here; it has no other way to connect to an address.
    client._host = host.name  # type: ignore[attr-defined]
    client.connect(host.address, host.port)
    try:
        yield client
    finally:
        client.close()


def said_by(host: Destination, *lines: str) -> bytes:
    """Send *lines* at once without waiting for replies; return all that came until the server closed."""
    with socket.create_connection((host.address, host.port), timeout=5) as client:
        client.sendall("".join(f"{line}\r\n" for line in lines).encode())
        with contextlib.suppress(OSError):  # torn down already; reading says so too
            client.shutdown(socket.SHUT_WR)
        received = b""
        while part := client.recv(65_536):
            received += part
    return received
