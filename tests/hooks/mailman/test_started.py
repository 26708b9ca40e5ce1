"""One run of a Mailman that was started as its operator starts it, with the example mailman.cfg."""

from __future__ import annotations

from pathlib import Path

import pytest

from requiretls_lab.laboratory import Laboratory
from tests.hooks.mailman.started import StartedMailman, until

LIST = "team@lists.test"
REACHED, NO_KEYWORD, DIGEST = "b@dane-ee.test", "c@no-keyword.test", "d@sts.test"


def post(author: str, word: str) -> str:
    """Return a post."""
    return (
        f"From: {author}\nTo: {LIST}\nSubject: about {word}\nMessage-ID: <{word}@sender.test>\n\n"
        f"the {word} body\n"
    )


def contents(lab: Laboratory, host: str) -> list[bytes]:
    """Return what a mail server accepted."""
    return [message.content for message in lab.destination(host).messages]


@pytest.mark.requirement("8689-4.1-1", "8689-4.1-6", "8689-6-1")
def test_a_list_keeps_the_promise_from_lmtp_to_every_member(lab: Laboratory, tmp_path: Path) -> None:
    """Posts, moderation by REST, a digest, and a delivery in whose middle the runner is killed."""
    mailman = StartedMailman(tmp_path, lab)
    members = tmp_path / "members"
    members.write_text(f"{REACHED}\n{NO_KEYWORD}\n")
    digest = tmp_path / "digest"
    digest.write_text(f"{DIGEST}\n")
    mailman.command("create", "-d", "-o", "owner@sender.test", LIST)
    mailman.command("addmembers", "-W", str(members), "team.lists.test")
    mailman.command("addmembers", "-W", "-d", "mime", str(digest), "team.lists.test")

    with mailman.running():
        try:
            _post_reaches_who_can_be_reached(mailman, lab)
            _rejection_by_rest_is_under_requiretls(mailman, lab)
            _accepted_post_keeps_its_tag(mailman, lab)
            _killed_runner_delivers_after_all(mailman, lab)
            _digest_is_under_requiretls(mailman, lab)
        except BaseException:
            print(mailman.log)
            raise
    assert contents(lab, "mx.no-keyword.test") == []


def _post_reaches_who_can_be_reached(mailman: StartedMailman, lab: Laboratory) -> None:
    mailman.post(REACHED, LIST, post(REACHED, "first"), "REQUIRETLS")
    until(lambda: contents(lab, "mx.dane-ee.test"))

    # The copy, and the summary to its author, who is a member.
    until(lambda: len(contents(lab, "mx.dane-ee.test")) == 2)
    copy, summary = lab.destination("mx.dane-ee.test").messages
    assert copy.requiretls
    assert b"the first body" in copy.content
    assert b"1 of 2 recipients" in summary.content
    until(lambda: contents(lab, "mx.sender.test"))
    found = mailman.rest(f"lists/{LIST}/member/{NO_KEYWORD}")
    assert found["bounce_score"] == 0
    lab.reset()


def _rejection_by_rest_is_under_requiretls(mailman: StartedMailman, lab: Laboratory) -> None:
    mailman.post("anne@sender.test", LIST, post("anne@sender.test", "rejected"), "REQUIRETLS")
    until(lambda: mailman.rest(f"lists/{LIST}/held").get("entries"))
    mailman.rest(f"lists/{LIST}/held/{_held(mailman)}", action="reject", comment="not now")

    def rejections() -> list[bool]:
        messages = lab.destination("mx.sender.test").messages
        return [message.requiretls for message in messages if b"not now" in message.content]

    until(rejections)
    assert rejections() == [True]


def _accepted_post_keeps_its_tag(mailman: StartedMailman, lab: Laboratory) -> None:
    lab.reset()
    mailman.post("anne@sender.test", LIST, post("anne@sender.test", "accepted"), "REQUIRETLS")
    until(lambda: mailman.rest(f"lists/{LIST}/held").get("entries"))
    mailman.rest(f"lists/{LIST}/held/{_held(mailman)}", action="accept")
    until(lambda: contents(lab, "mx.dane-ee.test"))
    assert lab.destination("mx.dane-ee.test").messages[0].requiretls
    lab.reset()


def _held(mailman: StartedMailman) -> object:
    [entry] = mailman.rest(f"lists/{LIST}/held")["entries"]
    return entry["request_id"]


def _killed_runner_delivers_after_all(mailman: StartedMailman, lab: Laboratory) -> None:
    host = lab.destination("mx.dane-ee.test")
    lab.stop(host)  # ends the sessions that are kept for later
    lab.start(host)
    script = host.script
    host.script = script.__class__(delay=2.0)
    mailman.post(REACHED, LIST, post(REACHED, "interrupted"), "REQUIRETLS")
    until(lambda: mailman.waiting("out", "bak"))
    mailman.kill("out")
    host.script = script
    assert contents(lab, "mx.dane-ee.test") == []

    until(lambda: contents(lab, "mx.dane-ee.test"))
    assert host.messages[0].requiretls
    assert b"the interrupted body" in host.messages[0].content
    lab.reset()


def _digest_is_under_requiretls(mailman: StartedMailman, lab: Laboratory) -> None:
    mailman.command("digests", "-s", "-l", "team.lists.test")
    until(lambda: contents(lab, "mx.sts.test"))
    [digest] = lab.destination("mx.sts.test").messages
    assert digest.requiretls
    assert b"the first body" in digest.content
    assert b"X-RequireTLS" not in digest.content


def test_the_example_configuration_is_complete(lab: Laboratory, tmp_path: Path) -> None:
    """`mailman requiretls check` finds nothing to complain about."""
    output = StartedMailman(tmp_path, lab).command("requiretls", "check")
    assert "0 problems" in output
