"""The settings: one TOML file, read once, every mistake reported together."""

from __future__ import annotations

import os
import socket
import tomllib
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.errors import SettingsError
from requiretls_plugin.level import LevelTable
from requiretls_plugin.list_policy import MailmanSettings
from requiretls_plugin.settings_files import file_problems
from requiretls_plugin.settings_mistakes import mistakes_of
from requiretls_plugin.settings_section import Section
from requiretls_plugin.settings_values import (
    Addresses,
    CacheURL,
    Connections,
    FilePath,
    HostName,
    Levels,
    ListeningPlace,
    LocalHops,
    MailServer,
    Port,
    Resolvers,
    Seconds,
    Word,
)

DEFAULT_PATH = Path("/etc/requiretls.toml")
ENVIRONMENT_VARIABLE = "REQUIRETLS_CONFIG"


def _fqdn() -> DomainName:
    try:
        return DomainName.parse(socket.getfqdn())
    except ValueError:
        return DomainName("localhost")


class DNSSettings(Section):
    """How DNS is asked, and whose word about DNSSEC counts."""

    backend: Literal["stub", "libunbound"] = "stub"
    """`stub`: the nameservers validate; `libunbound`: this process does, with libunbound.so.8."""
    nameservers: Resolvers | None = None
    """`ip`, `ip:port`, `[v6]:port` or `tls://name@ip:port`; default: those of /etc/resolv.conf."""
    trust_ad: Literal["loopback", "always", "never"] = "loopback"
    """`loopback`: the AD bit counts from loopback addresses and over verified DNS over TLS."""
    timeout: Seconds = 5.0
    """Seconds for one lookup."""
    trust_anchor_file: FilePath | None = None
    """For `libunbound`: DS or DNSKEY records; default: the system's root.key, without `libunbound_config`."""
    libunbound_config: FilePath | None = None
    """For `libunbound`: an unbound.conf with more to set, such as forward zones."""


class TLSSettings(Section):
    """TLS to mail servers."""

    ca_file: FilePath | None = None
    """PEM file with the trust anchors for mail servers; default: the system's."""
    minimum_version: Literal["1.2", "1.3"] = "1.2"
    """The lowest TLS version wherever authentication is demanded."""


class MTASTSSettings(Section):
    """MTA-STS (RFC 8461)."""

    enabled: bool = True
    """Whether recipient domains' MTA-STS policies are looked up at all."""
    port: Port = 443
    """TCP port of the policy hosts."""
    ca_file: FilePath | None = None
    """PEM file with the trust anchors for policy hosts; default: `tls.ca_file`."""
    accept_testing: bool = False
    """Whether a policy in mode `testing` proves host names for REQUIRETLS."""
    fetch_timeout: Seconds = 60.0
    """Seconds for fetching one policy, everything included."""


class CacheSettings(Section):
    """Where MTA-STS policies are kept."""

    url: CacheURL = "memory:"
    """`memory:`, `sqlite:///path` or `redis://host:port/db`."""


class DeliverySettings(Section):
    """Outgoing mail."""

    port: Port = 25
    """TCP port of mail servers; also the port in the TLSA name."""
    smarthost: MailServer | None = None
    """`host:port` that takes all mail; absent: mail goes to the MX hosts. Port 465 means TLS at once."""
    smarthost_user: Word | None = None
    """Who to log in as at the smarthost, which has to prove its name first."""
    smarthost_password_file: FilePath | None = None
    """File with the password in its first line; without it $REQUIRETLS_SMARTHOST_PASSWORD counts."""
    trusted_local_hops: LocalHops = frozenset()
    """`unix:/path` or `ip:port` of LMTP servers that mail may be handed to without TLS."""
    connect_timeout: Seconds = 30.0
    """Seconds for one TCP connection."""
    command_timeout: Seconds = 300.0
    """Seconds for the reply to one command, and for the TLS handshake."""
    data_timeout: Seconds = 600.0
    """Seconds for the reply to the end of the message."""
    total_timeout: Seconds = 900.0
    """Seconds for one delivery to one destination, all its hosts included."""
    max_connections: Connections = 50
    """How many outgoing connections may be open at once; one in eight is for hosts that were prompt last."""
    max_connections_per_host: Connections = 5
    """How many of them to one host."""


