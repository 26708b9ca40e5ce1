"""Digests: what they ask is what the posts in them asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mailman.app.digests import maybe_send_digest_now
from mailman.app.inject import inject_text
from mailman.interfaces.member import DeliveryMode

from requiretls_mailman.digests import tag_of_digest
from requiretls_plugin.requirement import Requirement
from tests.hooks.mailman.bed import POST, Bed, transaction

MEMBER = "b@dane-ee.test"
TAGGED = ("REQUIRETLS",)


def digest_list(bed: Bed, **attributes: Any) -> Any:
    """Return a list with one subscriber to digests."""
    mlist = bed.create_list([MEMBER], digest_size_threshold=0, **attributes)
    with transaction():
        mlist.members.get_member(MEMBER).preferences.delivery_mode = DeliveryMode.mime_digests
    return mlist


def send_digest(mlist: Any) -> None:
    """Send what was collected, as cron does."""
    with transaction():
        maybe_send_digest_now(mlist, force=True)


@pytest.mark.requirement("8689-6-1")
@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (TAGGED, (), True),
        ((), TAGGED, True),
        ((), (), False),
    ],
    ids=["tagged first", "tagged second", "none tagged"],
)
def test_one_tagged_post_tags_the_digest(
    bed: Bed, first: tuple[str, ...], second: tuple[str, ...], expected: bool
) -> None:
    """And the field that says so in the mailbox stays inside."""
    mlist = digest_list(bed)

    bed.post(POST, *first)
    bed.post(POST.replace("post@", "two@"), *second)
    bed.run()
    send_digest(mlist)
    bed.run()

    [digest] = bed.delivered("dane-ee.test")
    assert digest.requiretls is expected
    assert digest.content.count(b"the secret body") == 2
    assert b"X-RequireTLS-Stored" not in digest.content


def test_attack_a_forged_field_does_not_untag_a_digest(bed: Bed) -> None:
    """Nor does one put into the queue past LMTP."""
    mlist = digest_list(bed)
    forged = "X-RequireTLS-Stored: requirement=optional from= to=a@b.test arrived=1\n"

    bed.post(forged + POST, *TAGGED)
    inject_text(mlist, forged + POST.replace("post@", "two@"))
    bed.run()
    send_digest(mlist)
    bed.run()

    assert bed.delivered("dane-ee.test")[0].requiretls


def test_attack_a_forged_field_does_not_relax_a_digest(bed: Bed) -> None:
    """A post that asks nothing cannot say by it that TLS is not required."""
    mlist = digest_list(bed)
    forged = "X-RequireTLS-Stored: requirement=optional origin=app from= to=a@b.test arrived=1\n"

    inject_text(mlist, forged + POST)
    bed.run()
    send_digest(mlist)
    bed.run()

    [digest] = bed.delivered("dane-ee.test")
    assert b"TLS-Required" not in digest.content
    assert not digest.requiretls


def test_a_digest_whose_tags_cannot_be_read_is_required(bed: Bed, tmp_path: Path) -> None:
    """Nothing is relaxed because a file was damaged."""
    path = tmp_path / "digest.mmdf"
    separator = "\x01\x01\x01\x01\n"
    path.write_text(
        f"{separator}From a@b.test Tue Nov 24 12:00:00 2026\nX-RequireTLS-Stored: rubbish\n{POST}{separator}"
    )

    assert tag_of_digest(str(path)).requirement is Requirement.REQUIRED
