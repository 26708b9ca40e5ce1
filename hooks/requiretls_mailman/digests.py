"""Digests: collected as text in a mailbox, so every post there carries its tag in a header field."""

from __future__ import annotations

import contextlib
import copy
import logging
import time
from typing import Any

from mailman.config import config
from mailman.handlers.to_digest import ToDigest
from mailman.runners import digest
from mailman.utilities.mailbox import Mailbox

from requiretls_mailman.adapter import installed
from requiretls_mailman.kept import kept_tag
from requiretls_mailman.notices import one_line
from requiretls_plugin.errors import InvalidStoredTag
from requiretls_plugin.header_field import field_values
from requiretls_plugin.message import Recipient
from requiretls_plugin.message_tag import FIELD, StoredTag, read_stored_tag, store_tag
from requiretls_plugin.reorigination import merged
from requiretls_plugin.requirement import Origin, Requirement, Tag

log = logging.getLogger("mailman.vette")


class TaggedDigest(ToDigest):
    """Add posts to the digest together with their tag, or leave them out if the list does that."""

    def process(self, mlist: Any, msg: Any, msgdata: Any) -> None:
        """See `IHandler`."""
        if not mlist.digests_enabled or msgdata.get("isdigest"):
            return
        policy = installed().policy_of(mlist)
        tag = policy.tag_of(kept_tag(msg, msgdata))
        if tag.requirement is Requirement.REQUIRED and policy.digest == "omit":
            post = one_line(msg, "Message-ID")
            log.info("%s left out of the digest of %s: REQUIRETLS", post, mlist.list_id)
            return
        if FIELD in msg or tag.requirement is not Requirement.UNSTATED:
            msg = copy.deepcopy(msg)
            del msg[FIELD]
        if tag.requirement is not Requirement.UNSTATED:
            msg[FIELD] = _written(tag, mlist.posting_address)
        super().process(mlist, msg, msgdata)


class MailboxWithoutTags(Mailbox):
    """Reads posts as they were before `TaggedDigest` added a field."""

    def get_message(self, key: Any) -> Any:
        """Return a post."""
        post = super().get_message(key)
        del post[FIELD]
        return post


def keep_tags_in_digests() -> None:
    """Let the one handler that all pipelines share write the tags, and the digest runner not see them."""
    config.handlers[ToDigest.name].process = TaggedDigest().process
    digest.Mailbox = MailboxWithoutTags


def tag_of_digest(path: str) -> Tag:
    """Return the tag of a digest made of the posts in the mailbox *path*.

    A post whose tag cannot be read makes it REQUIRED.
    """
    with contextlib.closing(Mailbox(path)) as mailbox, mailbox:
        return merged(_read(post) for post in mailbox)


def _written(tag: Tag, address: str) -> str:
    stored = StoredTag(tag, None, Recipient.parse(address), int(time.time()))
    return field_values(store_tag(b"\n", stored), FIELD)[0].decode("ascii")


def _read(post: Any) -> Tag:
    fields = "".join(f"{FIELD}: {value}\n" for value in post.get_all(FIELD, []))
    try:
        stored = read_stored_tag(fields.encode("utf-8", "replace"))
    except InvalidStoredTag:
        return Tag(Requirement.REQUIRED, Origin.APP)
    return stored.tag if stored is not None else Tag()
