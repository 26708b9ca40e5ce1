"""How strictly a destination is held to REQUIRETLS."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from requiretls_plugin.domain_name import DomainName


class Level(enum.Enum):
    """How strictly a destination is held to REQUIRETLS; Postfix's names."""

    ENFORCE = "enforce"
    """Everything RFC 8689 section 4.2.1 asks for."""

    OPPORTUNISTIC_STARTTLS = "opportunistic+starttls"
    """An encrypted session is needed; the rest of section 4.2.1 is not."""

    OPPORTUNISTIC = "opportunistic"
    """REQUIRETLS is passed on where it is offered and nothing more is asked."""


@dataclass(frozen=True, slots=True)
class LevelTable:
    """Levels by domain: the exact domain, then `.parent` suffixes, then `*`."""

    levels: Mapping[str, Level] = field(default_factory=dict)

    def level_of(self, domain: DomainName) -> Level:
        """Return the level of *domain*, `ENFORCE` if no entry fits."""
        labels = domain.labels
        parents = ("." + ".".join(labels[start:]) for start in range(1, len(labels)))
        for key in (domain.text, *parents, "*"):
            if key in self.levels:
                return self.levels[key]
        return Level.ENFORCE
