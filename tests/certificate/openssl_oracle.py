"""What `openssl s_client` says about a chain and TLSA records, over a real handshake."""

from __future__ import annotations

import socket
import ssl
import subprocess
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from requiretls_plugin.policy.answers import TLSARecord
from tests.certificate.forge import NOW, Key, pem

SECONDS = 20


def server_context(folder: Path, chain: Sequence[bytes], key: Key) -> ssl.SSLContext:
    """Return a context that sends exactly *chain*, however weak it is."""
    file = folder / "server.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    file.write_text(private + pem(chain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.load_cert_chain(file)
    return context


def openssl_accepts(
    context: ssl.SSLContext,
    records: Sequence[TLSARecord],
    base_domain: str,
    *,
    seconds_since_1970: int | None = None,
) -> bool:
    """Tell whether s_client at security level 2 authenticates the server by *records*."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(SECONDS)
        client = subprocess.Popen(
            [
                *("openssl", "s_client", "-connect", f"127.0.0.1:{listener.getsockname()[1]}", "-brief"),
                *("-cipher", "DEFAULT:@SECLEVEL=2", "-servername", base_domain),
                *("-attime", str(seconds_since_1970 or int(NOW.timestamp()))),
                *("-dane_tlsa_domain", base_domain, "-dane_ee_no_namechecks"),
                *(part for record in records for part in ("-dane_tlsa_rrdata", str(record))),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        with client:
            _shake_hands(listener, context)
            said, _ = client.communicate(timeout=SECONDS)
    if "Verification: OK" in said:
        return True
    # Each line proves that s_client came to a verdict, and did not fail for something else.
    assert "Verification error" in said or "certificate verify failed" in said or "no usable TLSA" in said, (
        said
    )
    return False


def _shake_hands(listener: socket.socket, context: ssl.SSLContext) -> None:
    connection, _ = listener.accept()
    connection.settimeout(SECONDS)
    try:
        with context.wrap_socket(connection, server_side=True) as session:
            session.recv(1)
    except OSError:
        connection.close()
