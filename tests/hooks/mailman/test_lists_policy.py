"""What the section [mailman] of the settings lets a list do."""

from __future__ import annotations

from typing import Any

import pytest
from mailman.app import moderator
from mailman.interfaces.action import Action
from mailman.interfaces.archiver import ArchivePolicy
from mailman.interfaces.member import DeliveryMode
from mailman.interfaces.requests import IListRequests

from tests.hooks.mailman.bed import LIST, POST, Bed, config, transaction

MEMBER, NO_KEYWORD = "b@dane-ee.test", "c@no-keyword.test"


def use(bed: Bed, **policy: str) -> None:
    """Give the list a policy of its own, and no other list."""
    bed.use(mailman={"lists": {LIST: policy}})


def test_require_always_demands_it_for_untagged_posts(bed: Bed) -> None:
    """And tells poster and owner whom that excludes."""
    use(bed, require="always")
    bed.create_list([MEMBER, NO_KEYWORD])

    bed.post()
    bed.run()

    assert bed.delivered("dane-ee.test")[0].requiretls
    assert bed.delivered("no-keyword.test") == []
    # The policy is not for notices without content: they have to arrive.
    assert [summary.requiretls for summary in bed.delivered("sender.test")] == [False, False]


def test_require_never_sends_tagged_posts_without(bed: Bed) -> None:
    """The operator's word, for this list only."""
    use(bed, require="never")
    bed.create_list([NO_KEYWORD])
    bed.create_list(["d@sticky-ehlo.test"], "other@lists.test")

    bed.post(POST, "REQUIRETLS", to=(LIST, "other@lists.test"))
    bed.run()

    assert [message.requiretls for message in bed.delivered("no-keyword.test")] == [False]
    assert bed.delivered("sticky-ehlo.test") == []


def test_tls_required_no_is_taken_out_where_the_list_ignores_it(bed: Bed) -> None:
    """Or the next hop would follow it."""
    use(bed, tls_required_no="ignore")
    bed.create_list([MEMBER, "w@wrong-tlsa.test"])

    bed.post("TLS-Required: No\n" + POST)
    bed.run()

    assert b"TLS-Required" not in bed.delivered("dane-ee.test")[0].content
    assert bed.delivered("wrong-tlsa.test") == []


def test_members_who_cannot_be_reached_get_a_notice_without_content(bed: Bed) -> None:
    """With a link to the archive, and without each other's addresses."""
    use(bed, unreachable="notice")
    bed.create_list([MEMBER, NO_KEYWORD, "d@no-keyword.test"])

    bed.post(POST.replace("\n\n", "\nArchived-At: <https://evil.test/x>\n\n", 1), "REQUIRETLS")
    bed.run()

    notices = bed.delivered("no-keyword.test")
    assert sorted(r.address for notice in notices for r in notice.recipients) == [
        NO_KEYWORD,
        "d@no-keyword.test",
    ]
    for notice in notices:
        assert not notice.requiretls
        assert b"secret" not in notice.content
        assert b"To: team@lists.test" in notice.content
        assert b"evil.test" not in notice.content


def test_attack_a_server_that_refuses_the_notice_too_gets_no_other(bed: Bed) -> None:
    """Whatever it answers to a notice without content, nothing follows."""
    use(bed, unreachable="notice")
    bed.create_list([NO_KEYWORD])
    host = bed.lab.destination("mx.no-keyword.test")
    host.script = host.script.__class__(requiretls=host.script.requiretls, replies={"RCPT": "550 5.7.30 no"})

    bed.post(POST, "REQUIRETLS")
    bed.run()

    assert bed.delivered("no-keyword.test") == []
    assert len(bed.delivered("sender.test")) == 2


def test_the_notice_has_the_link_that_mailman_made(bed: Bed) -> None:
    """A member reads the post where it is archived."""
    use(bed, unreachable="notice")
    bed.create_list([NO_KEYWORD])
    bed.post(POST, "REQUIRETLS")
    bed.run("in", "pipeline")
    [entry] = bed.queued("out")
    entry.msg["Archived-At"] = "<https://lists.test/archive/abc>"

    config.switchboards["out"].enqueue(entry.msg, entry.msgdata)
    bed.run()

    assert b"https://lists.test/archive/abc" in bed.delivered("no-keyword.test")[0].content


