"""What RFC 7672 asks of a server that has TLSA records."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP

from requiretls_aiosmtpd import server_tls_context
from tests.hooks.aiosmtpd.serving import (
    SERVER_NAME,
    Keeper,
    RawClient,
    client_context,
    serving,
    write_certificate,
)


def _certificate_for(port: int, name: str | None) -> bytes | None:
    with RawClient(port) as client:
        client.greet()
        assert client.say("STARTTLS").startswith("220 ")
        with client_context().wrap_socket(client.socket, server_hostname=name) as tls:
            tls.sendall(b"QUIT\r\n")
            assert tls.recv(100).startswith(b"221 ")
            return tls.getpeercert(binary_form=True)


@pytest.mark.requirement("7672-8.1-2")
def test_server_name_indication_is_not_demanded_of_clients(tmp_path: Path) -> None:
    """Without a name, and with one nobody knows, the certificate is the one there is."""
    context = server_tls_context(*write_certificate(tmp_path))
    with serving(Keeper(), tls_context=context) as port:
        usual = _certificate_for(port, SERVER_NAME)
        assert usual is not None
        assert _certificate_for(port, None) == usual
        assert _certificate_for(port, "unknown.example") == usual


class Greylisting(Keeper):
    """A handler that puts off every client it sees for the first time."""

    async def handle_RCPT(
        self, server: SMTP, session: object, envelope: object, address: str, options: list[str]
    ) -> str:
        """Put off."""
        return "450 4.7.1 Come back in five minutes"


@pytest.mark.requirement("7672-9.2-1")
def test_starttls_is_offered_to_a_client_that_is_greylisted() -> None:
    """From the first contact; it is put off inside TLS."""
    with serving(Greylisting()) as port, RawClient(port) as client:
        assert "STARTTLS" in client.greet()
        assert client.start_tls().startswith("220 ")
        client.greet()
        assert client.say("MAIL FROM:<a@sender.example>").startswith("250 ")
        assert client.say("RCPT TO:<b@receiver.example>").startswith("450 4.7.1 ")
        assert isinstance(client.socket, ssl.SSLSocket)
