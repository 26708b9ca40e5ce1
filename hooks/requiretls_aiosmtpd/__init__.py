"""SMTP and LMTP servers with REQUIRETLS on aiosmtpd, usable alone or below another adapter."""

from requiretls_aiosmtpd.listening_socket import bound_tcp_socket, bound_unix_socket
from requiretls_aiosmtpd.server_setup import quiet_aiosmtpd, revive_loggers, server_tls_context
from requiretls_aiosmtpd.session import LMTPSession, SMTPSession
from requiretls_aiosmtpd.transaction import Transaction

__all__ = [
    "LMTPSession",
    "SMTPSession",
    "Transaction",
    "bound_tcp_socket",
    "bound_unix_socket",
    "quiet_aiosmtpd",
    "revive_loggers",
    "server_tls_context",
]
