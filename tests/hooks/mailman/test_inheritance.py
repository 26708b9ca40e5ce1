"""Every message that Mailman sends because of a tagged one is held to the same (RFC 8689 section 6)."""

from __future__ import annotations

from typing import Any

import pytest
from mailman.app import moderator
from mailman.interfaces.action import Action
from mailman.interfaces.archiver import ArchivePolicy
from mailman.interfaces.autorespond import ResponseAction
from mailman.interfaces.bounce import UnrecognizedBounceDisposition
from mailman.interfaces.requests import IListRequests

from requiretls_lab.domains import Domain, MailHost
from requiretls_lab.smtp_script import Offer, Script
from tests.hooks.mailman.bed import POST, POSTER, Bed, config, transaction

MEMBER = "b@dane-ee.test"
TAGGED = ("REQUIRETLS",)


def moderated(bed: Bed, **attributes: Any) -> Any:
    """Return a list that holds what its poster sends."""
    mlist = bed.create_list([MEMBER], **attributes)
    with transaction():
        mlist.nonmembers.get_member(POSTER).moderation_action = Action.hold
    return mlist


def held_request(mlist: Any) -> int:
    """Return the id of the one held message."""
    [request] = IListRequests(mlist).held_requests
    return int(request.id)


def tags(bed: Bed, queue: str = "virgin") -> list[str | None]:
    """Return and clear the tags of what waits in a queue."""
    return [entry.msgdata.get("requiretls") for entry in bed.queued(queue)]


@pytest.mark.requirement("8689-6-1")
def test_a_held_post_is_announced_under_requiretls_to_author_and_moderators(bed: Bed) -> None:
    """The moderators' notice has the whole post in it."""
    moderated(bed, admin_immed_notify=True, respond_to_post_requests=True)

    bed.post(POST, *TAGGED)
    bed.run("in")

    assert tags(bed) == ["required", "required"]


def test_an_accepted_post_leaves_with_the_tag_it_was_held_with(bed: Bed) -> None:
    """The moderation database keeps it."""
    mlist = moderated(bed)
    bed.post(POST, *TAGGED)
    bed.run("in")

    with transaction():
        moderator.handle_message(mlist, held_request(mlist), Action.accept)
    bed.run()

    assert bed.delivered("dane-ee.test")[0].requiretls


@pytest.mark.parametrize("decision", ["reject", "forward"])
def test_a_moderators_decision_sends_under_the_held_posts_tag(bed: Bed, decision: str) -> None:
    """As by the REST API, in a process that handles no message."""
    mlist = moderated(bed)
    bed.post(POST, *TAGGED)
    bed.run("in")

    with transaction():
        if decision == "reject":
            moderator.handle_message(mlist, held_request(mlist), Action.reject)
        else:
            moderator.handle_message(mlist, held_request(mlist), Action.defer, forward=["x@sts.test"])

    assert tags(bed) == ["required"]


def test_a_decision_leaves_nothing_behind_for_the_next_one(bed: Bed) -> None:
    """An untagged post decided afterwards is answered without a tag."""
    mlist = moderated(bed)
    for text, options in ((POST, TAGGED), (POST.replace("post@", "two@"), ())):
        bed.post(text, *options)
        bed.run("in")
        with transaction():
            moderator.handle_message(mlist, held_request(mlist), Action.reject)

    assert tags(bed) == ["required", None]


@pytest.mark.requirement("8689-6-1", "8689-5-3")
def test_a_rejected_post_comes_back_as_headers_only(bed: Bed) -> None:
    """Under REQUIRETLS, and without a line of its body."""
    mlist = bed.create_list([MEMBER])
    with transaction():
        mlist.nonmembers.get_member(POSTER).moderation_action = Action.reject

    bed.post(POST, *TAGGED)
    bed.run()

    [rejection] = bed.delivered("sender.test")
    assert rejection.requiretls
    assert b"a secret subject" in rejection.content
    assert b"the secret body" not in rejection.content


def test_an_untagged_post_is_rejected_in_full(bed: Bed) -> None:
    """Mailman's own behaviour stays where nothing was asked."""
    mlist = bed.create_list([MEMBER])
    with transaction():
        mlist.nonmembers.get_member(POSTER).moderation_action = Action.reject

    bed.post()
    bed.run()

    assert b"the secret body" in bed.delivered("sender.test")[0].content


def test_acknowledgement_and_autoresponse_are_under_requiretls(bed: Bed) -> None:
    """Both quote the subject."""
    mlist = bed.create_list(
        [MEMBER, "a@sts.test"],
        autorespond_postings=ResponseAction.respond_and_continue,
        autoresponse_postings_text="Thank you",
    )
    with transaction():
        mlist.members.get_member("a@sts.test").preferences.acknowledge_posts = True
        mlist.members.get_member("a@sts.test").moderation_action = Action.accept

    bed.post(POST.replace(POSTER, "a@sts.test"), *TAGGED, sender="a@sts.test")
    bed.run("in", "pipeline")

    assert tags(bed) == ["required", "required"]


