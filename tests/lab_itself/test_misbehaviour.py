"""The scripted mail servers where they break the rules on purpose."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl

import pytest

from requiretls_lab.destination import Destination
from requiretls_lab.laboratory import Laboratory
from requiretls_lab.smtp_clients import client_of, said_by, trusting
from requiretls_lab.smtp_script import Act, Drip, Endless, Script

HOST = "mx.dane-ee.test"


def test_injected_plaintext_follows_the_220_at_once(lab: Laboratory, host: Destination) -> None:
    """What a man in the middle adds after the STARTTLS reply arrives before the handshake."""
    host.script = Script(replies={"STARTTLS": b"220 go\r\n250-evil\r\n250 REQUIRETLS\r\n"})
    with socket.create_connection((host.address, host.port), timeout=5) as client:
        client.recv(1000)
        client.sendall(b"STARTTLS\r\n")
        assert client.recv(1000) == b"220 go\r\n250-evil\r\n250 REQUIRETLS\r\n"
        with trusting(lab).wrap_socket(client, server_hostname=HOST) as secured:
            secured.sendall(b"QUIT\r\n")
            assert secured.recv(1000).startswith(b"221")

    assert host.connections[0].tls


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", Act.CLOSE, Act.RESET],
    ids=["garbage", "closed", "reset"],
)
def test_handshake_can_fail(lab: Laboratory, host: Destination, answer: bytes | Act) -> None:
    """STARTTLS is agreed to, and then there is no TLS."""
    host.script = Script(replies={"handshake": answer})
    with client_of(host) as client, pytest.raises(OSError, match=r"(?i)wrong.version|eof|reset"):
        client.starttls(context=trusting(lab))

    assert not host.connections[0].tls


def test_client_that_does_not_wait_for_starttls_is_found_out(host: Destination) -> None:
    """What comes with STARTTLS is recorded, and never taken for something said inside TLS."""
    said = said_by(host, "EHLO c", "STARTTLS", "MAIL FROM:<a@b>")

    assert b"220 2.0.0 Ready to start TLS" in said
    assert host.connections[0].early == b"MAIL FROM:<a@b>\r\n"
    assert host.connections[0].verbs == ["EHLO", "STARTTLS"]


def test_client_that_distrusts_the_certificate_is_recorded(lab: Laboratory, host: Destination) -> None:
    """The server knows that a handshake failed and why."""
    with client_of(host) as client, pytest.raises(ssl.SSLCertVerificationError):
        client.starttls(context=ssl.create_default_context(cafile=lab.authority.untrusted_ca_file))
    lab.settle()

    (connection,) = host.connections
    assert connection.verbs == ["EHLO", "STARTTLS"]
    assert "unknown ca" in (connection.tls_failure or "")


def test_old_tls_versions_can_be_all_there_is(lab: Laboratory, host: Destination) -> None:
    """A server of the last century is refused by a modern client."""
    host.script = Script(maximum_version=ssl.TLSVersion.TLSv1_1)
    with client_of(host) as client, pytest.raises(ssl.SSLError):
        client.starttls(context=trusting(lab))
    lab.settle()

    # Which of the two notices depends on the version and the configuration of OpenSSL.
    reasons = r"UNSUPPORTED_PROTOCOL|LEGACY_SIGALG|PROTOCOL_VERSION|HANDSHAKE_FAILURE|INTERNAL_ERROR"
    assert re.search(reasons, host.connections[0].tls_failure or "", re.IGNORECASE)


@pytest.mark.parametrize(
    ("script", "received"),
    [
        pytest.param(Script(cut_after=7), b"220 mx.", id="cut after some octets"),
        pytest.param(Script(replies={"greeting": Act.CLOSE}), b"", id="closed"),
        pytest.param(Script(replies={"greeting": b"220 \x00\r\xff\r\n"}), b"220 \x00\r\xff\r\n", id="octets"),
        pytest.param(Script(replies={"greeting": Drip("220 x", 0.001)}), b"220 x\r\n", id="drip"),
        pytest.param(Script(replies={"greeting": Act.SILENCE}), b"", id="silence until the client leaves"),
        pytest.param(Script(delay=0.01, replies={"greeting": "220 x"}), b"220 x\r\n", id="late"),
    ],
)
def test_server_misbehaves_on_cue(host: Destination, script: Script, received: bytes) -> None:
    """Each misbehaviour is exactly what the script says, octet by octet."""
    host.script = script

    assert said_by(host) == received


def test_reset_reaches_the_client(host: Destination) -> None:
    """A connection can be torn down rather than closed."""
    host.script = Script(replies={"EHLO": Act.RESET})
    with pytest.raises(ConnectionResetError):
        said_by(host, "EHLO c")


def test_endless_reply_ends_with_the_client(lab: Laboratory, host: Destination) -> None:
    """A reply without end is sent as long as somebody reads."""
    host.script = Script(replies={"greeting": Endless(b"220-and so on\r\n" * 100)})
    with socket.create_connection((host.address, host.port), timeout=5) as client:
        while len(client.recv(65_536, socket.MSG_WAITALL)) == 65_536 and host.connections[0].open:
            break
    lab.settle()

    assert not host.busy


def test_connection_can_end_within_the_message(host: Destination) -> None:
    """The server may go away while the client sends, and has accepted nothing."""
    host.script = Script(replies={"content": Act.CLOSE})
    lines = ["EHLO c", "MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA", "one", "two", "."]

    with contextlib.suppress(ConnectionResetError):
        assert said_by(host, *lines).splitlines()[-1].startswith(b"354")
    assert host.messages == []
