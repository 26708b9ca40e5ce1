"""What a server on aiosmtpd needs before its first session: a TLS context, and a quiet log."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path


def server_tls_context(certificate: Path, private_key: Path) -> ssl.SSLContext:
    """Return a context for the server's side of TLS; raises OSError, of which ssl.SSLError is one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, private_key)
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
