"""One text about everybody a message could not be sent to for want of TLS, for posts to lists.

Grouped by reason and domain. No address is in it and nothing of the message,
so it may travel without REQUIRETLS.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from requiretls_plugin.delivery.outcome import Outcome
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.explanations import explanation_of
from requiretls_plugin.reason import Reason

WIDTH = 72

# Nobody reads more; the log names all.
MAX_DOMAINS = 50


@dataclass(frozen=True, slots=True)
class Group:
    """The recipients who share a reason: how many at each domain, the largest number first."""

    reason: Reason | None
    domains: Mapping[str, int]

    @property
    def total(self) -> int:
        """How many recipients there are."""
        return sum(self.domains.values())


def grouped(outcomes: Iterable[Outcome]) -> list[Group]:
    """Return *outcomes* by reason, the largest group first."""
    counts: dict[Reason | None, Counter[str]] = {}
    for outcome in outcomes:
        counts.setdefault(outcome.reason, Counter())[str(outcome.recipient.address.domain)] += 1
    groups = [Group(reason, dict(_largest_first(domains))) for reason, domains in counts.items()]
    return sorted(groups, key=lambda group: -group.total)


def summary_text(
    refused: Sequence[Outcome],
    waiting: Sequence[Outcome],
    *,
    total: int,
    hostname: DomainName,
    name_domains: bool = True,
) -> str:
    """Return who is not reached and why, lines ending in LF.

    *refused* are those for whom it is final, *waiting* those still tried, of
    *total* recipients. Without *name_domains* only numbers are given.
    """
    blocks = [
        _wrapped(
            f"{len(refused)} of {total} recipients did not get this message. It may travel only where"
            " it is protected all the way (REQUIRETLS), and there is no such way to them."
        )
    ]
    for group in grouped(refused):
        blocks += _about(group, hostname, name_domains)
    if waiting:
        blocks.append(
            _wrapped(
                f"For {len(waiting)} more it is tried again. Should that fail, they get nothing either,"
                " and there will be no further notice."
            )
        )
    for group in grouped(waiting):
        blocks += _about(group, hostname, name_domains)
    return "\n\n".join(blocks) + "\n"


def _about(group: Group, hostname: DomainName, name_domains: bool) -> Iterator[str]:
    explanation = explanation_of(group.reason)
    happened, _, _ = explanation.filled(
        server="the recipient's mail server", domain="the recipient's domain", reporter=str(hostname)
    )
    word = group.reason.value if group.reason else "unknown"
    yield _wrapped(f"{group.total} for this reason ({word}): {happened}")
    if name_domains:
        shown = list(group.domains.items())[:MAX_DOMAINS]
        left_out = len(group.domains) - len(shown)
        lines = [f"    {count:6d}  {domain}" for domain, count in shown]
        yield "\n".join([*lines, *([f"    and {left_out} more domains"] if left_out else [])])


def _largest_first(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _wrapped(paragraph: str) -> str:
    return textwrap.fill(paragraph, WIDTH, break_long_words=False, break_on_hyphens=False)
