"""Two rules: is a post under REQUIRETLS, or is it not?"""

from __future__ import annotations

from typing import Any

from mailman.interfaces.rules import IRule
from zope.interface import implementer

from requiretls_mailman.kept import kept_tag
from requiretls_plugin.requirement import Requirement

__all__ = ["NoRequireTLS", "RequireTLS"]


def _is_required(msg: Any, msgdata: Any) -> bool:
    return kept_tag(msg, msgdata).requirement is Requirement.REQUIRED


@implementer(IRule)
class RequireTLS:
    """Matches posts that came with REQUIRETLS, whatever the list's policy makes of it."""

    name = "requiretls"
    description = "Catch messages that were sent with REQUIRETLS."
    record = True

    def check(self, mlist: Any, msg: Any, msgdata: Any) -> bool:
        """See `IRule`."""
        return _is_required(msg, msgdata)


@implementer(IRule)
class NoRequireTLS:
    """Matches posts that came without, for lists that hold or reject them."""

    name = "no-requiretls"
    description = "Catch messages that were sent without REQUIRETLS."
    record = True

    def check(self, mlist: Any, msg: Any, msgdata: Any) -> bool:
        """See `IRule`."""
        if _is_required(msg, msgdata):
            return False
        msgdata["moderation_sender"] = msg.sender
        msgdata.setdefault("moderation_reasons", []).append("Message was not sent with REQUIRETLS")
        return True
