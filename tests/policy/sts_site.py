"""One MTA-STS policy site on loopback, in the test's own event loop."""

from __future__ import annotations

import contextlib
import ipaddress
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass

from requiretls_lab.addresses import LoopbackBlock
from requiretls_lab.authority import Authority, Certificate, Leaf
from requiretls_lab.policy_host import PolicyAnswer, PolicyHost, PolicySite, policy_text
from requiretls_plugin.certificate.tls_context import TLSContexts
from requiretls_plugin.server_address import IPAddress
from requiretls_plugin.settings import MTASTSSettings

DOMAIN = "example.org"
GOOD = policy_text("enforce", "mx.example.org")


@dataclass
class Place:
    """Where the site of example.org is, and how a client trusts it; `site` is what it answers."""

    site: PolicySite
    host: PolicyHost
    authority: Authority
    unused_address: IPAddress

    @property
    def address(self) -> IPAddress:
        """Its address."""
        return ipaddress.ip_address(self.site.address)

    @property
    def context(self) -> ssl.SSLContext:
        """The package's own context for policy hosts, which trusts the laboratory's authority."""
        return TLSContexts(policy_ca_file=self.authority.ca_file).policy_host

    def settings(self, fetch_timeout: float = 5.0) -> MTASTSSettings:
        """Settings that lead to it."""
        return MTASTSSettings(port=self.host.port, fetch_timeout=fetch_timeout)

    def zone(self, policy_id: str = "1") -> dict[str, dict[str, list[str]]]:
        """The domain's records for FakeDNS."""
        return {
            f"_mta-sts.{DOMAIN}": {"TXT": [f"v=STSv1; id={policy_id};"]},
            f"mta-sts.{DOMAIN}": {"A": [self.site.address]},
        }


@contextlib.asynccontextmanager
async def policy_site(
    authority: Authority, answer: PolicyAnswer | None = None, certificate: Certificate | None = None
) -> AsyncIterator[Place]:
    """Serve the policy of example.org while the context lasts."""
    block = LoopbackBlock()
    host = PolicyHost(authority.issue(Leaf(("nobody.test",))), block.free_port())
    certificate = certificate or authority.issue(Leaf((f"mta-sts.{DOMAIN}",)))
    site = PolicySite(host, DOMAIN, block.next(), certificate, answer or PolicyAnswer(GOOD))
    host.add(site)
    await site.start()
    try:
        yield Place(site, host, authority, ipaddress.ip_address(block.next()))
    finally:
        await site.stop()
        await host.abort()
        block.release()