def test_a_post_that_does_not_reach_everybody_is_held_with_the_count(bed: Bed) -> None:
    """And goes to those who can be reached once a moderator says so."""
    use(bed, unreachable="hold")
    mlist = bed.create_list([MEMBER, NO_KEYWORD, "u@unproven.test"])

    bed.post(POST, "REQUIRETLS")
    bed.run()

    assert bed.delivered("dane-ee.test") == []
    [request] = IListRequests(mlist).held_requests
    _, data = IListRequests(mlist).get_request(request.id)
    assert "reaches 1 of 3 members" in data["_mod_reason"]

    with transaction():
        moderator.handle_message(mlist, request.id, Action.accept)
    bed.run()
    assert bed.delivered("dane-ee.test")[0].requiretls


@pytest.mark.parametrize(
    ("members", "options"),
    [((MEMBER,), ("REQUIRETLS",)), ((NO_KEYWORD,), ())],
    ids=["everybody can be reached", "the post asks nothing"],
)
def test_nothing_is_held_without_need(bed: Bed, members: tuple[str, ...], options: tuple[str, ...]) -> None:
    """A moderator is asked only where there is a choice."""
    use(bed, unreachable="hold")
    mlist = bed.create_list(members)

    bed.post(POST, *options)
    bed.run()

    assert not list(IListRequests(mlist).held_requests)


def test_a_digest_leaves_tagged_posts_out_where_the_list_says_so(bed: Bed) -> None:
    """The others are in it, untagged."""
    use(bed, digest="omit")
    mlist = bed.create_list([NO_KEYWORD], digest_size_threshold=0)
    with transaction():
        mlist.members.get_member(NO_KEYWORD).preferences.delivery_mode = DeliveryMode.plaintext_digests

    bed.post(POST, "REQUIRETLS")
    bed.post(POST.replace("post@", "two@").replace("secret body", "open body"))
    bed.run()
    _send_digest(mlist)
    bed.run()

    [digest] = bed.delivered("no-keyword.test")
    assert b"the open body" in digest.content
    assert b"the secret body" not in digest.content


def _send_digest(mlist: Any) -> None:
    from mailman.app.digests import maybe_send_digest_now

    with transaction():
        maybe_send_digest_now(mlist, force=True)


@pytest.mark.parametrize(
    ("options", "policy", "posted"),
    [(("REQUIRETLS",), "drop", 0), (("REQUIRETLS",), "send", 1), ((), "drop", 1)],
    ids=["tagged", "tagged, and the list sends all the same", "untagged"],
)
def test_a_newsgroup_gets_no_tagged_post(
    bed: Bed, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], policy: str, posted: int
) -> None:
    """Unless the list's policy says so."""
    sent: list[object] = []
    monkeypatch.setattr("mailman.runners.nntp.nntplib.NNTP", lambda *a, **k: _NewsServer(sent))
    monkeypatch.setattr("mailman.runners.nntp.subprocess.run", lambda *a, **k: _Finished())
    use(bed, nntp=policy)
    bed.create_list([], gateway_to_news=True, linked_newsgroup="comp.test")

    bed.post(POST, *options)
    bed.run("in", "pipeline")
    bed.run("nntp")

    assert len(sent) == posted


class _Finished:
    returncode = 0


class _NewsServer:
    def __init__(self, sent: list[object]) -> None:
        self._sent = sent

    def post(self, article: object) -> None:
        self._sent.append(article)

    def quit(self) -> None:
        pass


@pytest.mark.parametrize(("policy", "archived"), [("keep", 1), ("omit", 0)])
def test_archivers_get_tagged_posts_as_the_list_says(
    bed: Bed, monkeypatch: pytest.MonkeyPatch, policy: str, archived: int
) -> None:
    """HyperKitty is one of them: it takes mail by HTTP."""
    found: list[str] = []
    archiver = "mailman.archiving.prototype.Prototype.archive_message"
    monkeypatch.setattr(archiver, lambda archiver, mlist, msg: found.append(msg["subject"]))
    use(bed, archive=policy)
    bed.create_list([], archive_policy=ArchivePolicy.private)
    config.push("archiving", "[archiver.prototype]\nenable: yes\n")
    try:
        bed.post(POST, "REQUIRETLS")
        bed.run()
    finally:
        config.pop("archiving")

    assert len(found) == archived


@pytest.mark.parametrize(
    ("rule", "options", "hit"),
    [
        ("requiretls", ("REQUIRETLS",), True),
        ("requiretls", (), False),
        ("no-requiretls", ("REQUIRETLS",), False),
        ("no-requiretls", (), True),
    ],
)
def test_rules_tell_tagged_posts_from_others(
    bed: Bed, rule: str, options: tuple[str, ...], hit: bool
) -> None:
    """For custom chains; whatever the list's policy makes of the post later."""
    use(bed, require="always")
    mlist = bed.create_list()

    bed.post(POST, *options)

    [entry] = bed.queued("in")
    assert config.rules[rule].check(mlist, entry.msg, entry.msgdata) is hit