def test_the_results_of_a_command_are_under_requiretls(bed: Bed) -> None:
    """A reply to LIST-request."""
    bed.create_list([MEMBER])

    bed.post(POST.replace("secret subject", "help"), *TAGGED, to="team-request@lists.test")
    bed.run("command")

    assert tags(bed) == ["required"]


def test_a_confirmation_that_is_asked_for_is_under_requiretls(bed: Bed) -> None:
    """A subscription request by mail."""
    bed.create_list([MEMBER])

    bed.post(POST, *TAGGED, to="team-join@lists.test")
    bed.run("command")

    assert set(tags(bed)) == {"required"}


def test_what_tls_required_no_caused_says_so(bed: Bed) -> None:
    """The report about a broken server has to get back past it."""
    bed.create_list([MEMBER])

    bed.post("TLS-Required: No\n" + POST, to="team-request@lists.test")
    bed.run()

    [reply] = bed.delivered("sender.test")
    assert reply.content.count(b"TLS-Required: No") == 1


def test_an_unrecognized_bounce_is_forwarded_under_its_own_tag(bed: Bed) -> None:
    """It has the whole message attached."""
    bed.create_list([MEMBER], forward_unrecognized_bounces_to=UnrecognizedBounceDisposition.site_owner)

    bed.post(POST, *TAGGED, to="team-bounces@lists.test", sender="")
    bed.run("bounces")

    assert tags(bed) == ["required"]


def test_a_probe_with_a_tagged_bounce_in_it_is_under_requiretls(bed: Bed) -> None:
    """It is sent later, while no message is handled; the stored bounce remembers."""
    from mailman.app.bounces import send_probe
    from mailman.interfaces.messages import IMessageStore
    from zope.component import getUtility

    mlist = bed.create_list([MEMBER])
    bed.post(POST, *TAGGED, to="team-bounces@lists.test", sender="")
    [bounce] = bed.queued("bounces")
    with transaction():
        getUtility(IMessageStore).add(bounce.msg)
    stored = getUtility(IMessageStore).get_message_by_id("<post@sender.test>")

    with transaction():
        send_probe(mlist.members.get_member(MEMBER), msg=stored, message_id="<post@sender.test>")

    assert tags(bed) == ["required"]


def test_what_mailman_makes_of_a_rejected_tagged_copy_remembers_the_tag(bed: Bed) -> None:
    """Its own bounce quotes what the server said, which may quote the message."""
    from mailman.interfaces.messages import IMessageStore
    from zope.component import getUtility

    from requiretls_mailman.kept import tag_on

    bed.create_list([MEMBER])
    host = bed.lab.destination("mx.dane-ee.test")
    host.script = host.script.__class__(replies={"RCPT": "550 5.1.1 nobody here"})
    bed.post(POST, *TAGGED)
    bed.run()

    reports = [msg for msg in getUtility(IMessageStore).messages if msg["subject"] == "SMTP Delivery Failure"]
    assert [tag_on(report).requirement.value for report in reports] == ["required"]


def test_a_notice_that_cannot_go_is_replaced_by_one_without_content(bed: Bed) -> None:
    """Moderators learn that there is something to do, though the way to them lacks REQUIRETLS."""
    moderated(bed, admin_immed_notify=True)
    bed.lab.publish(Domain("lists.test", (MailHost(tlsa=("3 1 1",), script=Script(requiretls=Offer.NEVER)),)))

    bed.post(POST, *TAGGED)
    bed.run()

    [notice] = bed.delivered("lists.test")
    assert [recipient.address for recipient in notice.recipients] == ["team-owner@lists.test"]
    assert b"secret" not in notice.content
    assert not notice.requiretls


def test_a_copy_for_the_mail_archive_is_under_requiretls(bed: Bed) -> None:
    """That archiver is reached by SMTP."""
    bed.create_list([], archive_policy=ArchivePolicy.public)
    config.push("archiving", "[archiver.mail_archive]\nenable: yes\n")
    try:
        bed.post(POST, *TAGGED)
        bed.run("in", "pipeline")
        bed.queued("out")
        bed.run("archive")
    finally:
        config.pop("archiving")

    assert tags(bed, "out") == ["required"]


def test_shunted_mail_keeps_its_tag(bed: Bed) -> None:
    """A message that made a runner fail comes back as it was."""
    bed.create_list([MEMBER])
    bed.post(POST, *TAGGED)
    [entry] = bed.queued("in")
    entry.msgdata["listid"] = "gone.lists.test"

    config.switchboards["in"].enqueue(entry.msg, entry.msgdata)
    bed.run("in")

    assert tags(bed, "shunt") == ["required"]


def test_mail_that_no_message_caused_is_untagged(bed: Bed) -> None:
    """A welcome message after a tagged post does not inherit from it."""
    mlist = bed.create_list([MEMBER])
    bed.post(POST, *TAGGED)
    bed.run()

    from mailman.app.notifications import send_welcome_message

    with transaction():
        send_welcome_message(mlist, mlist.members.get_member(MEMBER), mlist.preferred_language)

    assert tags(bed) == [None]
