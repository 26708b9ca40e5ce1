"""Whether whoever answers our questions validates DNSSEC."""

from __future__ import annotations

import asyncio
import enum
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.policy.answers import Answer, Found

# How long what was found out about the resolvers is believed, in seconds.
SIGHT_SECONDS = 60.0

# Every resolver of the Internet has the root's records at hand. In a closed network there may be
# nobody to ask for them, and mail is not to wait for that.
LOOK_SECONDS = 2.0


class Validation(enum.Enum):
    """What a probe finds out about a resolver."""

    VALIDATES = "validates"
    NOT_BELIEVED = "validates, but dns.trust_ad says not to believe it"
    DOES_NOT_VALIDATE = "does not validate"
    UNSIGNED_ROOT = "does not validate, or has a root of its own that is not signed"
    UNKNOWN = "unknown"


WITHOUT_DNSSEC = frozenset({Validation.DOES_NOT_VALIDATE, Validation.UNSIGNED_ROOT})


@dataclass(frozen=True, slots=True)
class Probe:
    """What was found out about the resolver *server*, and from what."""

    server: str
    validation: Validation
    why: str


# The Internet's root is signed for sure; that of a closed network may not be.
_ROOT_SERVERS = "root-servers", "net"


def without_dnssec(zone: str, answer: Answer[DomainName]) -> Validation:
    """Return what *answer* says of whoever gave it: the NS records of *zone*, without DNSSEC."""
    servers = answer.records if isinstance(answer, Found) else ()
    if zone == "." and not any(server.labels[1:] == _ROOT_SERVERS for server in servers):
        return Validation.UNSIGNED_ROOT
    return Validation.DOES_NOT_VALIDATE


def why_blind(probes: Sequence[Probe], asked: Collection[str]) -> str | None:
    """Return why an answer without DNSSEC from one of those *asked* proves nothing; None if it does, or may.

    It proves nothing from a resolver that does not validate for sure. Where nobody's
    word counts, that of a resolver that is not believed does not either.
    """
    blind = [
        each for each in probes if each.validation is Validation.DOES_NOT_VALIDATE and each.server in asked
    ]
    if not any(each.validation is Validation.VALIDATES for each in probes):
        blind += [each for each in probes if each.validation is Validation.NOT_BELIEVED]
    return "; ".join(f"{each.server} {each.validation.value} ({each.why})" for each in blind) or None


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at the resolvers came to: *blindness* as by `why_blind`, and whether any said anything."""

    blindness: str | None
    answered: bool = True

    @classmethod
    def at(cls, probes: Sequence[Probe], asked: Collection[str]) -> Look:
        """Return what *probes* come to for those *asked*."""
        answered = any(each.validation is not Validation.UNKNOWN for each in probes)
        return cls(why_blind(probes, asked), answered)


class Sight:
    """Knows whether an answer without DNSSEC proves anything, by *look*, which is called seldom.

    *changed* is called when that is no longer as it was. *clock* is in seconds
    and never goes back.
    """

    def __init__(
        self,
        look: Callable[[], Awaitable[Look]],
        changed: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self._look = look
        self._changed = changed
        self._clock = clock
        self._looking = asyncio.Lock()
        self._looked_at = float("-inf")
        self.latest: str | None = None
        """What was found out last: why it proves nothing, None if it does or that is not known."""

    async def blindness(self, max_age: float) -> str | None:
        """Look, and return what `latest` is then.

        What was found out before counts if looking began *max_age* seconds ago or
        later; or if it ended then and nobody had said anything, which changes nothing.
        """
        asked_at = self._clock()
        async with self._looking:
            if self._looked_at < asked_at - max_age:
                began = self._clock()
                look = await self._look()
                if look.answered:
                    self._note(look.blindness)
                self._looked_at = began if look.answered else self._clock()
            return self.latest

    def _note(self, blindness: str | None) -> None:
        if (blindness is None) is not (self.latest is None):
            # Fetched now: hosts such as Salmon disable the loggers made before their own set-up.
            log = logging.getLogger(__name__)
            if blindness is None:
                log.info("DNSSEC is validated again")
            else:
                log.warning("DNSSEC proves nothing here, neither DANE nor a signed MX: %s", blindness)
            self._changed()
        self.latest = blindness
