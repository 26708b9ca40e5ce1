"""Notices without content, which may travel without REQUIRETLS: to poster, owners and unreached members."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from mailman.email.message import OwnerNotification, UserNotification

from requiretls_mailman.kept import KEY, REDACTED_KEY
from requiretls_plugin.observe.log import remark
from requiretls_plugin.requirement import Requirement

_WITHOUT_TAG = {KEY: Requirement.UNSTATED.value, REDACTED_KEY: True}


def send_poster_summary(mlist: Any, poster: str, about: str, text: str) -> None:
    """Tell the author of a post; *about* names the post without quoting it."""
    subject = f"Your message to {mlist.display_name} did not reach everybody"
    opening = f"This is about your message to {mlist.posting_address}\n{about}\n"
    _send(mlist, UserNotification(poster, mlist.owner_address, subject, opening + text))


def send_owner_summary(mlist: Any, about: str, text: str) -> None:
    """Tell the owners of the list, or the site owner if it has none."""
    subject = f"{mlist.display_name}: a message did not reach everybody"
    opening = f"This is about a message to {mlist.posting_address}\n{about}\n"
    closing = (
        "\nNobody's bounce score is affected. Who can be reached today is shown by\n\n"
        f"    mailman requiretls audit {mlist.posting_address}\n"
    )
    roster = mlist.owners if mlist.owners.member_count else None
    _send(mlist, OwnerNotification(mlist, subject, opening + text + closing, roster=roster))


def send_content_free(mlist: Any, recipients: Collection[str], link: str | None) -> None:
    """Tell *recipients* that there was something for them; they do not learn of each other."""
    where = f"You can read it here:\n\n    {link}\n" if link else "Ask the list's owner for it.\n"
    text = (
        f"There is a message from the mailing list {mlist.posting_address} that\n"
        "may travel only where it is protected all the way (REQUIRETLS). Your mail\n"
        f"provider does not offer such a way, so it was not sent to you.\n\n{where}"
    )
    subject = f"A message from {mlist.display_name} that could not be sent to you"
    notice = UserNotification(mlist.posting_address, mlist.bounces_address, subject, text)
    notice.recipients = set(recipients)
    _send(mlist, notice)


def _send(mlist: Any, notice: Any) -> None:
    """Send *notice* without a tag, whatever caused it; nobody who answers by himself should answer it."""
    notice["Auto-Submitted"] = "auto-generated"
    notice.send(mlist, **_WITHOUT_TAG)


def may_see_domains(mlist: Any, poster: str) -> bool:
    """Return whether *poster* may learn at which domains members are."""
    visibility = mlist.member_roster_visibility.name
    if visibility == "public":
        return True
    return visibility == "members" and mlist.members.get_member(poster) is not None


def archive_link(msg: Any) -> str | None:
    """Return where Mailman says that *msg* is archived, None if nowhere that a member could look."""
    for value in msg.get_all("archived-at", []):
        link = str(value).strip().strip("<>")
        if link.startswith(("https://", "http://")) and link.isascii() and link.isprintable():
            return link
    return None


def one_line(msg: Any, name: str) -> str:
    """Return a header field of *msg* as one printable line, however it was folded; "" without it."""
    return remark(" ".join(str(msg.get(name, "")).split()))


def described(msg: Any, names: Sequence[str] = ("Date", "Message-ID")) -> str:
    """Return lines that tell a post from others and quote nothing of it."""
    values = {name: one_line(msg, name) for name in names}
    return "".join(f"    {name}: {value}\n" for name, value in values.items() if value)
