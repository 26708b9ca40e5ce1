"""What bounces did to a member."""

from __future__ import annotations

from typing import Any

from mailman.interfaces.bounce import IBounceProcessor
from zope.component import getUtility

from tests.hooks.mailman.bed import transaction


def score_of(mlist: Any, address: str) -> float:
    """Return the bounce score of a member once all bounces are processed."""
    processor = getUtility(IBounceProcessor)
    with transaction():
        for event in processor.unprocessed:
            processor.process_event(event)
    return float(mlist.members.get_member(address).bounce_score)
