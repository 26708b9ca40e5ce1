"""What the sender of one message asked of TLS, and which wish wins.

RFC 8689 section 4.1 speaks of a message being tagged; these are the tags.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass


class Requirement(enum.Enum):
    """What the sender asked of TLS for one message."""

    REQUIRED = "required"
    """`REQUIRETLS` was given: deliver only over authenticated TLS (section 4.2.1)."""

    UNSTATED = "unstated"
    """Nothing was asked: the recipient domain's published policy decides."""

    OPTIONAL = "optional"
    """`TLS-Required: No` was given: deliver although the policy cannot be met (section 4.2.2)."""


_STRENGTH = {Requirement.OPTIONAL: 0, Requirement.UNSTATED: 1, Requirement.REQUIRED: 2}


def strongest(requirements: Iterable[Requirement]) -> Requirement:
    """Return the strongest of *requirements*, `UNSTATED` if there are none.

    `REQUIRED` beats `UNSTATED` beats `OPTIONAL`, so whoever joins in can only
    strengthen.
    """
    return max(requirements, key=_STRENGTH.__getitem__, default=Requirement.UNSTATED)


def requirement_for(*, mail_parameter: bool, header_says_no: bool) -> Requirement:
    """Return what one message asks for (RFC 8689 section 4.1).

    The MAIL parameter beats the header field.
    """
    if mail_parameter:
        return Requirement.REQUIRED
    if header_says_no:
        return Requirement.OPTIONAL
    return Requirement.UNSTATED


class Origin(enum.Enum):
    """Where a tag came from."""

    MAIL_PARAMETER = "mail-parameter"
    HEADER_FIELD = "header-field"
    TRUSTED_HOP = "trusted-hop"
    APP = "app"
    LIST_RULE = "list-rule"
    PLUGIN = "plugin"


@dataclass(frozen=True, slots=True)
class Tag:
    """A requirement as it is kept with a message, and who put it there.

    *origin* is None exactly for the tag of a message nobody tagged.
    """

    requirement: Requirement = Requirement.UNSTATED
    origin: Origin | None = None
