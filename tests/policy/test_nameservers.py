"""Which resolvers are asked and believed."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from requiretls_plugin.errors import SettingsError
from requiretls_plugin.policy.nameservers import ad_counts, servers_to_ask, system_nameservers
from requiretls_plugin.server_address import Nameserver
from requiretls_plugin.settings import DNSSettings


def settings(*nameservers: str, trust_ad: str = "loopback") -> DNSSettings:
    return DNSSettings.model_validate({"nameservers": list(nameservers), "trust_ad": trust_ad})


@pytest.mark.requirement("7672-2.1.1-4", "6698-4.1-5")
@pytest.mark.parametrize(
    ("trust_ad", "believed"),
    [
        ("loopback", {"127.0.0.1", "127.9.9.9:5300", "::1", "tls://dns.example@192.0.2.53:853"}),
        (
            "always",
            {
                "127.0.0.1",
                "127.9.9.9:5300",
                "::1",
                "tls://dns.example@192.0.2.53:853",
                "192.0.2.53",
                "2001:db8::53",
            },
        ),
        ("never", set()),
    ],
)
def test_ad_counts_where_nobody_can_forge_it_or_the_operator_says_so(
    trust_ad: str, believed: set[str]
) -> None:
    """Loopback and verified TLS by default."""
    servers = {
        "127.0.0.1",
        "127.9.9.9:5300",
        "::1",
        "tls://dns.example@192.0.2.53:853",
        "192.0.2.53",
        "2001:db8::53",
    }

    counted = {
        server
        for server in servers
        if ad_counts(Nameserver.parse(server), settings("::1", trust_ad=trust_ad))
    }

    assert counted == believed


@pytest.mark.requirement("7672-2.1.1-4")
def test_attack_a_server_that_is_not_believed_is_no_substitute(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever makes the local resolver time out must not be able to answer instead of it."""
    with caplog.at_level(logging.WARNING):
        servers = servers_to_ask(settings("192.0.2.53", "127.0.0.1", "tls://dns.example@192.0.2.53"))

    assert [str(server) for server in servers] == ["127.0.0.1:53", "tls://dns.example@192.0.2.53:853"]
    assert "192.0.2.53:53" in caplog.text


def test_where_none_is_believed_all_are_asked() -> None:
    """Mail still flows, only nothing is proven."""
    servers = servers_to_ask(settings("192.0.2.53", "192.0.2.54"))

    assert [str(server) for server in servers] == ["192.0.2.53:53", "192.0.2.54:53"]


def test_without_setting_the_machines_own_resolvers_are_asked(tmp_path: Path) -> None:
    """Those of resolv.conf, in order."""
    resolv_conf = tmp_path / "resolv.conf"
    resolv_conf.write_text("search example.org\nnameserver 192.0.2.53\nnameserver 2001:db8::53\n")

    servers = servers_to_ask(DNSSettings(), resolv_conf)

    assert [str(server) for server in servers] == ["192.0.2.53:53", "[2001:db8::53]:53"]


@pytest.mark.parametrize("content", ["search example.org\n", None], ids=["none named", "no file"])
def test_a_machine_without_resolver_is_a_mistake_in_the_settings(tmp_path: Path, content: str | None) -> None:
    """With a remedy in the message."""
    resolv_conf = tmp_path / "resolv.conf"
    if content is not None:
        resolv_conf.write_text(content)

    with pytest.raises(SettingsError, match=r"dns\.nameservers"):
        system_nameservers(resolv_conf)


def test_a_link_local_resolver_is_a_mistake_in_the_settings(tmp_path: Path) -> None:
    """asyncio could only connect to it with the help of a thread."""
    resolv_conf = tmp_path / "resolv.conf"
    resolv_conf.write_text("nameserver fe80::1%eth0\n")

    with pytest.raises(SettingsError, match="link-local"):
        servers_to_ask(DNSSettings(), resolv_conf)
