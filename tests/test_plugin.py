"""RFC 8689 as a plugin: what a message brings along, and who is believed."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Sequence
from dataclasses import replace

import pytest

from requiretls_plugin.delivery.outcome import Outcome
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.message import Message, Recipient
from requiretls_plugin.plugin import RFC8689, tag_of
from requiretls_plugin.policy.next_hop import NamedHop
from requiretls_plugin.requirement import Origin, Requirement, Tag
from requiretls_plugin.server_address import ServerAddress
from requiretls_plugin.settings import DeliverySettings, Settings
from tests.plugin_objects import BOB, MESSAGE, delivered

TRUSTED = (ipaddress.IPv4Address("127.0.0.1"), ipaddress.IPv6Address("::1"))
STRANGER = "192.0.2.1"
NO = b"TLS-Required: No\r\n"
POSTFIX = b"Require-TLS-ESMTP: yes\r\n"
REQUIRED = Requirement.REQUIRED


def tag(header: bytes = b"", peer: str | None = STRANGER, *, mail_parameter: bool = False) -> Tag:
    content = header + b"Subject: hello\r\n\r\nhello\r\n"
    return tag_of(Message(MESSAGE.return_path, content, mail_parameter, peer), TRUSTED)


@pytest.mark.requirement("8689-4.1-1", "8689-4.1-2", "8689-4.1-3")
@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(tag(mail_parameter=True), Tag(REQUIRED, Origin.MAIL_PARAMETER), id="REQUIRETLS"),
        pytest.param(tag(NO), Tag(Requirement.OPTIONAL, Origin.HEADER_FIELD), id="TLS-Required: No"),
        pytest.param(tag(NO, mail_parameter=True), Tag(REQUIRED, Origin.MAIL_PARAMETER), id="both"),
        pytest.param(tag(), Tag(), id="neither"),
        pytest.param(tag(POSTFIX, "127.0.0.1"), Tag(REQUIRED, Origin.TRUSTED_HOP), id="a trusted hop"),
        pytest.param(tag(POSTFIX, "::1"), Tag(REQUIRED, Origin.TRUSTED_HOP), id="a trusted hop by IPv6"),
        pytest.param(
            tag(POSTFIX, "::ffff:127.0.0.1"), Tag(REQUIRED, Origin.TRUSTED_HOP), id="IPv4 on an IPv6 socket"
        ),
        pytest.param(tag(POSTFIX + NO, "127.0.0.1"), Tag(REQUIRED, Origin.TRUSTED_HOP), id="it beats No"),
    ],
)
def test_a_message_is_tagged_by_what_it_brings_along(found: Tag, expected: Tag) -> None:
    """And the tag says where it came from."""
    assert found == expected


@pytest.mark.parametrize(
    "peer",
    [STRANGER, None, "", "unix:/run/lmtp.sock", "127.0.0.1\r\n", "127.0.0.1%lo", "2001:db8::1", "127.0.0.2"],
    ids=repr,
)
def test_attack_postfixs_field_is_believed_from_trusted_hops_only(peer: str | None) -> None:
    """Whoever sends mail can write it."""
    assert tag(POSTFIX, peer) == Tag()


@pytest.mark.requirement("8689-3-4", "8689-3-6")
@pytest.mark.parametrize(
    "header",
    [b"TLS-Required: Yes\r\n", NO + NO, b"TLS-Required: No (please)\r\n", b"TLS-Required:\r\n"],
    ids=["another value", "twice", "a comment", "empty"],
)
def test_another_field_than_one_no_is_ignored_and_logged(
    header: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is relaxed by what only looks like it."""
    assert tag(header) == Tag()
    RFC8689(Settings(), no_delivery).requiretls_receive(replace(MESSAGE, content=header + MESSAGE.content))
    assert len(caplog.records) == 1
    assert caplog.records[0].getMessage().startswith("TLS-Required ignored: ")


async def no_delivery(message: Message, recipients: Sequence[Recipient]) -> Sequence[Outcome]:
    return [delivered(recipient) for recipient in recipients]


def test_the_hooks_answer_for_the_rfc() -> None:
    """Tag, next hop, delivery."""
    plugin = RFC8689(Settings(), no_delivery)
    assert plugin.requiretls_receive(MESSAGE) is Requirement.UNSTATED
    assert plugin.requiretls_next_hop(DomainName("recipient.example"), MESSAGE) is None
    assert asyncio.run(plugin.requiretls_deliver(MESSAGE, [BOB])) == [delivered(BOB)]


def test_the_app_names_the_next_hop_before_the_settings_do() -> None:
    """The smarthost takes what nobody else places."""
    smarthost, partner = (
        ServerAddress.parse("relay.example:587"),
        NamedHop(ServerAddress.parse("mx.partner.example")),
    )
    plugin = RFC8689(Settings(delivery=DeliverySettings(smarthost=smarthost)), no_delivery)
    domain = DomainName("recipient.example")
    placed = Message(MESSAGE.return_path, MESSAGE.content, next_hop=partner)
    assert plugin.requiretls_next_hop(domain, MESSAGE) == NamedHop(smarthost)
    assert plugin.requiretls_next_hop(domain, placed) == partner
