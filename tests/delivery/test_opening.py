"""Opening a session: which address, how long, and what is left open when it fails."""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import replace
from pathlib import Path

import pytest

from requiretls_lab.laboratory import Laboratory
from requiretls_lab.smtp_script import Act, Script
from requiretls_plugin.certificate.tls_context import TLSContexts
from requiretls_plugin.delivery import opening
from requiretls_plugin.delivery.opening import open_session
from requiretls_plugin.delivery.session import Session, SessionRules
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.policy.demand import Demand
from requiretls_plugin.policy.refusal import Refusal
from requiretls_plugin.reason import Reason
from tests.delivery.demands import ANYTHING, PKIX

HOST = DomainName("mx.dnssec-pkix.test")


def rules(lab: Laboratory, **delivery: float) -> SessionRules:
    settings = lab.settings(delivery=delivery)
    return SessionRules("relay.test", settings.delivery, TLSContexts(settings.tls.ca_file))


def addressed(lab: Laboratory, demand: Demand, *hosts: str) -> Demand:
    """Return *demand* for HOST at the addresses of *hosts*, in this order."""
    found = tuple(ipaddress.ip_address(lab.destination(host).address) for host in hosts)
    return replace(demand, host=HOST, port=lab.port, addresses=found)


async def opened(demand: Demand, rules: SessionRules) -> Session | Refusal:
    """Open a session, and say goodbye if there is one."""
    session = await open_session(demand, rules)
    if isinstance(session, Session):
        await session.quit()
    await rules.farewells.all_said()
    return session


DEAD, LIVE, OTHER = "mx2.down.test", HOST.text, "mx.dane-ee.test"


@pytest.mark.requirement("5321-5.1-9", "5321-5.1-10")
def test_the_next_address_is_tried_when_one_does_not_answer(lab: Laboratory) -> None:
    """In the order that DNS gave them."""
    session = asyncio.run(opened(addressed(lab, ANYTHING, DEAD, LIVE, OTHER), rules(lab)))

    assert isinstance(session, Session)
    assert str(session.address) == lab.destination(LIVE).address
    assert lab.destination(OTHER).connections == []


@pytest.mark.parametrize("act", [Act.CLOSE, Act.RESET, Act.SILENCE, "421 4.3.2 later"])
def test_the_next_address_is_tried_when_one_answers_badly(lab: Laboratory, act: Act | str) -> None:
    """One machine of several that is ill need not hold up the mail."""
    lab.destination(OTHER).script = Script(replies={"greeting": act})

    demand = addressed(lab, ANYTHING, OTHER, LIVE)
    session = asyncio.run(opened(demand, rules(lab, command_timeout=0.2)))

    assert isinstance(session, Session)
    assert str(session.address) == lab.destination(LIVE).address


def test_what_one_address_proved_another_is_not_asked(lab: Laboratory) -> None:
    """The host is one host: a certificate for another name is a verdict on it."""
    refusal = asyncio.run(opened(addressed(lab, replace(PKIX, pkix_name=HOST), OTHER, LIVE), rules(lab)))

    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.CERTIFICATE_NAME_MISMATCH
    assert lab.destination(LIVE).connections == []


def test_no_more_than_a_few_addresses_are_tried(lab: Laboratory) -> None:
    """A host with a hundred addresses is no reason to wait a hundred times."""
    demand = addressed(lab, ANYTHING, *[DEAD] * opening.MAX_ADDRESSES, LIVE)

    refusal = asyncio.run(opened(demand, rules(lab)))

    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.HOST_UNREACHABLE


def test_a_host_without_addresses_is_not_reached(lab: Laboratory) -> None:
    """Nothing is guessed."""
    refusal = asyncio.run(opened(addressed(lab, ANYTHING), rules(lab)))

    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.HOST_UNREACHABLE


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("step", ["greeting", "EHLO", "STARTTLS", "handshake", "EHLO in TLS"])
@pytest.mark.parametrize("act", [Act.CLOSE, Act.RESET, b"nonsense\r\n", "421 bye"])
def test_no_file_is_left_open(lab: Laboratory, step: str, act: Act | bytes | str) -> None:
    """However an opening ends."""
    lab.destination(LIVE).script = Script(replies={step: act})

    async def many() -> int:
        mine = rules(lab)
        demand = addressed(lab, PKIX, LIVE)
        await opened(demand, mine)
        before = open_files()
        for _ in range(5):
            await opened(demand, mine)
        await asyncio.sleep(0.01)
        return open_files() - before

    # The laboratory's side of a connection may take a moment longer.
    assert asyncio.run(many()) <= 2
