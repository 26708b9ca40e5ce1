"""Which resolvers are asked, and whose word about DNSSEC counts."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Sequence
from pathlib import Path

import dns.exception
import dns.resolver

from requiretls_plugin.errors import SettingsError
from requiretls_plugin.server_address import Nameserver
from requiretls_plugin.settings import DNSSettings

log = logging.getLogger(__name__)

RESOLV_CONF = Path("/etc/resolv.conf")


def system_nameservers(resolv_conf: Path = RESOLV_CONF) -> tuple[Nameserver, ...]:
    """Return the resolvers of this machine; raises SettingsError if it names none."""
    system = dns.resolver.Resolver(configure=False)
    try:
        system.read_resolv_conf(str(resolv_conf))
    except dns.exception.DNSException:
        raise SettingsError(str(resolv_conf), ["names no nameserver; name one in dns.nameservers"]) from None
    return tuple(Nameserver(ipaddress.ip_address(str(text)), 53) for text in system.nameservers)


def ad_counts(server: Nameserver, settings: DNSSettings) -> bool:
    """Tell whether the AD bit of *server* is believed (RFC 7672 section 2.1.1).

    By default that takes a path nobody can write on: loopback, or TLS with a
    verified certificate. Whether the server validates is for a probe to find out.
    """
    if settings.trust_ad == "loopback":
        return server.tls_name is not None or server.address.is_loopback
    return settings.trust_ad == "always"


def servers_to_ask(settings: DNSSettings, resolv_conf: Path = RESOLV_CONF) -> tuple[Nameserver, ...]:
    """Return the resolvers to ask, in order; raises SettingsError.

    Beside one whose AD bit counts, one whose AD bit does not is left out: who
    can make the first time out and forge the second's answers could otherwise
    turn a signed domain into an unsigned one.
    """
    servers = settings.nameservers or system_nameservers(resolv_conf)
    _refuse_zones(servers)
    believed = tuple(server for server in servers if ad_counts(server, settings))
    if believed and len(believed) < len(servers):
        left_out = ", ".join(str(server) for server in servers if server not in believed)
        log.warning("nameservers left out, because others' AD bit counts and theirs does not: %s", left_out)
    return believed or servers


def _refuse_zones(servers: Sequence[Nameserver]) -> None:
    # asyncio hands such addresses to a thread, which a process that is shutting down cannot start.
    zoned = [server for server in servers if getattr(server.address, "scope_id", None)]
    if zoned:
        problem = f"{zoned[0]} is link-local; name another address of that resolver"
        raise SettingsError("dns.nameservers", [problem])
