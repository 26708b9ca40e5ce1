"""What a server on aiosmtpd needs before its first session: a TLS context, and a quiet log."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

from requiretls_aiosmtpd.certificate_files import CertificateFiles


def server_tls_context(certificate: Path, private_key: Path) -> ssl.SSLContext:
    """Return a context for the server's side of TLS; raises OSError, of which ssl.SSLError is one.

    Handshakes follow the files: when both are replaced, the new pair is used a
    few seconds later. A pair that cannot be used is told in the log, and the
    old one goes on.
    """
    files = CertificateFiles(certificate, private_key)

    def follow(connection: ssl.SSLObject, _name: str | None, _first: ssl.SSLContext) -> None:
        connection.context = files.context

    context = files.context
    # Called in every handshake, whether the client names a server or not.
    context.sni_callback = follow
    return context


def quiet_aiosmtpd() -> None:
    """Keep aiosmtpd from logging every command of every client; a level set before stays.

    Its logger is switched on again if `logging.config.fileConfig` switched it off.
    """
    log = logging.getLogger("mail.log")
    log.disabled = False
    if log.level == logging.NOTSET:
        log.setLevel(logging.WARNING)


def revive_loggers() -> None:
    """Switch this package's loggers on again, as fileConfig switches off all that it does not name."""
    for name in list(logging.root.manager.loggerDict):
        if name.startswith("requiretls"):
            logging.getLogger(name).disabled = False
