"""A server's certificate and private key, read again when their files are replaced."""

from __future__ import annotations

import logging
import os
import ssl
import time
from collections.abc import Callable
from pathlib import Path

from requiretls_plugin.settings_files import key_pair_problems

# A handshake looks whether the files are still the same, but not more often than this.
LOOK_SECONDS = 2.0


class CertificateFiles:
    """The TLS context made of *certificate* and *private_key*, and another one once those are replaced.

    *clock* is in seconds and never goes back. Making it reads the files; raises
    OSError, of which ssl.SSLError is one.
    """

    def __init__(
        self, certificate: Path, private_key: Path, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._certificate = certificate
        self._private_key = private_key
        self._clock = clock
        self._complaint = ""
        self._loaded = self._state()
        self._context = self._load()
        self._look_at = clock() + LOOK_SECONDS

    @property
    def context(self) -> ssl.SSLContext:
        """The context for a handshake that begins now; files that cannot be used change nothing."""
        now = self._clock()
        if now >= self._look_at:
            self._look_at = now + LOOK_SECONDS
            self._renew()
        return self._context

    def _renew(self) -> None:
        try:
            state = self._state()
            if state != self._loaded:
                problems = key_pair_problems("receive", self._certificate, self._private_key)
                if problems:
                    self._complain("; ".join(problems))
                    return
                # What was read may be newer than *state*; then it is read once more.
                self._context, self._loaded = self._load(), state
                self._log().info("the certificate in %s was replaced and is in use now", self._certificate)
            self._complaint = ""
        except OSError as error:
            self._complain(str(error))

    def _complain(self, problem: str) -> None:
        """Log *problem*, unless that was the last thing logged: every handshake would repeat it."""
        if problem != self._complaint:
            self._complaint = problem
            self._log().error("the certificate is not renewed, the old one stays in use: %s", problem)

    def _log(self) -> logging.Logger:
        # Fetched now: hosts such as Salmon disable the loggers made before their own set-up.
        return logging.getLogger(__name__)

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self._certificate, self._private_key)
        return context

    def _state(self) -> tuple[tuple[int, ...], ...]:
        """Return what differs once a file was written to, replaced, or made readable."""
        stats = [os.stat(path) for path in (self._certificate, self._private_key)]
        return tuple(
            (each.st_dev, each.st_ino, each.st_size, each.st_mtime_ns, each.st_ctime_ns) for each in stats
        )