class ReceiveSettings(Section):
    """Incoming mail."""

    advertise: bool = True
    """Whether REQUIRETLS is offered (inside TLS only, whatever this says)."""
    certificate: FilePath | None = None
    """PEM file: our certificate, then the chain above it; a replaced one is used without a restart."""
    private_key: FilePath | None = None
    """PEM file with the certificate's private key."""
    trusted_hops: Addresses = (
        IPv4Address("127.0.0.1"),
        IPv6Address("::1"),
    )
    """IP addresses whose `Require-TLS-ESMTP: yes` header field is believed."""


class TLSRequiredNoSettings(Section):
    """The header field `TLS-Required: No`."""

    honor: bool = True
    """Whether it sets the recipient domain's TLS policy aside (RFC 8689 section 4.2.2)."""


class BounceSettings(Section):
    """Non-delivery notices about REQUIRETLS messages (RFC 8689 section 5)."""

    requiretls: Literal["prefer", "redact"] = "prefer"
    """`prefer`: under REQUIRETLS, redacted where the return path cannot; `redact`: always redacted."""


class ReportSettings(Section):
    """Reports on TLS to recipient domains (RFC 8460)."""

    tlsrpt_socket: FilePath | None = None
    """UNIX datagram socket of tlsrpt-collectd; absent: no reports."""


class LogSettings(Section):
    """The log of sessions and outcomes; where it goes is up to the host server."""

    format: Literal["text", "json"] = "text"
    """`text`: Postfix's grammar; `json`: one JSON object for each line."""


class MetricsSettings(Section):
    """Figures for Prometheus; needs the extra `metrics`."""

    listen: ListeningPlace | None = None
    """`ip:port` where they can be fetched from, without TLS or password; absent: nowhere."""


class Settings(Section):
    """All settings. `Settings()` has the defaults; `Settings.load` reads a file."""

    hostname: HostName = Field(default_factory=_fqdn)
    """The name in EHLO and Reporting-MTA; default: the machine's."""
    dns: DNSSettings = DNSSettings()
    tls: TLSSettings = TLSSettings()
    mta_sts: MTASTSSettings = MTASTSSettings()
    cache: CacheSettings = CacheSettings()
    delivery: DeliverySettings = DeliverySettings()
    receive: ReceiveSettings = ReceiveSettings()
    levels: Levels = LevelTable()
    """By recipient domain, also where a smarthost or a plugin's host takes its mail."""
    tls_required_no: TLSRequiredNoSettings = TLSRequiredNoSettings()
    bounce: BounceSettings = BounceSettings()
    reports: ReportSettings = ReportSettings()
    mailman: MailmanSettings = MailmanSettings()
    log: LogSettings = LogSettings()
    metrics: MetricsSettings = MetricsSettings()

    @classmethod
    def load(cls, path: str | Path | None = None) -> Settings:
        """Read the settings from *path*, `$REQUIRETLS_CONFIG` or /etc/requiretls.toml.

        File names in the file are relative to its folder. If neither *path*
        nor the variable names a file and the default one does not exist, the
        defaults count. Raises SettingsError with every mistake: unknown keys,
        wrong types, missing files, an expired certificate, a key that does not
        fit. Whether servers named can be reached is not checked.
        """
        named = path or os.environ.get(ENVIRONMENT_VARIABLE)
        if not named and not DEFAULT_PATH.exists():
            return cls()
        file = Path(named or DEFAULT_PATH)
        try:
            table = tomllib.loads(file.read_text(encoding="utf-8"))
        except OSError as error:
            problem = f"cannot be read: {error.strerror}; name the settings file with --config"
            raise SettingsError(str(file), [problem]) from None
        except ValueError as error:  # not TOML, not UTF-8, or a number of thousands of digits
            raise SettingsError(str(file), [f"is not TOML: {error}"]) from None
        except RecursionError:
            raise SettingsError(str(file), ["is not TOML for settings: it is nested too deeply"]) from None
        return cls.from_table(table, source=str(file), folder=file.resolve().parent)

    @classmethod
    def from_table(cls, table: Mapping[str, Any], *, source: str, folder: Path) -> Settings:
        """Return the settings in *table*, the content of a TOML file; raises SettingsError.

        *source* names the table in errors; relative file names are below *folder*.
        """
        problems: list[str] = []
        try:
            settings = cls.model_validate(table, context=folder)
        except ValidationError as error:
            problems = mistakes_of(error, cls)
        problems += file_problems(table, folder)
        if problems:
            raise SettingsError(source, problems)
        return settings
