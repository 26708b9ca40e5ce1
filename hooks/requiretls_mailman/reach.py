"""Whom a list reaches under REQUIRETLS, asked before a post goes out and by `mailman requiretls audit`."""

from __future__ import annotations

from typing import Any

from mailman.interfaces.member import DeliveryStatus

from requiretls_mailman.adapter import Adapter
from requiretls_plugin.audit import Subscribers, audit
from requiretls_plugin.errors import EngineStopped


def subscribers_of(mlist: Any) -> Subscribers:
    """Return the members who get mail: by post or as a digest, their delivery not disabled."""
    members = [*mlist.regular_members.members, *mlist.digest_members.members]
    enabled = [member for member in members if member.delivery_status is DeliveryStatus.enabled]
    return Subscribers.of(sorted({member.address.email for member in enabled}))


def reason_to_hold(adapter: Adapter, mlist: Any, msgdata: Any) -> str | None:
    """Return what the moderator is told of a post under REQUIRETLS, None if it may go to everybody.

    A post that a moderator accepted goes, whomever it reaches.
    """
    if msgdata.get("moderator_approved"):
        return None
    try:
        found = adapter.run(audit(subscribers_of(mlist), adapter.engine.check), adapter.patience)
    except (TimeoutError, EngineStopped):
        return "It could not be found out whom this message reaches under REQUIRETLS"
    return f"This message {found}" if found.unreachable else None
