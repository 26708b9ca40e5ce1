"""The settings: one TOML file, read once, every mistake reported together."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
)

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.errors import SettingsError
from requiretls_plugin.level import Level, LevelTable
from requiretls_plugin.server_address import IPAddress, Nameserver, ServerAddress
from requiretls_plugin.settings_files import file_problems
from requiretls_plugin.settings_mistakes import TableError, mistakes_of

DEFAULT_PATH = Path("/etc/requiretls.toml")
ENVIRONMENT_VARIABLE = "REQUIRETLS_CONFIG"


def _text_parser(parse: Any) -> BeforeValidator:
    def parsed(value: Any) -> Any:
        if not isinstance(value, str):
            raise ValueError("write it as a string in quotes")
        return parse(value)

    return BeforeValidator(parsed)


def _file_path(value: Any, info: ValidationInfo) -> Path:
    """Return the path *value*, relative to the folder that is the context."""
    if not isinstance(value, str | Path):
        raise ValueError("write it as a string in quotes")
    if "\0" in str(value) or not str(value):
        raise ValueError("is no file name")
    return (info.context or Path()) / value


def _not_empty(resolvers: tuple[Nameserver, ...]) -> tuple[Nameserver, ...]:
    if not resolvers:
        raise ValueError("name at least one, or leave the key out")
    return resolvers


def _cache_url(text: str) -> str:
    if not re.fullmatch(r"memory:|sqlite:///.+|rediss?://.+", text):
        raise ValueError("write memory:, sqlite:///path or redis://host:port/db")
    return text


def _level_table(value: Any) -> LevelTable:
    if not isinstance(value, Mapping):
        raise ValueError('write a section [levels] with lines of the form "domain" = "level"')
    levels: dict[str, Level] = {}
    mistakes = []
    for key, word in value.items():
        try:
            name = _level_key(key)
            if name in levels:
                raise ValueError("the same domain again")
            levels[name] = _level(word)
        except ValueError as error:
            mistakes.append((key, str(error), word))
    if mistakes:
        raise TableError(mistakes)
    return LevelTable(levels)


def _level_key(key: str) -> str:
    if key.startswith("*."):
        raise ValueError(f"write {key[1:]} for all domains below {key[2:]}")
    if key == "*":
        return key
    dot = "." if key.startswith(".") else ""
    return dot + DomainName.parse(key.removeprefix(".")).text


def _level(word: Any) -> Level:
    known = [level.value for level in Level]
    if word not in known:
        raise ValueError(f"write one of {', '.join(known)}")
    return Level(word)


Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Port = Annotated[int, Field(ge=1, le=65_535)]
Connections = Annotated[int, Field(ge=1, le=10_000)]
FilePath = Annotated[Path, BeforeValidator(_file_path)]
HostName = Annotated[DomainName, _text_parser(DomainName.parse)]
Resolver = Annotated[Nameserver, _text_parser(Nameserver.parse)]
MailServer = Annotated[ServerAddress, _text_parser(ServerAddress.parse)]
Address = Annotated[IPAddress, _text_parser(ipaddress.ip_address)]
Levels = Annotated[LevelTable, BeforeValidator(_level_table)]
CacheURL = Annotated[str, _text_parser(_cache_url)]


def _fqdn() -> DomainName:
    try:
        return DomainName.parse(socket.getfqdn())
    except ValueError:
        return DomainName("localhost")


class Section(BaseModel):
    """A part of the settings; unknown keys are errors, nothing is coerced."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, arbitrary_types_allowed=True, strict=True, use_attribute_docstrings=True
    )


class DNSSettings(Section):
    """How DNS is asked, and whose word about DNSSEC counts."""

    backend: Literal["stub", "libunbound"] = "stub"
    """`stub`: the nameservers validate; `libunbound`: this process does, with libunbound.so.8."""
    nameservers: Annotated[tuple[Resolver, ...], Field(strict=False), AfterValidator(_not_empty)] | None = (
        None
    )
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
    """`host:port` that takes all mail; absent: mail goes to the MX hosts."""
    connect_timeout: Seconds = 30.0
    """Seconds for one TCP connection."""
    command_timeout: Seconds = 300.0
    """Seconds for the reply to one command, and for the TLS handshake."""
    data_timeout: Seconds = 600.0
    """Seconds for the reply to the end of the message."""
    total_timeout: Seconds = 900.0
    """Seconds for one delivery to one destination, all its hosts included."""
    max_connections: Connections = 50
    """How many outgoing connections may be open at once."""
    max_connections_per_host: Connections = 5
    """How many of them to one host."""


class ReceiveSettings(Section):
    """Incoming mail."""

    advertise: bool = True
    """Whether REQUIRETLS is offered (inside TLS only, whatever this says)."""
    certificate: FilePath | None = None
    """PEM file: our certificate, then the chain above it."""
    private_key: FilePath | None = None
    """PEM file with the certificate's private key."""
    trusted_hops: Annotated[tuple[Address, ...], Field(strict=False)] = (
        ipaddress.IPv4Address("127.0.0.1"),
        ipaddress.IPv6Address("::1"),
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
    tls_required_no: TLSRequiredNoSettings = TLSRequiredNoSettings()
    bounce: BounceSettings = BounceSettings()
    reports: ReportSettings = ReportSettings()

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
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(str(file), [f"is not TOML: {error}"]) from None
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
