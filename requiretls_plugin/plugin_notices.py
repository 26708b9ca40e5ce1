"""What a plugin's notice may carry: nothing of a REQUIRED message where that itself could not go."""

from __future__ import annotations

from dataclasses import replace

from requiretls_plugin.delivery.outcome import Notice
from requiretls_plugin.message import Message
from requiretls_plugin.multipart_report import with_crlf
from requiretls_plugin.reorigination import inherit_into
from requiretls_plugin.requirement import Origin, Requirement, Tag


def held_to_requirement(cause: Message, notice: Notice) -> Notice:
    """Return *notice*, asked for because of *cause*, as it may be sent (RFC 8689 section 5).

    If *cause* is REQUIRED, so is a notice that has its header or its body in
    it, and a fallback with either is left out. Looked for is the text as it
    stands: what a plugin encodes or paraphrases is its own affair.
    """
    if cause.requirement is not Requirement.REQUIRED:
        return notice
    message, fallback = notice.message, notice.fallback
    if _gives_away(message, cause):
        tag = Tag(Requirement.REQUIRED, Origin.PLUGIN)
        content = inherit_into(message.content, tag)
        message = replace(message, content=content, mail_parameter=True, tag=tag)
    if fallback is not None and _gives_away(fallback.message, cause):
        fallback = None
    return replace(notice, message=message, fallback=fallback)


def _gives_away(message: Message, cause: Message) -> bool:
    """Return whether *message* has header or body of *cause* in it without being REQUIRED itself."""
    if message.requirement is Requirement.REQUIRED:
        return False
    whole = with_crlf(message.content)
    parts = (cause.header, cause.content[len(cause.header) :])
    return any(part in whole for part in (with_crlf(part).strip() for part in parts) if part)
