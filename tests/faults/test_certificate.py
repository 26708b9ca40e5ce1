"""The certificate of a running server is replaced: real process, real files, no restart."""

from __future__ import annotations

import shutil
import smtplib
import ssl
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from requiretls_aiosmtpd.certificate_files import LOOK_SECONDS
from requiretls_lab.authority import Certificate, Leaf
from requiretls_lab.laboratory import HOSTNAME, Laboratory
from tests.hooks.salmon.apps import FORWARDER, copy_of, free_port, running, wait_until


def test_a_salmon_app_shows_a_renewed_certificate_without_restart(lab: Laboratory, tmp_path: Path) -> None:
    """While the pair does not fit, the old one goes on; the log says why, once."""
    certificate, key = tmp_path / "fullchain.pem", tmp_path / "key.pem"
    receive = {"certificate": str(certificate), "private_key": str(key)}
    old, new = (lab.authority.issue(Leaf((HOSTNAME,))) for _ in range(2))
    shutil.copy(old.chain_file, certificate)
    shutil.copy(old.key_file, key)
    settings = lab.write_settings(tmp_path / "requiretls.toml", receive=receive)
    app_folder, port = copy_of(FORWARDER, tmp_path), free_port()
    with running(app_folder, port, settings=settings) as app:

        def shows(expected: Certificate) -> bool:
            return _shown(lab, port) == expected.leaf.public_bytes(Encoding.DER)

        assert shows(old)
        shutil.copy(new.chain_file, certificate)
        wait_until(lambda: shows(old) and "does not belong to" in app.log, app_folder, 10 * LOOK_SECONDS)
        shutil.copy(new.key_file, key)
        wait_until(lambda: shows(new), app_folder, 10 * LOOK_SECONDS)
        assert app.log.count("the certificate is not renewed") == 1
        assert app.end() == 0


def _shown(lab: Laboratory, port: int) -> bytes | None:
    context = ssl.create_default_context(cafile=str(lab.authority.ca_file))
    context.check_hostname = False
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        client.starttls(context=context)
        assert isinstance(client.sock, ssl.SSLSocket)
        return client.sock.getpeercert(binary_form=True)
