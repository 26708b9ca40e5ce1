"""Mail for a partner goes through the host that was agreed on, whatever DNS says."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.hookspecs import hookimpl
from requiretls_plugin.mail_address import AddressLiteral
from requiretls_plugin.policy.next_hop import NamedHop
from requiretls_plugin.server_address import ServerAddress

FILE = Path(os.environ.get("PINNED_HOSTS_FILE", "/etc/requiretls-pinned-hosts.toml"))


class PinnedHosts:
    """Names the host of each domain in *hosts*."""

    def __init__(self, hosts: Mapping[DomainName, NamedHop]) -> None:
        self._hosts = hosts

    @hookimpl
    def requiretls_next_hop(self, domain: DomainName | AddressLiteral) -> NamedHop | None:
        """Return the host for *domain*, None if it has none."""
        return self._hosts.get(domain) if isinstance(domain, DomainName) else None


def read_hosts(file: Path) -> dict[DomainName, NamedHop]:
    """Return the hosts in *file*; raises OSError, and ValueError that says what is wrong with which line."""
    hosts = {}
    for domain, server in tomllib.loads(file.read_text(encoding="utf-8")).items():
        if not isinstance(server, str):
            raise ValueError(f'{file}: "{domain}" needs a "host:port", in quotes')
        try:
            hosts[DomainName.parse(domain)] = NamedHop(ServerAddress.parse(server))
        except ValueError as error:
            raise ValueError(f'{file}: "{domain}": {error}') from None
    return hosts


plugin = PinnedHosts(read_hosts(FILE))
