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
        if domain.text in self.levels:
            return self.levels[domain.text]
        _label, dot, rest = domain.text.partition(".")
        while dot:
            if f".{rest}" in self.levels:
                return self.levels[f".{rest}"]
            _label, dot, rest = rest.partition(".")
        return self.levels.get("*", Level.ENFORCE)
