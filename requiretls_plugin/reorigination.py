"""What a new message asks of TLS: on its own account, or because of another one (RFC 8689 §6).

A message is sent because of another one when it is forwarded, spread by a list,
collected in a digest, answered automatically, held for a moderator or bounced.
"""

from __future__ import annotations

from collections.abc import Iterable

from requiretls_plugin.errors import ConflictingRequirement, InvalidHeaderField
from requiretls_plugin.header_field import TLS_REQUIRED, read_tls_required, strip_fields, with_tls_required_no
from requiretls_plugin.requirement import Origin, Requirement, Tag, strongest

NOT_INHERITED = Tag()
"""For a message that has another one as its cause but nothing of it in it, where its author says so."""


def originated(*, require_tls: bool, header_says_no: bool, origin: Origin = Origin.APP) -> Tag:
    """Return the tag of a new message whose author gives one switch, or none.

    Raises ConflictingRequirement if both are given: what arrives from others
    with both is REQUIRED, but an author has to decide.
    """
    if require_tls and header_says_no:
        raise ConflictingRequirement("a message cannot both require TLS and say TLS-Required: No")
    if require_tls:
        return Tag(Requirement.REQUIRED, origin)
    return Tag(Requirement.OPTIONAL, origin) if header_says_no else Tag()


def inherited(cause: Tag, own: Tag = NOT_INHERITED) -> Tag:
    """Return the tag of a message sent because of one with the tag *cause*.

    It is the cause's, in both directions. Where the new message asks for
    something itself (*own*), the stronger of the two counts.
    """
    return cause if own.requirement is Requirement.UNSTATED else merged([cause, own])


def merged(causes: Iterable[Tag]) -> Tag:
    """Return the tag of one message made of several, such as a digest: the first of the strongest.

    So one REQUIRED member makes all REQUIRED, and only OPTIONAL members make
    the whole OPTIONAL. Without any, nothing is asked.
    """
    tags = list(causes)
    wanted = strongest(tag.requirement for tag in tags)
    return next((tag for tag in tags if tag.requirement is wanted), Tag())


def inherit_into(content: bytes, tag: Tag) -> bytes:
    """Return the new message *content* with the header that goes with *tag*.

    OPTIONAL: exactly one `TLS-Required: No`. REQUIRED: no such field, as the
    two may not stand together. UNSTATED: as it is. Not for a message that is
    merely relayed, which nobody may change (RFC 5321 section 3.6.3).
    """
    if tag.requirement is Requirement.OPTIONAL:
        return with_tls_required_no(content)
    if tag.requirement is Requirement.REQUIRED:
        return strip_fields(content, [TLS_REQUIRED])
    return content


def tag_without_envelope(content: bytes) -> Tag:
    """Return the tag for a filter that forwards and cannot see how a message came (RFC 8689 section 6).

    REQUIRED, to be on the safe side, for everything that does not say
    `TLS-Required: No` properly.
    """
    try:
        says_no = read_tls_required(content)
    except InvalidHeaderField:
        says_no = False
    return (
        Tag(Requirement.OPTIONAL, Origin.HEADER_FIELD) if says_no else Tag(Requirement.REQUIRED, Origin.APP)
    )
