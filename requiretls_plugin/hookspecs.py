"""The five places where a plugin may join in. Each docstring is a contract.

A plugin is a module or an object whose functions carry `@hookimpl`. Every
implementation may be a plain function or return an awaitable. Only
`requiretls_deliver` may be wrapped (`@hookimpl(wrapper=True)`). Who has not
answered after 20 seconds counts as one who raised, but for a delivery.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Optional, TypeAlias, TypeVar, Union

import pluggy

if TYPE_CHECKING:
    from requiretls_plugin.delivery.outcome import Attempt, Notice, Outcome
    from requiretls_plugin.domain_name import DomainName
    from requiretls_plugin.mail_address import AddressLiteral
    from requiretls_plugin.message import Message, Recipient
    from requiretls_plugin.policy.next_hop import NextHop
    from requiretls_plugin.requirement import Requirement

PROJECT = "requiretls"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

Answer = TypeVar("Answer")
# An answer now, an answer later, or none.
Maybe: TypeAlias = Union[Answer, Awaitable[Optional[Answer]], None]  # noqa: UP007, UP045 - generic alias


@hookspec
def requiretls_receive(message: Message) -> Maybe[Requirement]:
    """Say what *message* needs of TLS.

    Called once for each accepted message, before the host server queues or
    handles it. Return a requirement, or None for no opinion; of all answers
    the strongest counts, so a plugin can strengthen and never weaken: an
    answer weaker than what the message asks by itself is logged. An exception
    defers the message.
    """


@hookspec
def requiretls_next_hop(domain: DomainName | AddressLiteral, message: Message) -> Maybe[NextHop]:
    """Name the server that mail for *domain* goes to.

    Called once for each destination of a message, before anything is looked
    up; *domain* is an address literal for mail to one. Return a next hop, or
    None to leave it to the settings and to DNS; the first answer counts. A
    named server has to prove that name by its certificate where the message
    demands it; another domain is judged by what it publishes itself, which
    `TLS-Required: No` sets aside as ever. An exception defers the message.
    """


@hookspec(firstresult=True)
def requiretls_deliver(message: Message, recipients: Sequence[Recipient]) -> Maybe[Sequence[Outcome]]:
    """Deliver *message* to *recipients*.

    Called when the host server is about to send. Return one outcome for every
    recipient, or None to leave it to the next plugin; the last one is this
    package's own, which delivers. A wrapper's `yield` gives it an awaitable of
    the outcomes; it returns outcomes, an awaitable of some, or None to leave
    them as they are. An exception defers the message; one in a wrapper, after
    the delivery it wraps, is logged, and the outcomes stand.
    """


@hookspec
def requiretls_attempted(attempt: Attempt) -> Awaitable[None] | None:
    """Observe one session with one host, after it ended.

    The return value is ignored; an exception is logged and changes nothing.
    """


@hookspec
def requiretls_concluded(message: Message, outcomes: Sequence[Outcome]) -> Maybe[Sequence[Notice]]:
    """Observe the outcomes of *message*, after every recipient has one.

    Called for every message, those that are notices included. Return notices
    to be sent because of them, or None. A notice has the null return path, and
    none is sent about a message that has it itself; one that quotes header or
    body of a REQUIRED message is sent under REQUIRETLS only. An exception is
    logged and changes nothing.
    """
