"""The `ssl.SSLContext` for each kind of session, and what a session tells about its certificates.

Contexts are made here and not by `ssl.create_default_context`, whose meaning
changes with the version of Python (3.13 adds VERIFY_X509_STRICT and
VERIFY_X509_PARTIAL_CHAIN).
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from requiretls_plugin.certificate.verdict import reason_of_verify_code
from requiretls_plugin.reason import Reason

log = logging.getLogger(__name__)

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}

# Lets a session be made with servers that lack RFC 5746; ssl has a name for it from 3.12 on.
_OP_LEGACY_SERVER_CONNECT = 0x4

# The encoding that _ssl calls ENCODING_DER.
_ENCODING_DER = 2


class TLSContexts:
    """The contexts for mail servers and policy hosts, each made once and then shared.

    *ca_file* and *policy_ca_file* are PEM files of trust anchors for mail servers
    and for MTA-STS policy hosts; without one the system's anchors count, and
    without the second the first. A file that changes is read again; if it cannot
    be, the anchors known so far go on to count. Where authentication is
    demanded no version below *minimum_version* and no anonymous cipher is agreed
    to. Server names are given to each handshake, so SNI is always sent.

    The contexts raise OSError (ssl.SSLError is one) if a file cannot be read at
    the first use.
    """

    def __init__(
        self,
        ca_file: Path | None = None,
        minimum_version: Literal["1.2", "1.3"] = "1.2",
        policy_ca_file: Path | None = None,
    ) -> None:
        self._minimum_version = _VERSIONS[minimum_version]
        self._pkix = _Reloaded(ca_file, self._make_pkix)
        self._policy_host = _Reloaded(policy_ca_file or ca_file, self._make_policy_host)
        self._dane = self._authenticating()
        self._dane.verify_mode = ssl.CERT_NONE
        self._opportunistic = _make_opportunistic()

    @property
    def pkix(self) -> ssl.SSLContext:
        """For mail servers that a trust anchor must vouch for.

        The handshake fails for a chain that is not trusted. The name is not
        looked at: `authentication.authenticate` does that, after the handshake,
        so that a client can still say QUIT.
        """
        return self._pkix.context

    @property
    def dane(self) -> ssl.SSLContext:
        """For mail servers that DANE alone authenticates, after the handshake."""
        return self._dane

    @property
    def opportunistic(self) -> ssl.SSLContext:
        """For mail servers of which nothing is demanded: whatever is better than cleartext."""
        return self._opportunistic

    @property
    def policy_host(self) -> ssl.SSLContext:
        """For MTA-STS policy hosts (RFC 8461 section 3.3): chain, date and DNS-ID, in the handshake."""
        return self._policy_host.context

    def _authenticating(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = self._minimum_version
        context.check_hostname = False
        return context

    def _make_pkix(self, ca_file: Path | None) -> ssl.SSLContext:
        context = self._authenticating()
        _load_anchors(context, ca_file)
        return context

    def _make_policy_host(self, ca_file: Path | None) -> ssl.SSLContext:
        context = self._make_pkix(ca_file)
        context.check_hostname = True
        context.hostname_checks_common_name = False
        return context


class _Reloaded:
    """A context that is made again when its file of trust anchors changes."""

    def __init__(self, ca_file: Path | None, make: Callable[[Path | None], ssl.SSLContext]) -> None:
        self._ca_file = ca_file
        self._make = make
        self._made: ssl.SSLContext | None = None
        self._stamp: tuple[int, int, int] | None = None

    @property
    def context(self) -> ssl.SSLContext:
        """The context with the anchors of today."""
        stamp = self._stamp_now()
        if self._made is None:
            self._made = self._make(self._ca_file)
        elif stamp != self._stamp:
            try:
                self._made = self._make(self._ca_file)
            except OSError as error:
                log.warning("trust anchors in %s not read again: %s", self._ca_file, error)
        self._stamp = stamp
        return self._made

    def _stamp_now(self) -> tuple[int, int, int] | None:
        if self._ca_file is None:
            return None
        try:
            status = self._ca_file.stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size


def _load_anchors(context: ssl.SSLContext, ca_file: Path | None) -> None:
    if ca_file is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        context.load_verify_locations(cafile=ca_file)


def _make_opportunistic() -> ssl.SSLContext:
    """Return a context as lenient as Postfix's level "may": TLS 1.0, small keys, old ciphers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    # SSL 3 stays off by an option of its own.
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.options |= _OP_LEGACY_SERVER_CONNECT
    return context


def chain_was_verified(session: ssl.SSLObject | ssl.SSLSocket) -> bool:
    """Tell whether the handshake of *session* would have failed for a chain that is not trusted."""
    return session.context.verify_mode is ssl.CERT_REQUIRED


def peer_chain(session: ssl.SSLObject | ssl.SSLSocket) -> tuple[bytes, ...]:
    """Return the certificates the server sent, as DER in its order, its own first.

    Empty before the handshake and for a server without certificate. Nothing about
    them is checked.
    """
    inside: Any = getattr(session, "_sslobj", session)
    if inside is None:  # a socket before its handshake, which Python 3.13 cannot answer for
        return ()
    # Public from Python 3.13 on; until then the object inside has it.
    public = getattr(session, "get_unverified_chain", None)
    if public is not None:
        return tuple(public() or ())
    certificates = inside.get_unverified_chain() or ()
    return tuple(certificate.public_bytes(_ENCODING_DER) for certificate in certificates)


def reason_of(error: ssl.SSLError) -> Reason:
    """Return the reason for a handshake that failed with *error*."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return reason_of_verify_code(error.verify_code)
    return Reason.TLS_HANDSHAKE_FAILED
