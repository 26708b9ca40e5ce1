"""RFC 8689 as one plugin: what this package itself answers to its hooks."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence

from requiretls_plugin.delivery.outcome import Outcome
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.errors import InvalidHeaderField
from requiretls_plugin.header_field import read_tls_required, says_require_tls_esmtp
from requiretls_plugin.hookspecs import hookimpl
from requiretls_plugin.mail_address import AddressLiteral
from requiretls_plugin.message import Message, Recipient
from requiretls_plugin.policy.next_hop import NextHop
from requiretls_plugin.requirement import Origin, Requirement, Tag
from requiretls_plugin.server_address import IPAddress
from requiretls_plugin.settings import Settings
from requiretls_plugin.smarthost import smarthost_hop

Deliver = Callable[[Message, Sequence[Recipient]], Awaitable[Sequence[Outcome]]]


class RFC8689:
    """Tag what arrives (section 4.1), deliver it as section 4.2 demands.

    *deliver* does the delivering; it is the engine's.
    """

    def __init__(self, settings: Settings, deliver: Deliver) -> None:
        """Connect to nothing yet; raises SettingsError if the smarthost's password cannot be read."""
        self._settings = settings
        self._smarthost = smarthost_hop(settings.delivery)
        self._deliver = deliver

    @hookimpl
    def requiretls_receive(self, message: Message) -> Requirement:
        """Return what the MAIL parameter and the header of *message* ask for."""
        _warn_of_odd_field(message)
        return tag_of(message, self._settings.receive.trusted_hops).requirement

    @hookimpl(trylast=True)
    def requiretls_next_hop(self, domain: DomainName | AddressLiteral, message: Message) -> NextHop | None:
        """Return the server that the app or the settings name."""
        if message.next_hop is not None:
            return message.next_hop
        return self._smarthost

    @hookimpl(trylast=True)
    async def requiretls_deliver(
        self, message: Message, recipients: Sequence[Recipient]
    ) -> Sequence[Outcome]:
        """Deliver *message* and return the outcomes."""
        return await self._deliver(message, recipients)


def tag_of(message: Message, trusted_hops: Collection[IPAddress]) -> Tag:
    """Return the tag that *message* brings along by itself (RFC 8689 section 4.1).

    Postfix's field `Require-TLS-ESMTP: yes` counts only from *trusted_hops*:
    whoever sends mail can write it.
    """
    if message.mail_parameter:
        return Tag(Requirement.REQUIRED, Origin.MAIL_PARAMETER)
    if _is_among(message.peer, trusted_hops) and says_require_tls_esmtp(message.header):
        return Tag(Requirement.REQUIRED, Origin.TRUSTED_HOP)
    if _says_no(message.header):
        return Tag(Requirement.OPTIONAL, Origin.HEADER_FIELD)
    return Tag()


def _is_among(peer: str | None, hops: Collection[IPAddress]) -> bool:
    try:
        address = ipaddress.ip_address(peer or "")
    except ValueError:  # a UNIX socket has no address
        return False
    # A socket that listens on both families shows IPv4 peers as ::ffff:192.0.2.1.
    return (getattr(address, "ipv4_mapped", None) or address) in hops


def _says_no(header: bytes) -> bool:
    try:
        return read_tls_required(header)
    except InvalidHeaderField:
        return False


def _warn_of_odd_field(message: Message) -> None:
    try:
        read_tls_required(message.header)
    except InvalidHeaderField as error:
        # Fetched now: hosts such as Salmon disable the loggers made before their own set-up.
        logging.getLogger(__name__).warning("TLS-Required ignored: %s", error)
