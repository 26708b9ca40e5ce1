"""What others rely on: names, words, keys and codes that do not change without notice."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
from pydantic import BaseModel

from requiretls_lab.authority import Authority, Leaf
from requiretls_plugin import plugins
from requiretls_plugin.cli import requiretls
from requiretls_plugin.cli.exit_code import ExitCode
from requiretls_plugin.delivery.outcome import Disposition
from requiretls_plugin.level import Level
from requiretls_plugin.reason import Reason
from requiretls_plugin.requirement import Origin, Requirement
from requiretls_plugin.security import Security
from requiretls_plugin.settings import DEFAULT_PATH, ENVIRONMENT_VARIABLE, Settings

SETTINGS = """
hostname = "mx.sender.example"             # EHLO name and Reporting-MTA; default: the machine's FQDN

[dns]
nameservers = ["127.0.0.1:53"]             # "ip", "ip:port", "[v6]:port", "tls://name@ip:port"
trust_ad = "loopback"                      # "loopback": AD counts from loopback and verified DoT
timeout = 5.0                              # seconds for one lookup

[tls]
ca_file = "ca-certificates.crt"            # anchors for MX hosts; default: the system's
minimum_version = "1.2"

[mta_sts]
enabled = true
port = 443
ca_file = "ca-certificates.crt"            # default: tls.ca_file
accept_testing = false
fetch_timeout = 60.0

[cache]
url = "sqlite:///var/lib/requiretls/cache.sqlite"  # default: "memory:"; "redis://host:6379/0"

[delivery]
port = 25                                  # also the port in the TLSA name
smarthost = "relay.example.net:587"        # absent: direct to MX
connect_timeout = 30.0
command_timeout = 300.0
data_timeout = 600.0
total_timeout = 900.0
max_connections = 50
max_connections_per_host = 5

[receive]
advertise = true
certificate = "fullchain.pem"
private_key = "key.pem"
trusted_hops = ["127.0.0.1", "::1"]

[levels]                                   # exact domain, then ".parent", then "*"; first match wins
"*" = "enforce"
"partner.example" = "opportunistic+starttls"

[tls_required_no]
honor = true

[bounce]
requiretls = "prefer"                      # or "redact"

[reports]
tlsrpt_socket = "/run/tlsrpt/collectd.sock"   # absent: no reports
"""


@pytest.fixture
def settings_file(tmp_path: Path) -> Path:
    """The settings above, beside the files they name."""
    authority = Authority(tmp_path)
    certificate = authority.issue(Leaf(("mx.sender.example",)))
    shutil.copy(certificate.chain_file, tmp_path / "fullchain.pem")
    shutil.copy(certificate.key_file, tmp_path / "key.pem")
    shutil.copy(authority.ca_file, tmp_path / "ca-certificates.crt")
    file = tmp_path / "requiretls.toml"
    file.write_text(SETTINGS, encoding="utf-8")
    return file


def plain(settings: BaseModel) -> dict[str, Any]:
    """Return sections and values as TOML would have them."""
    values: dict[str, Any] = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        values[name] = plain(value) if isinstance(value, BaseModel) else value
    return values


def test_every_setting_is_taken_as_it_is_written(settings_file: Path) -> None:
    """Key by key, with the value it has there."""
    table, settings = tomllib.loads(SETTINGS), plain(Settings.load(settings_file))
    for section, keys in table.items():
        if section in {"hostname", "levels"}:
            continue
        for key, value in keys.items():
            got = settings[section][key]
            if isinstance(value, list):
                assert [str(each) for each in got] == value, key
            elif isinstance(got, Path):
                assert got == settings_file.parent / value, key
            elif isinstance(value, str):
                assert str(got) == value, key
            else:
                assert got == value, key
    assert str(settings["hostname"]) == table["hostname"]
    assert {name: level.value for name, level in settings["levels"].levels.items()} == table["levels"]


def test_the_defaults_are_those_that_are_written_there(settings_file: Path) -> None:
    """An operator who leaves a key out gets what he reads."""
    optional = {"certificate", "private_key", "ca_file", "smarthost", "tlsrpt_socket", "nameservers", "url"}
    written, defaults = plain(Settings.load(settings_file)), plain(Settings())
    for section, keys in tomllib.loads(SETTINGS).items():
        if isinstance(keys, dict) and section != "levels":
            for key in keys.keys() - optional:
                assert defaults[section][key] == written[section][key], key
    assert {defaults["delivery"]["smarthost"], defaults["reports"]["tlsrpt_socket"]} == {None}
    assert defaults["cache"]["url"] == "memory:"


def test_where_the_settings_are() -> None:
    """And where plugins are looked for."""
    assert str(DEFAULT_PATH) == "/etc/requiretls.toml"
    assert ENVIRONMENT_VARIABLE == "REQUIRETLS_CONFIG"
    assert plugins.ENTRY_POINT_GROUP == "requiretls"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Requirement, "required unstated optional"),
        (Origin, "mail-parameter header-field trusted-hop app list-rule plugin"),
        (Level, "enforce opportunistic+starttls opportunistic"),
        (Disposition, "delivered deferred failed"),
        (
            Security,
            "dane dnssec-pkix sts-pkix implicit-pkix named-pkix encrypted cleartext",
        ),
        (
            Reason,
            "requiretls-not-offered starttls-not-offered starttls-refused tls-handshake-failed"
            " certificate-not-trusted certificate-expired certificate-name-mismatch dane-mismatch"
            " name-not-proven sts-mismatch sts-unavailable dns-failure dnssec-bogus null-mx no-such-domain"
            " host-unreachable rejected connection-lost protocol-violation configuration",
        ),
    ],
    ids=lambda value: getattr(value, "__name__", "words"),
)
def test_words_are_stable(kind: type[Any], words: str) -> None:
    """Logs, JSON and settings use them."""
    assert {member.value for member in kind} == set(words.split())


def test_exit_codes_are_stable() -> None:
    """Scripts rely on them (sysexits.h)."""
    names = ("OK", "USAGE", "FAILED", "TRY_AGAIN", "SETTINGS")
    assert [ExitCode[name].value for name in names] == [0, 64, 69, 75, 78]


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("send", {"--from", "--require-tls", "--tls-optional", "--ret", "--envid"}),
        ("check", set()),
        ("policies", None),
    ],
)
def test_commands_have_their_options(command: str, options: set[str] | None) -> None:
    """`--config` and `--json` everywhere."""
    found = requiretls.commands[command]
    commands = found.commands.values() if isinstance(found, click.Group) else [found]
    for each in commands:
        names = {name for parameter in each.params for name in parameter.opts}
        assert names >= {"--config", "--json"} | (options or set()), each.name
