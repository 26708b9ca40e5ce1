"""Who is told of members that a post did not reach: once, and without a word of the post."""

from __future__ import annotations

import datetime
import email
from typing import Any

import pytest

from requiretls_lab.laboratory import Laboratory
from requiretls_mailman.notices import described, may_see_domains, one_line
from tests.hooks.mailman.bed import POST, POSTER, Bed, config, transaction
from tests.hooks.mailman.scores import score_of

REACHED, NO_KEYWORD, UNPROVEN = "b@dane-ee.test", "c@no-keyword.test", "d@unproven.test"


@pytest.mark.requirement("8689-6-2")
def test_poster_and_owner_get_one_summary_each(bed: Bed) -> None:
    """Grouped by reason and domain, without addresses, subject or body; the poster sees no domains."""
    members = [f"m{n}@no-keyword.test" for n in range(12)]
    bed.create_list([REACHED, *members, UNPROVEN])

    bed.post(POST, "REQUIRETLS")
    bed.run()

    by_recipient = {message.recipients[0].address: message for message in bed.delivered("sender.test")}
    assert set(by_recipient) == {POSTER, "owner@sender.test"}
    assert len(bed.delivered("sender.test")) == 2
    owner, poster = by_recipient["owner@sender.test"], by_recipient[POSTER]
    for summary in (owner, poster):
        assert b"13 of 14 recipients" in summary.content
        assert b"requiretls-not-offered" in summary.content
        assert b"<post@sender.test>" in summary.content
        assert b"secret" not in summary.content
        assert b"m3@" not in summary.content
        assert not summary.requiretls
    assert b"12  no-keyword.test" in owner.content
    assert b"no-keyword.test" not in poster.content


@pytest.mark.parametrize(
    ("visibility", "member_sees", "stranger_sees"),
    [("public", True, True), ("members", True, False), ("moderators", False, False)],
)
def test_the_poster_sees_domains_if_he_may_see_the_members(
    bed: Bed, visibility: str, member_sees: bool, stranger_sees: bool
) -> None:
    """The roster's own visibility decides."""
    mlist = bed.create_list([REACHED])
    with transaction():
        mlist.member_roster_visibility = type(mlist.member_roster_visibility)[visibility]

    assert may_see_domains(mlist, REACHED) is member_sees
    assert may_see_domains(mlist, POSTER) is stranger_sees


def test_a_poster_who_may_see_them_is_told_the_domains(bed: Bed) -> None:
    """As the owners are."""
    mlist = bed.create_list([NO_KEYWORD])
    with transaction():
        mlist.member_roster_visibility = type(mlist.member_roster_visibility).public

    bed.post(POST, "REQUIRETLS")
    bed.run()

    summaries = [message.content for message in bed.delivered("sender.test")]
    assert [b"1  no-keyword.test" in summary for summary in summaries] == [True, True]


def test_one_summary_although_some_members_are_tried_again(bed: Bed, lab: Laboratory) -> None:
    """The first try tells of both; the retry that fails for good tells nobody."""
    bed.create_list([NO_KEYWORD, REACHED, "s@sts-down.test"])

    bed.post(POST, "REQUIRETLS")
    bed.run()
    assert len(bed.delivered("sender.test")) == 2
    assert all(b"For 1 more" in message.content for message in bed.delivered("sender.test"))

    [waiting] = bed.queued("retry")
    waiting.msgdata["recipients"] = [NO_KEYWORD]
    config.switchboards["out"].enqueue(waiting.msg, waiting.msgdata)
    bed.run()
    assert len(bed.delivered("sender.test")) == 2


def test_who_is_given_up_at_last_is_in_a_summary(bed: Bed) -> None:
    """Mailman drops what it could not send in the retry period without a word; here poster and owner hear."""
    mlist = bed.create_list(["s@sts-down.test"])
    bed.post(POST, "REQUIRETLS")
    bed.run()
    assert bed.delivered("sender.test") == []

    [waiting] = bed.queued("retry")
    waiting.msgdata["deliver_until"] = datetime.datetime(2020, 1, 1)
    config.switchboards["out"].enqueue(waiting.msg, waiting.msgdata)
    bed.run()

    assert len(bed.delivered("sender.test")) == 2
    assert score_of(mlist, "s@sts-down.test") == 0.0
    assert bed.queued("retry") == []


@pytest.mark.parametrize(
    ("field", "sender"),
    [("Auto-Submitted: auto-replied\n", POSTER), ("Precedence: bulk\n", POSTER), ("", "")],
    ids=["auto-submitted", "bulk", "null return path"],
)
def test_attack_two_robots_do_not_tell_each_other_for_ever(bed: Bed, field: str, sender: str) -> None:
    """What was sent by a program gets no summary, and a summary says that a program sent it."""
    bed.create_list([NO_KEYWORD])

    bed.post(field + POST, "REQUIRETLS", sender=sender)
    bed.run()

    [summary] = bed.delivered("sender.test")
    assert [recipient.address for recipient in summary.recipients] == ["owner@sender.test"]
    assert b"Auto-Submitted: auto-generated" in summary.content


def test_mail_to_the_owners_keeps_its_tag_and_is_never_lost_silently(bed: Bed) -> None:
    """Owners who cannot be reached get a notice without content, the author a summary."""
    mlist = bed.create_list([])
    with transaction():
        mlist.subscribe(_address("boss@no-keyword.test"), _owner())

    bed.post(POST, "REQUIRETLS", to="team-owner@lists.test")
    bed.run()

    [original] = [message for message in bed.delivered("sender.test") if message.requiretls]
    assert [recipient.address for recipient in original.recipients] == ["owner@sender.test"]
    [notice] = bed.delivered("no-keyword.test")
    assert b"secret" not in notice.content
    [summary] = [message for message in bed.delivered("sender.test") if not message.requiretls]
    assert [recipient.address for recipient in summary.recipients] == [POSTER]


def _address(email: str) -> Any:
    from mailman.interfaces.usermanager import IUserManager
    from zope.component import getUtility

    return getUtility(IUserManager).create_address(email)


def _owner() -> Any:
    from mailman.interfaces.member import MemberRole

    return MemberRole.owner


def test_attack_a_folded_message_id_adds_no_line_to_log_or_notice() -> None:
    """A stranger folds and colours it as he likes."""
    post = email.message_from_bytes(b"Message-ID: <a@b>\n\tNov 24 22:00 (1) forged \x1b[2J\n\nbody\n")

    assert one_line(post, "Message-ID") == r"<a@b> Nov 24 22:00 (1) forged \x1b[2J"
    assert described(post) == f"    Message-ID: {one_line(post, 'Message-ID')}\n"
