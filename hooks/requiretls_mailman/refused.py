"""What happens when REQUIRETLS kept recipients from getting a message: who is told, and when.

Poster and owners get one summary for each post. A notice of Mailman's own that
could not go is replaced by one without content, as members get one where the
list's policy says so.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from mailman.utilities.datetime import now

from requiretls_mailman.adapter import Adapter
from requiretls_mailman.kept import REDACTED_KEY
from requiretls_mailman.notices import (
    archive_link,
    described,
    may_see_domains,
    one_line,
    send_content_free,
    send_owner_summary,
    send_poster_summary,
)
from requiretls_plugin.delivery.outcome import Disposition, Outcome
from requiretls_plugin.observe.log import shown
from requiretls_plugin.refusal_summary import summary_text
from requiretls_plugin.tls_refusal import is_tls_refusal, waits_for_tls

log = logging.getLogger("mailman.bounce")

TOLD_KEY = "requiretls_told"
"""Marks a message in the retry queue of whose recipients the summary was sent."""


class Kind(enum.Enum):
    """What a message is to Mailman."""

    POST = "post"
    TO_OWNERS = "message to the owners"
    DIGEST = "digest"
    NOTICE = "notice"

    @classmethod
    def of(cls, msgdata: Any) -> Kind:
        """Return it, as the metadata tell."""
        if msgdata.get("reduced_list_headers"):
            return cls.NOTICE
        if msgdata.get("isdigest"):
            return cls.DIGEST
        return cls.TO_OWNERS if msgdata.get("to_owner") else cls.POST


def report_refusals(
    adapter: Adapter, mlist: Any, msg: Any, msgdata: Any, outcomes: Sequence[Outcome]
) -> None:
    """Tell whom it concerns of the recipients that REQUIRETLS kept from getting *msg*."""
    refused = [outcome for outcome in outcomes if is_tls_refusal(outcome)]
    waiting = [outcome for outcome in outcomes if waits_for_tls(outcome)]
    if _gives_up(msgdata, outcomes):
        refused, waiting = refused + waiting, []
    for outcome in refused:
        post, to = one_line(msg, "Message-ID"), shown(str(outcome.recipient))
        log.info("%s not sent to %s, no bounce: %s", post, to, outcome.reply)
    if not refused or mlist is None or msgdata.get(REDACTED_KEY):
        return
    kind = Kind.of(msgdata)
    replaced = kind in (Kind.NOTICE, Kind.TO_OWNERS)
    if replaced or adapter.policy_of(mlist).unreachable == "notice":
        link = None if replaced else archive_link(msg)
        send_content_free(mlist, {str(outcome.recipient) for outcome in refused}, link)
    if kind is not Kind.NOTICE and not msgdata.get(TOLD_KEY):
        _summarize(adapter, mlist, msg, msgdata, (refused, waiting, len(outcomes)))
        msgdata[TOLD_KEY] = True


def _summarize(
    adapter: Adapter,
    mlist: Any,
    msg: Any,
    msgdata: Any,
    result: tuple[Sequence[Outcome], Sequence[Outcome], int],
) -> None:
    refused, waiting, total = result
    kind, about = Kind.of(msgdata), described(msg)

    def text(*, name_domains: bool = True) -> str:
        hostname = adapter.settings.hostname
        return summary_text(refused, waiting, total=total, hostname=hostname, name_domains=name_domains)

    if kind is not Kind.TO_OWNERS:
        send_owner_summary(mlist, about, text())
    poster = msgdata.get("original_sender") or msg.sender
    if kind is not Kind.DIGEST and poster and not _sent_by_a_program(msg):
        send_poster_summary(mlist, poster, about, text(name_domains=may_see_domains(mlist, poster)))


def _sent_by_a_program(msg: Any) -> bool:
    """Return whether nobody is to be told: who answers by himself would answer the summary, too.

    Mailman added its own `Precedence: list` by now.
    """
    values = {str(msg.get(name, "")).strip().lower() for name in ("Precedence", "X-MailFrom")}
    return str(msg.get("Auto-Submitted", "no")).strip().lower() != "no" or bool(
        values & {"bulk", "junk", "auto_reply", "<>"}
    )


def _gives_up(msgdata: Any, outcomes: Sequence[Outcome]) -> bool:
    """Return whether Mailman discards the message for the recipients deferred now.

    It does so once the retry period is over, without telling anybody.
    """
    deferred = sum(1 for outcome in outcomes if outcome.disposition is Disposition.DEFERRED)
    until: datetime = msgdata.get("deliver_until", datetime.max)
    return deferred > 0 and deferred == msgdata.get("last_recip_count", 0) and now() > until
