"""REQUIRETLS for GNU Mailman 3, switched on in `mailman.cfg`; see docs/mailman.md."""

from requiretls_mailman.outgoing import deliver
from requiretls_mailman.plugin import RequireTLSPlugin

__all__ = ["RequireTLSPlugin", "deliver"]
