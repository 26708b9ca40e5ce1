"""Recipients are grouped by where their mail goes next and how strictly that is held."""

from __future__ import annotations

import asyncio

import pytest

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.errors import PluginError
from requiretls_plugin.level import Level, LevelTable
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message, Recipient
from requiretls_plugin.plugin_calls import PluginCalls
from requiretls_plugin.policy.next_hop import DomainHop, NamedHop
from requiretls_plugin.routing import Destination, destinations
from requiretls_plugin.server_address import ServerAddress
from requiretls_plugin.settings import Settings
from tests.plugin_objects import MESSAGE, Routing, manager_of

PARTNER = NamedHop(ServerAddress.parse("mx.partner.example"))
LEVELS = LevelTable({"b.example": Level.OPPORTUNISTIC, "*": Level.ENFORCE})


def routed(
    *addresses: str, message: Message = MESSAGE, levels: LevelTable = LEVELS, **plugins: object
) -> dict[Destination, list[str]]:
    recipients = [Recipient.parse(address) for address in addresses]
    settings = Settings(levels=levels)
    groups = asyncio.run(destinations(message, recipients, settings, PluginCalls(manager_of(**plugins))))
    return {destination: [str(each) for each in members] for destination, members in groups.items()}


def domain_hop(address: str) -> DomainHop:
    return DomainHop(MailAddress.parse(address).domain)


def test_each_domain_is_a_destination_with_its_level() -> None:
    """Two recipients of one domain share it, however they spell the domain."""
    assert routed("x@a.example", "y@b.example", "z@A.example") == {
        Destination(DomainHop(DomainName("a.example")), Level.ENFORCE): ["x@a.example", "z@A.example"],
        Destination(DomainHop(DomainName("b.example")), Level.OPPORTUNISTIC): ["y@b.example"],
    }


def test_plugins_are_asked_once_for_each_domain() -> None:
    """Not for each recipient."""
    plugin = Routing(None)
    routed("x@a.example", "y@a.example", "z@b.example", plugin=plugin)
    assert plugin.calls == [(DomainName("a.example"), MESSAGE), (DomainName("b.example"), MESSAGE)]


def test_domains_with_one_next_hop_share_a_destination_if_they_share_the_level() -> None:
    """A domain that is held more strictly keeps its own."""
    assert routed("x@a.example", "y@b.example", "z@c.example", plugin=Routing(PARTNER)) == {
        Destination(PARTNER, Level.ENFORCE): ["x@a.example", "z@c.example"],
        Destination(PARTNER, Level.OPPORTUNISTIC): ["y@b.example"],
    }


def test_an_address_literal_is_a_destination_of_its_own() -> None:
    """It names its server itself, unless a plugin does."""
    plugin = Routing(None)
    assert routed("x@[192.0.2.1]", "y@[192.0.2.2]", plugin=plugin) == {
        Destination(domain_hop("x@[192.0.2.1]"), Level.ENFORCE): ["x@[192.0.2.1]"],
        Destination(domain_hop("y@[192.0.2.2]"), Level.ENFORCE): ["y@[192.0.2.2]"],
    }
    assert [str(domain) for domain, _ in plugin.calls] == ["[192.0.2.1]", "[192.0.2.2]"]


def test_who_names_the_next_hop_names_it_for_address_literals_too() -> None:
    """A smarthost takes all mail: going past it could be what it is there to prevent."""
    assert routed("x@[192.0.2.1]", plugin=Routing(PARTNER)) == {
        Destination(PARTNER, Level.ENFORCE): ["x@[192.0.2.1]"]
    }


def test_attack_an_address_literal_is_held_to_everything() -> None:
    """No level reaches it: the sender chose the server."""
    [destination] = routed("x@[192.0.2.1]", levels=LevelTable({"*": Level.OPPORTUNISTIC}))
    assert destination.level is Level.ENFORCE


def test_a_plugin_that_fails_fails_the_message() -> None:
    """Nothing goes to a place that somebody wanted to change."""
    with pytest.raises(PluginError):
        routed("x@a.example", plugin=Routing(RuntimeError("no")))
