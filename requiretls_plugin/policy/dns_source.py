"""The resolver that the settings choose."""

from __future__ import annotations

from pathlib import Path

from requiretls_plugin.policy.dns import StubResolver
from requiretls_plugin.policy.dns_lookup import CachedLookups
from requiretls_plugin.policy.libunbound import LibunboundResolver
from requiretls_plugin.settings import DNSSettings


def dns_source(settings: DNSSettings, ca_file: Path | None = None) -> CachedLookups:
    """Return the DNSSource that *settings* describe; its `close` has to be called at the end.

    *ca_file* has the trust anchors for DNS over TLS; None means the system's.
    Raises SettingsError if it cannot be had. Nothing is asked yet.
    """
    if settings.backend == "libunbound":
        return LibunboundResolver(settings)
    return StubResolver(settings, ca_file=ca_file)
