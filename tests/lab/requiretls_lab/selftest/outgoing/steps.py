"""What a case about outgoing mail consists of: a world, and what is done in it."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from requiretls_lab.domains import Domain
from requiretls_lab.laboratory import Laboratory

SENDER = "alice@way-back.test"


class Asks(enum.Enum):
    """What the sender of a message asks of TLS."""

    REQUIRETLS = "REQUIRETLS"
    NO = "TLS-Required: No"
    BOTH = "REQUIRETLS and TLS-Required: No"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Notice:
    """What the sender has to be told of a failure (RFC 8689 section 5).

    *requiretls* tells whether under REQUIRETLS, *redacted* whether the
    message's header is left out, *says_no* whether it has `TLS-Required: No`:
    only about such a message may the notice have its body.
    """

    requiretls: bool
    redacted: bool = False
    says_no: bool = False

    def __str__(self) -> str:
        return ", ".join(
            (
                "the sender is told under REQUIRETLS" if self.requiretls else "the sender is told",
                "without the message's header" if self.redacted else "with its header",
                *(["with TLS-Required: No"] if self.says_no else []),
            )
        )


@dataclass(frozen=True, slots=True)
class Send:
    """One message is received and delivered as `requiretls send` does it, and ends in the words *ends*.

    What those words say of TLS and REQUIRETLS has to be true of what arrived; and
    where they say that nothing was delivered, no host may have heard MAIL unless
    *mail_is_said*.

    *to* is the recipient's domain, by default the first of the case. *peer* is
    where the message came from. *header* stands above its other fields, and has
    to arrive unless *stripped*. *at* is the host that has to have it. If
    *untouched*, no host was connected to. *notice* is what arrives at the return
    path; None for no look there.
    """

    ends: str
    asks: Asks = Asks.REQUIRETLS
    to: str | None = None
    return_path: str | None = SENDER
    peer: str | None = None
    header: bytes = b""
    stripped: bool = False
    at: str | None = None
    untouched: bool = False
    mail_is_said: bool = False
    notice: Notice | None = None

    def __str__(self) -> str:
        words = [self.ends + (f" at {self.at}" if self.at else "")]
        if self.untouched:
            words.append("no host is connected to")
        elif not self.ends.startswith("delivered") and not self.mail_is_said:
            words.append("no host hears MAIL")
        if self.stripped:
            words.append("the field is gone")
        if self.notice:
            words.append(str(self.notice))
        return "; ".join(words)


@dataclass(frozen=True, slots=True)
class Do:
    """Something happens in the world: *action*, in the words *what*."""

    what: str
    action: Callable[[Laboratory], None]


@dataclass(frozen=True, slots=True)
class OutgoingCase:
    """A claim about mail that the installation sends, in a world of *domains*.

    Host names and domains are the case's own. *limits* are settings of the
    section `delivery` for cases that wait for a time to run out.
    """

    name: str
    claim: str
    section: str
    domains: tuple[Domain, ...]
    steps: tuple[Send | Do, ...]
    limits: tuple[tuple[str, float], ...] = ()

    @property
    def setup(self) -> str:
        """What is done."""
        world = "; ".join(domain.meaning for domain in self.domains if domain.meaning)
        asked = "; then ".join(
            step.what if isinstance(step, Do) else f"a message that asks for {step.asks.value}"
            for step in self.steps
        )
        return f"{world}; {asked}"

    @property
    def expected(self) -> str:
        """What must come of it."""
        return "; then ".join(str(step) for step in self.steps if isinstance(step, Send))
