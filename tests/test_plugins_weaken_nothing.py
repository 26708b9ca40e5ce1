"""Whatever plugins answer, a REQUIRED message leaves on proved sessions only.

Plugins are made up at random and meet the whole laboratory. What may leave is
read from the laboratory's description, not from what the engine says of itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from requiretls_lab.catalogue import CATALOGUE
from requiretls_lab.domains import MailHost
from requiretls_lab.laboratory import Laboratory
from requiretls_lab.smtp_script import Offer
from requiretls_lab.zones import ZoneKind
from requiretls_plugin.delivery.outcome import Disposition, Notice, Outcome
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.engine import Engine
from requiretls_plugin.errors import PluginError
from requiretls_plugin.hookspecs import hookimpl
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message, Recipient
from requiretls_plugin.plugin_notices import held_to_requirement
from requiretls_plugin.policy.next_hop import DomainHop, Login, NamedHop, NextHop, Protocol, Wrapping
from requiretls_plugin.requirement import Requirement, Tag
from requiretls_plugin.server_address import ServerAddress
from tests.plugin_objects import (
    Answering,
    Attempted,
    Concluded,
    Delivering,
    Receiving,
    Routing,
    delivered,
    manager_of,
)

BODY = b"the body that nobody else may see"
MESSAGE = Message(
    MailAddress.parse("alice@sender.test"),
    b"Subject: the plan\r\n\r\n" + BODY + b"\r\n",
    mail_parameter=True,
)

# The MX hosts that may take REQUIRED mail for a domain, by what the catalogue says of it.
MAY_TAKE = {
    "sender.test": "mx.sender.test",
    "return.test": "mx.return.test",
    "dane-ee.test": "mx.dane-ee.test",
    "dane-ta.test": "mx.dane-ta.test",
    "dnssec-pkix.test": "mx.dnssec-pkix.test",
    "sts.test": "mx.sts.test",
    "implicit.test": "implicit.test",
    "two-hosts.test": "mx2.two-hosts.test",
}
DOMAINS = [domain.name for domain in CATALOGUE]


def _hosts() -> Iterator[tuple[str, MailHost, ZoneKind]]:
    for domain in CATALOGUE:
        for host in domain.hosts:
            yield host.name(domain.name), host, domain.zone


HOSTS = [name for name, _, _ in _hosts()]


def _proves_its_name(host: MailHost, zone: ZoneKind) -> bool:
    """Whether a server somebody names is good enough: its own certificate, and the keyword inside TLS."""
    honest = host.leaf is None and not any("wrong" in form for form in host.tlsa)
    return honest and host.script.requiretls is Offer.INSIDE_TLS and zone is not ZoneKind.BOGUS


NAMED_MAY_TAKE = {name for name, host, zone in _hosts() if _proves_its_name(host, zone)}


# What a plugin may come up with

_ODD = st.one_of(
    st.booleans(),
    st.integers(),
    st.text(max_size=5),
    st.just([]),
    st.just(object()),
    st.sampled_from([ValueError("no"), SystemExit(0), asyncio.CancelledError(), TimeoutError()]),
)


@dataclass(frozen=True)
class _Named:
    """A server of the laboratory, its port still unknown."""

    host: str
    wrapping: Wrapping
    protocol: Protocol
    login: Login | None
    encrypted: bool


_HOPS = st.one_of(
    st.none(),
    st.sampled_from(DOMAINS).map(lambda name: DomainHop(DomainName(name))),
    st.builds(
        _Named,
        st.sampled_from(HOSTS),
        st.sampled_from(Wrapping),
        st.sampled_from(Protocol),
        st.sampled_from([None, Login("alice", "secret")]),
        st.booleans(),
    ),
    _ODD,
)


@st.composite
def _notices(draw: st.DrawFn, *, with_fallback: bool = True) -> Notice:
    """A notice to anybody that quotes the message or does not, under any tag, and so may its fallback."""
    content = draw(
        st.sampled_from([MESSAGE.content, b"X: y\n\n" + BODY + b"\n", b"Subject: sorry\r\n\r\nno\r\n"])
    )
    tag = Tag(draw(st.sampled_from(Requirement)))
    to = MailAddress.parse(f"{draw(st.sampled_from(['alice', 'eve']))}@{draw(st.sampled_from(DOMAINS))}")
    fallback = draw(st.one_of(st.none(), _notices(with_fallback=False))) if with_fallback else None
    return Notice(Message(None, content, tag=tag), to, fallback)


class _Around(Answering):
    """Wraps a delivery, and makes nothing, little or something else of it."""

    @hookimpl(wrapper=True)
    def requiretls_deliver(
        self, message: Message, recipients: Sequence[Recipient]
    ) -> Generator[None, Any, Any]:
        """Give the answer in place of the outcomes, awaiting them or not."""
        outcomes = yield

        async def after() -> Any:
            await outcomes
            return self._now()

        if self.later and inspect.isawaitable(outcomes):
            self.calls.append(after())
            return self.calls[-1]
        return self._now()

    def forget(self) -> None:
        """Close what no wrapper further out has awaited, which Python would miss."""
        while self.calls:
            self.calls.pop().close()


_PLUGINS = st.one_of(
    st.builds(Receiving, st.one_of(st.none(), st.sampled_from(Requirement), _ODD), later=st.booleans()),
    st.builds(Delivering, st.one_of(st.none(), _ODD), later=st.booleans()),
    st.builds(_Around, st.one_of(st.none(), _ODD), later=st.booleans()),
    st.builds(Attempted, st.one_of(st.none(), _ODD), later=st.booleans()),
    st.builds(Concluded, st.one_of(st.none(), _ODD), later=st.booleans()),
)


def _hop_of(answer: object, port: int) -> object:
    if not isinstance(answer, _Named):
        return answer
    server = ServerAddress(DomainName(answer.host), port)
    return NamedHop(server, answer.wrapping, answer.protocol, answer.login, answer.encrypted)


def _allowed(hop: object, domain: str) -> set[str]:
    """Return the hosts that REQUIRED mail for *domain* may go to if a plugin answers *hop*."""
    if isinstance(hop, NamedHop):
        named = str(hop.server).partition(":")[0]
        return {named} & NAMED_MAY_TAKE if hop.protocol is Protocol.SMTP else set()
    target = str(hop.domain) if isinstance(hop, DomainHop) else domain
    return {MAY_TAKE[target]} if target in MAY_TAKE else set()


@settings(max_examples=120)
@given(
    hop=_HOPS,
    hop_comes_later=st.booleans(),
    notices=st.lists(_notices(), min_size=1, max_size=2),
    plugins=st.lists(_PLUGINS, max_size=3),
    domains=st.lists(st.sampled_from(DOMAINS), min_size=1, max_size=2, unique=True),
)
def test_attack_no_answer_makes_a_required_message_leave_on_an_unproved_session(
    laboratory: Laboratory,
    hop: object,
    hop_comes_later: bool,
    notices: list[Notice],
    plugins: list[object],
    domains: list[str],
) -> None:
    """Strong or weak, right, odd or raised; now or awaited; of one plugin or of several."""
    laboratory.reset()
    hop = _hop_of(hop, laboratory.port)
    deciding = {"routing": Routing(hop, later=hop_comes_later), "telling": Concluded(notices)}
    more = {f"plugin{number}": plugin for number, plugin in enumerate(plugins)}
    manager = manager_of(**deciding, **more)
    recipients = [Recipient.parse(f"bob@{domain}") for domain in domains]

    async def run() -> Sequence[Outcome]:
        async with Engine(laboratory.settings(), manager) as engine:
            return await engine.deliver(await engine.receive(MESSAGE), recipients)

    outcomes: Sequence[Outcome] = ()
    with contextlib.suppress(PluginError):
        outcomes = asyncio.run(run())
    for plugin in plugins:
        if isinstance(plugin, _Around):
            plugin.forget()

    may_take = set().union(*(_allowed(hop, domain) for domain in domains)) | set(MAY_TAKE.values())
    for host in HOSTS:
        for message in laboratory.destination(host).messages:
            if BODY in message.content or b"the plan" in message.content:
                assert message.tls, host
                assert message.requiretls, host
                assert host in may_take
            else:
                assert message.mail_from == "", host  # a notice that has nothing of it
    for outcome, domain in zip(outcomes, domains, strict=bool(outcomes)):
        if outcome.disposition is Disposition.DELIVERED:
            assert outcome.host in _allowed(hop, domain)


def test_without_plugins_each_domain_takes_what_the_table_says(laboratory: Laboratory) -> None:
    """So the property above would see a host that should have been refused, and one that should not."""
    laboratory.reset()

    async def run() -> Sequence[Outcome]:
        async with Engine(laboratory.settings(), manager_of()) as engine:
            recipients = [Recipient.parse(f"bob@{domain}") for domain in DOMAINS]
            return await engine.deliver(await engine.receive(MESSAGE), recipients)

    found = {
        domain: outcome.host
        for domain, outcome in zip(DOMAINS, asyncio.run(run()), strict=True)
        if outcome.disposition is Disposition.DELIVERED
    }
    assert found == MAY_TAKE


@pytest.mark.parametrize("host", HOSTS)
def test_a_named_host_takes_what_the_table_says(laboratory: Laboratory, host: str) -> None:
    """Likewise for hosts that a plugin names."""
    laboratory.reset()
    hop: NextHop = NamedHop(ServerAddress(DomainName(host), laboratory.port))

    async def run() -> Sequence[Outcome]:
        async with Engine(laboratory.settings(), manager_of(routing=Routing(hop))) as engine:
            return await engine.deliver(await engine.receive(MESSAGE), [Recipient.parse("bob@dane-ee.test")])

    [outcome] = asyncio.run(run())
    listening = next(each.listening for name, each, _ in _hosts() if name == host)
    assert (outcome.disposition is Disposition.DELIVERED) is (host in NAMED_MAY_TAKE and listening)


# Notices


def _notice(content: bytes, requirement: Requirement, fallback: Notice | None = None) -> Notice:
    return Notice(Message(None, content, tag=Tag(requirement)), MailAddress.parse("a@b.example"), fallback)


REQUIRED = replace(MESSAGE, tag=Tag(Requirement.REQUIRED))
QUOTING = b"Subject: lost\nTLS-Required: No\n\nYou wrote:\n" + BODY + b"\n"
REDACTED = b"Subject: lost\r\n\r\nA message of yours did not arrive.\r\n"


@pytest.mark.parametrize(
    "content", [QUOTING, b"Subject: the plan\n\n", MESSAGE.content], ids=["body", "header", "all"]
)
def test_a_notice_that_quotes_a_required_message_is_required_itself(content: bytes) -> None:
    """Whatever line ends it has; and it no longer says the opposite."""
    held = held_to_requirement(REQUIRED, _notice(content, Requirement.OPTIONAL)).message
    assert held.requirement is Requirement.REQUIRED
    assert held.mail_parameter
    assert b"TLS-Required" not in held.content


def test_a_fallback_that_quotes_a_required_message_is_left_out() -> None:
    """And one that does not stays, as it is what tells the sender at all."""
    quoting, redacted = _notice(QUOTING, Requirement.UNSTATED), _notice(REDACTED, Requirement.UNSTATED)
    first = _notice(QUOTING, Requirement.REQUIRED)
    assert held_to_requirement(REQUIRED, replace(first, fallback=quoting)).fallback is None
    assert held_to_requirement(REQUIRED, replace(first, fallback=redacted)).fallback == redacted
    assert held_to_requirement(REQUIRED, redacted) == redacted


def test_a_notice_about_any_other_message_is_left_alone() -> None:
    """There is nothing to keep."""
    notice = _notice(QUOTING, Requirement.OPTIONAL)
    assert held_to_requirement(replace(MESSAGE, tag=Tag()), notice) is notice


def test_a_notice_that_is_held_is_logged_with_the_plugins_name(
    lab: Laboratory, caplog: pytest.LogCaptureFixture
) -> None:
    """It asked for less than the message may have."""
    quoting = replace(
        _notice(QUOTING, Requirement.UNSTATED), recipient=MailAddress.parse("eve@unproven.test")
    )
    manager = manager_of(talkative=Concluded([quoting]))

    async def run() -> None:
        async with Engine(lab.settings(), manager) as engine:
            await engine.deliver(REQUIRED, [Recipient.parse("bob@dane-ee.test")])

    asyncio.run(run())

    assert (
        "plugin talkative: requiretls_concluded(message, outcomes) returned a Notice that quotes"
        in caplog.text
    )
    assert lab.destination("mx.unproven.test").messages == []


def test_delivered_by_a_plugin_means_nothing_left_here(lab: Laboratory) -> None:
    """Whoever delivers himself answers for it; no session of ours is involved."""
    bob = Recipient.parse("bob@dane-ee.test")

    async def run() -> Sequence[Outcome]:
        async with Engine(lab.settings(), manager_of(own=Delivering([delivered(bob)]))) as engine:
            return await engine.deliver(REQUIRED, [bob])

    assert [outcome.host for outcome in asyncio.run(run())] == [None]
    assert lab.destination("mx.dane-ee.test").connections == []
