"""Group the recipients of a message by where it goes next and how strictly that is held."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.level import Level
from requiretls_plugin.mail_address import AddressLiteral
from requiretls_plugin.message import Message, Recipient
from requiretls_plugin.plugin_calls import PluginCalls
from requiretls_plugin.policy.next_hop import DomainHop, NextHop
from requiretls_plugin.settings import Settings


@dataclass(frozen=True, slots=True)
class Destination:
    """A next hop and the level that holds for it. Judged alone, whatever happens to others."""

    next_hop: NextHop
    level: Level


async def destinations(
    message: Message, recipients: Iterable[Recipient], settings: Settings, plugins: PluginCalls
) -> dict[Destination, list[Recipient]]:
    """Return the recipients of *message* by destination.

    Plugins are asked once for each domain. Raises PluginError.
    """
    by_domain: dict[DomainName | AddressLiteral, list[Recipient]] = {}
    for recipient in recipients:
        by_domain.setdefault(recipient.address.domain, []).append(recipient)
    groups: dict[Destination, list[Recipient]] = {}
    for domain, members in by_domain.items():
        hop = await plugins.next_hop(domain, message) or DomainHop(domain)
        level = settings.levels.level_of(domain) if isinstance(domain, DomainName) else Level.ENFORCE
        groups.setdefault(Destination(hop, level), []).extend(members)
    return groups
