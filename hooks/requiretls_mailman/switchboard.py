"""Mailman's queues, which from now on see to it that no message enters without its tag."""

from __future__ import annotations

from typing import Any

from mailman.config import config
from mailman.core.switchboard import Switchboard
from mailman.interfaces.configuration import ConfigurationUpdatedEvent
from zope import event

from requiretls_mailman.cause import cause
from requiretls_mailman.kept import has_tag, keep_tag, mark, tag_in, tag_on
from requiretls_plugin.reorigination import inherited
from requiretls_plugin.requirement import Requirement


class TaggingSwitchboard(Switchboard):
    """A queue. A message without a tag gets that of what it contains, or of what it is sent for."""

    def enqueue(self, _msg: Any, _metadata: Any = None, **_kws: Any) -> Any:
        """Put a message and its metadata into the queue."""
        metadata = {**(_metadata or {}), **_kws}
        if not has_tag(metadata):
            tag = inherited(cause(), own=tag_on(_msg))
            if tag.requirement is not Requirement.UNSTATED:
                keep_tag(metadata, tag)
        if has_tag(metadata):
            mark(_msg, tag_in(metadata))
        return super().enqueue(_msg, metadata)


def tag_all_queues() -> None:
    """Replace every queue by one that tags, now and whenever Mailman makes them anew."""
    _replace()
    if _after_update not in event.subscribers:
        event.subscribers.append(_after_update)


def _after_update(update: object) -> None:
    if isinstance(update, ConfigurationUpdatedEvent):
        _replace()


def _replace() -> None:
    for name, board in config.switchboards.items():
        if not isinstance(board, TaggingSwitchboard):
            config.switchboards[name] = TaggingSwitchboard(name, board.queue_directory)
