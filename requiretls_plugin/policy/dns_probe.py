"""Whether whoever answers our questions validates DNSSEC."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Validation(enum.Enum):
    """What a probe finds out about a resolver."""

    VALIDATES = "validates"
    NOT_BELIEVED = "validates, but dns.trust_ad says not to believe it"
    DOES_NOT_VALIDATE = "does not validate"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Probe:
    """What was found out about the resolver *server*, and from what."""

    server: str
    validation: Validation
    why: str
