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
    fallback = None if notice.fallback is None else held_to_requirement(cause, notice.fallback)
    if notice.fallback is not None and fallback is not None and fallback.message != notice.fallback.message:
        fallback = None
    message = notice.message
    if message.requirement is not Requirement.REQUIRED and _quotes(message.content, cause):
        tag = Tag(Requirement.REQUIRED, Origin.PLUGIN)
        content = inherit_into(message.content, tag)
        message = replace(message, content=content, mail_parameter=True, tag=tag)
    return replace(notice, message=message, fallback=fallback)


def _quotes(content: bytes, cause: Message) -> bool:
    whole = with_crlf(content)
    parts = (cause.header, cause.content[len(cause.header) :])
    return any(part in whole for part in (with_crlf(part).strip() for part in parts) if part)
