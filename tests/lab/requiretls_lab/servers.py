"""The servers that a description of domains calls for, and the records that lead to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from requiretls_lab.addresses import LoopbackBlock
from requiretls_lab.authority import Authority, Leaf
from requiretls_lab.destination import Destination
from requiretls_lab.domains import Domain, MailHost, Policy
from requiretls_lab.policy_host import PolicyHost, PolicySite

Server = Destination | PolicySite


class Servers:
    """Mail servers by host name in *destinations*, policy sites by domain in *sites*."""

    def __init__(self, authority: Authority, block: LoopbackBlock, port: int, policy_port: int) -> None:
        self.destinations: dict[str, Destination] = {}
        self.sites: dict[str, PolicySite] = {}
        self._authority = authority
        self._block = block
        self._port = port
        self._policy_host = PolicyHost(authority.issue(Leaf(("nobody.test",))), policy_port)
        self._listening: list[Server] = []

    def add(self, domains: Iterable[Domain]) -> list[Server]:
        """Make the servers of *domains* that do not exist yet; return those that shall listen."""
        before = len(self._listening)
        for domain in domains:
            for host in domain.hosts:
                if host.name(domain.name) not in self.destinations:
                    self._add_destination(host, host.name(domain.name))
            if domain.policy is not None and domain.name not in self.sites:
                self._add_site(domain.policy, domain.name)
        return self._listening[before:]

    def _add_destination(self, host: MailHost, name: str) -> None:
        certificate = self._authority.issue(host.leaf or Leaf((name,)))
        server = Destination(name, self._block.next(), self._port, certificate, host.script)
        self.destinations[name] = server
        if host.listening:
            self._listening.append(server)

    def _add_site(self, policy: Policy, domain: str) -> None:
        certificate = self._authority.issue(policy.leaf or Leaf((f"mta-sts.{domain}",)))
        site = PolicySite(self._policy_host, domain, self._block.next(), certificate, policy.answer)
        self._policy_host.add(site)
        self.sites[domain] = site
        if policy.listening:
            self._listening.append(site)

    def records(self, domain: Domain) -> tuple[str, ...]:
        """Return all records of *domain*, as a zone file writes them."""
        own = (record.replace("{port}", str(self._port)) for record in domain.records)
        hosts = (record for host in domain.hosts for record in self._host_records(domain, host))
        return (*own, *hosts, *self._policy_records(domain))

    def _host_records(self, domain: Domain, host: MailHost) -> Iterator[str]:
        name = host.name(domain.name)
        server = self.destinations[name]
        yield f"{name}. A {server.address}"
        if host.preference is not None:
            yield f"@ MX {host.preference} {name}."
        for form in host.tlsa:
            yield f"_{self._port}._tcp.{name}. TLSA {server.certificate.tlsa(form)}"

    def _policy_records(self, domain: Domain) -> Iterator[str]:
        if domain.policy is not None:
            yield f"mta-sts A {self.sites[domain.name].address}"
            if domain.policy.txt is not None:
                yield f'_mta-sts TXT "{domain.policy.txt}"'

    def _all(self) -> list[Server]:
        return [*self.destinations.values(), *self.sites.values()]

    def busy(self) -> list[str]:
        """Return the names of the mail servers with open connections."""
        return sorted(name for name, server in self.destinations.items() if server.busy)

    async def listen(self, servers: Iterable[Server]) -> None:
        """Start *servers*; raises LabError if an address cannot be bound."""
        for server in servers:
            await server.start()

    async def stop(self) -> None:
        """Stop all servers and abort every connection."""
        for server in self._all():
            await server.stop()
        await self._policy_host.abort()

    async def reset(self) -> None:
        """Set all servers to what they were made for; let those listen that shall."""
        await self.stop()
        for server in self._all():
            server.reset()
        await self.listen(self._listening)
