"""Everything together: from a list of domains to a small Internet on loopback addresses."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from requiretls_lab.addresses import LoopbackBlock
from requiretls_lab.authority import Authority, Leaf
from requiretls_lab.background_loop import BackgroundLoop
from requiretls_lab.destination import Destination
from requiretls_lab.domains import Domain
from requiretls_lab.errors import LabError
from requiretls_lab.nameserver import Nameserver, Place
from requiretls_lab.policy_host import PolicySite
from requiretls_lab.resolver_proxy import Middlebox, ResolverProxy
from requiretls_lab.servers import Servers
from requiretls_lab.settings_file import Table, as_toml, merged
from requiretls_lab.zones import SignedZones, Zone, sign
from requiretls_plugin.settings import Settings

HOSTNAME = "relay.test"
RESOLVER_NAME = "resolver.test"

# Long enough for a slow machine, short enough for a test that waits for one of them.
_TIMEOUTS: Table = {
    "dns": {"timeout": 5.0},
    "mta_sts": {"fetch_timeout": 5.0},
    "delivery": {"connect_timeout": 5.0, "command_timeout": 5.0, "data_timeout": 5.0, "total_timeout": 20.0},
}


class Laboratory:
    """DNS, policy hosts and mail servers for *domains*, running inside a `with` block.

    All mail servers share one *port*, as `delivery.port` is one setting; 0
    finds a free one, 25 needs root. Raises LabError if something is missing.

    Public attributes: *authority*; *nameserver*, the validating resolver;
    *port* and *policy_port*; *folder*, which is deleted at the end.
    """

    def __init__(self, domains: Iterable[Domain], *, port: int = 0) -> None:
        self._described = {domain.name: domain for domain in domains}
        self._published = dict(self._described)
        self._loop = BackgroundLoop()
        self._undo = contextlib.ExitStack()
        self.port = port

    def __enter__(self) -> Laboratory:
        with contextlib.ExitStack() as undo:
            self.folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="requiretls-lab-")))
            self._block = LoopbackBlock()
            undo.callback(self._block.release)
            self.port = self.port or self._block.free_port()
            self.policy_port = self._block.free_port()
            self.authority = Authority(self.folder)
            self._own_certificate = self.authority.issue(Leaf((HOSTNAME,)))
            self._servers = Servers(self.authority, self._block, self.port, self.policy_port)
            self._loop.start()
            undo.callback(self._loop.stop)
            undo.callback(lambda: self._loop.run(self._servers.stop()))
            self._servers.add(self._described.values())
            self._loop.run(self._servers.reset())
            self.nameserver = undo.enter_context(self._running_resolver(validating=True))
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()

    # What tests look at.

    def destination(self, name: str) -> Destination:
        """Return the mail server of that host name."""
        return self._servers.destinations[name]

    def policy_site(self, domain: str) -> PolicySite:
        """Return the MTA-STS policy site of *domain*."""
        return self._servers.sites[domain]

    def settle(self, seconds: float = 5.0) -> None:
        """Wait until no mail server has an open connection; raises LabError after *seconds*."""
        deadline = time.monotonic() + seconds
        while open_at := self._servers.busy():
            if time.monotonic() > deadline:
                raise LabError(f"connections are still open at {', '.join(open_at)}")
            time.sleep(0.002)

    def forget(self) -> None:
        """Forget what mail servers recorded, while they go on: a long run would fill the memory."""
        for destination in self._servers.destinations.values():
            self._loop.run(destination.forget())

    # What tests change.

    def stop(self, server: Destination | PolicySite) -> None:
        """Let *server* refuse connections from now on."""
        self._loop.run(server.stop())

    def start(self, server: Destination | PolicySite) -> None:
        """Let *server* accept connections again."""
        self._loop.run(server.start())

    def publish(self, *domains: Domain) -> None:
        """Replace what DNS says about *domains*, or add them.

        New servers come up, existing ones stay as they are. The resolver starts
        again with an empty cache.
        """
        new = self._servers.add(domains)
        self._loop.run(self._servers.listen(new))
        self._published.update({domain.name: domain for domain in domains})
        self.nameserver.restart(self._signed_zones())

    def reset(self) -> None:
        """Forget what servers recorded, and set everything to what the description says."""
        self._loop.run(self._servers.reset())
        if self._published != self._described:
            self._published = dict(self._described)
            self.nameserver.restart(self._signed_zones())

    # What tests pass on to the code they test.

    @property
    def resolver(self) -> str:
        """The validating resolver as `dns.nameservers` names it."""
        place = self.nameserver.place
        return f"{place.address}:{place.port}"

    @property
    def tls_resolver(self) -> str:
        """The same resolver over TLS; its certificate is the laboratory's."""
        place = self.nameserver.place
        return f"tls://{RESOLVER_NAME}@{place.address}:{place.tls_port}"

    @contextlib.contextmanager
    def non_validating_resolver(self) -> Iterator[str]:
        """Run another resolver on the same zones that never validates; yields its `ip:port`."""
        with self._running_resolver(validating=False) as server:
            yield f"{server.place.address}:{server.place.port}"

    @contextlib.contextmanager
    def resolver_behind(self, middlebox: Middlebox) -> Iterator[ResolverProxy]:
        """Run *middlebox* before the validating resolver; yields it with its address and port."""
        place = self.nameserver.place
        proxy = ResolverProxy(
            self._block.next(), self._block.free_port(), (place.address, place.port), middlebox
        )
        self._loop.run(proxy.start())
        try:
            yield proxy
        finally:
            self._loop.run(proxy.stop())

    def settings_table(self, **changes: Any) -> Table:
        """Return settings for this laboratory as a table, with *changes* by section:
        `lab.settings_table(levels={"*": "opportunistic"})`; None removes a key."""
        own: Table = {
            "hostname": HOSTNAME,
            "dns": {"nameservers": [self.resolver]},
            "tls": {"ca_file": str(self.authority.ca_file)},
            "mta_sts": {"port": self.policy_port, "ca_file": str(self.authority.ca_file)},
            "delivery": {"port": self.port},
            "receive": {
                "certificate": str(self._own_certificate.chain_file),
                "private_key": str(self._own_certificate.key_file),
            },
        }
        return merged(merged(own, _TIMEOUTS), changes)

    def settings(self, **changes: Any) -> Settings:
        """Return `settings_table` as Settings; raises SettingsError."""
        return Settings.from_table(self.settings_table(**changes), source="laboratory", folder=self.folder)

    def write_settings(self, path: Path, **changes: Any) -> Path:
        """Write `settings_table` to the TOML file *path* and return it."""
        path.write_text(as_toml(self.settings_table(**changes)), encoding="utf-8")
        return path

    # How it is put together.

    def _signed_zones(self) -> SignedZones:
        domains = self._published.values()
        return sign(Zone(domain.name, domain.zone, self._servers.records(domain)) for domain in domains)

    @contextlib.contextmanager
    def _running_resolver(self, *, validating: bool) -> Iterator[Nameserver]:
        free = self._block.free_port
        place = Place(self._block.next(), port=free(), tls_port=free(), refusing_port=free())
        certificate = self.authority.issue(Leaf((RESOLVER_NAME,)))
        folder = self.folder / place.address
        server = Nameserver(self._signed_zones(), place, certificate, folder, validating=validating)
        server.start()
        try:
            yield server
        finally:
            server.stop()
