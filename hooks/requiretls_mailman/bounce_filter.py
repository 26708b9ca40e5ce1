"""Bounces that come back later: those that only say REQUIRETLS was not to be had count for nobody."""

from __future__ import annotations

import logging
from typing import Any

from requiretls_plugin.tls_refusal import failures_reported_in

log = logging.getLogger("mailman.bounce")


class BounceFilter:
    """Stands before Mailman's bounce processor and keeps such bounces from it."""

    def __init__(self, processor: Any) -> None:
        self._processor = processor

    def register(self, mlist: Any, email: str, msg: Any, context: Any) -> Any:
        """See `IBounceProcessor`; returns None for a bounce that does not count."""
        if failures_reported_in(msg).blames_tls_for(email):
            log.info("%s: no bounce of %s, REQUIRETLS was not to be had", mlist.list_id, email)
            return None
        return self._processor.register(mlist, email, msg, context)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._processor, name)
