"""Everything that the personnel department sends is sent under REQUIRETLS."""

from __future__ import annotations

from requiretls_plugin.hookspecs import hookimpl
from requiretls_plugin.message import Message
from requiretls_plugin.requirement import Requirement

CONFIDENTIAL = frozenset({"hr"})


@hookimpl
def requiretls_receive(message: Message) -> Requirement | None:
    """Require TLS for what comes from hr@, and leave the rest to others."""
    sender = message.return_path
    if sender is not None and sender.local_part.lower() in CONFIDENTIAL:
        return Requirement.REQUIRED
    return None
