"""The DNSSource that the settings choose."""

from __future__ import annotations

from pathlib import Path

from requiretls_plugin.policy.answers import DNSSource
from requiretls_plugin.policy.dns import StubResolver
from requiretls_plugin.settings import DNSSettings


def dns_source(settings: DNSSettings, ca_file: Path | None = None) -> DNSSource:
    """Return the resolver that *settings* describe; raises SettingsError if there is none to ask."""
    return StubResolver(settings, ca_file=ca_file)
