"""Settings are read once, and every mistake in them is told at once, with what to do."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from requiretls_lab.authority import EXPIRED, NOT_YET_VALID, Authority, Leaf
from requiretls_plugin import settings as module
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.errors import SettingsError
from requiretls_plugin.level import Level
from requiretls_plugin.settings import ENVIRONMENT_VARIABLE, Settings, TLSSettings

HERE = Path(__file__).parent


def problems_in(table: dict[str, Any], folder: Path = HERE) -> tuple[str, ...]:
    """Return the mistakes that are told about *table*."""
    with pytest.raises(SettingsError) as raised:
        Settings.from_table(table, source="test.toml", folder=folder)
    return raised.value.problems


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        pytest.param({"dsn": {}}, "dsn: unknown key; is dns meant?", id="a section misspelt"),
        pytest.param(
            {"dns": {"timout": 5.0}}, "dns.timout: unknown key; is timeout meant?", id="a key misspelt"
        ),
        pytest.param({"tls": {"colour": 1}}, "tls.colour: unknown key; remove it", id="a key like no other"),
        pytest.param(
            {"mta_sts": True},
            "mta_sts: write a section of that name, in brackets (given: true)",
            id="no section",
        ),
        pytest.param(
            {"mta_sts": {"enabled": "yes"}},
            'mta_sts.enabled: write true or false (given: "yes")',
            id="a string for a boolean",
        ),
        pytest.param(
            {"mta_sts": {"enabled": 1}},
            "mta_sts.enabled: write true or false (given: 1)",
            id="a number for it",
        ),
        pytest.param(
            {"delivery": {"port": "25"}},
            'delivery.port: write a whole number (given: "25")',
            id="a string for a number",
        ),
        pytest.param(
            {"delivery": {"port": True}},
            "delivery.port: write a whole number (given: true)",
            id="true for it",
        ),
        pytest.param(
            {"delivery": {"port": 25.5}}, "delivery.port: write a whole number (given: 25.5)", id="a fraction"
        ),
        pytest.param(
            {"delivery": {"port": 70_000}},
            "delivery.port: has to be less than or equal to 65535 (given: 70000)",
            id="no port",
        ),
        pytest.param(
            {"dns": {"timeout": "5"}}, 'dns.timeout: write a number (given: "5")', id="a string for seconds"
        ),
        pytest.param(
            {"dns": {"timeout": 0}}, "dns.timeout: has to be greater than 0 (given: 0)", id="no time at all"
        ),
        pytest.param(
            {"dns": {"timeout": float("inf")}},
            "dns.timeout: write a finite number (given: Infinity)",
            id="for ever",
        ),
        pytest.param(
            {"dns": {"timeout": float("nan")}}, "dns.timeout: write a finite number (given: NaN)", id="nan"
        ),
        pytest.param(
            {"dns": {"nameservers": "127.0.0.1"}},
            'dns.nameservers: write a list in brackets (given: "127.0.0.1")',
            id="one for a list",
        ),
        pytest.param(
            {"dns": {"nameservers": []}},
            "dns.nameservers: name at least one, or leave the key out (given: [])",
            id="an empty list",
        ),
        pytest.param(
            {"dns": {"nameservers": ["127.0.0.1", "dns.example"]}},
            "dns.nameservers[1]: 'dns.example' is not an IP address; resolvers are named by address"
            ' (given: "dns.example")',
            id="a resolver by name",
        ),
        pytest.param(
            {"dns": {"nameservers": [5]}},
            "dns.nameservers[0]: write it as a string in quotes (given: 5)",
            id="a number for a resolver",
        ),
        pytest.param(
            {"dns": {"trust_ad": "sometimes"}},
            "dns.trust_ad: has to be 'loopback', 'always' or 'never' (given: \"sometimes\")",
            id="another word",
        ),
        pytest.param(
            {"tls": {"minimum_version": 1.2}},
            "tls.minimum_version: has to be '1.2' or '1.3' (given: 1.2)",
            id="a version as a number",
        ),
        pytest.param(
            {"tls": {"minimum_version": "1.0"}},
            "tls.minimum_version: has to be '1.2' or '1.3' (given: \"1.0\")",
            id="a version too old",
        ),
        pytest.param(
            {"hostname": "mx_.-"},
            "hostname: 'mx_.-' is no domain name: label '-' (given: \"mx_.-\")",
            id="no name",
        ),
        pytest.param(
            {"cache": {"url": "mysql://localhost"}},
            'cache.url: write memory:, sqlite:///path or redis://host:port/db (given: "mysql://localhost")',
            id="another cache",
        ),
        pytest.param(
            {"delivery": {"smarthost": "relay.example:smtp"}},
            "delivery.smarthost: 'relay.example:smtp' is not of the form host:port"
            ' (given: "relay.example:smtp")',
            id="a port by name",
        ),
        pytest.param(
            {"receive": {"trusted_hops": ["10.0.0.0/8"]}},
            "receive.trusted_hops[0]: '10.0.0.0/8' does not appear to be an IPv4 or IPv6 address"
            ' (given: "10.0.0.0/8")',
            id="a network for an address",
        ),
        pytest.param(
            {"bounce": {"requiretls": "always"}},
            "bounce.requiretls: has to be 'prefer' or 'redact' (given: \"always\")",
            id="another bounce",
        ),
        pytest.param(
            {"tls": {"ca_file": "a\0b"}},
            'tls.ca_file: is no file name (given: "a\\u0000b")',
            id="NUL in a path",
        ),
        pytest.param(
            {"tls": {"ca_file": ""}}, 'tls.ca_file: is no file name (given: "")', id="an empty path"
        ),
        pytest.param(
            {"reports": {"tlsrpt_socket": 1}},
            "reports.tlsrpt_socket: write it as a string in quotes (given: 1)",
            id="a number for a path",
        ),
    ],
)
def test_a_mistake_is_told_with_its_key_its_remedy_and_its_value(table: dict[str, Any], problem: str) -> None:
    """In words that an operator can act on; nothing is coerced."""
    assert problems_in(table) == (problem,)


def test_every_mistake_in_the_levels_is_told() -> None:
    """Each with the key it belongs to."""
    levels = {"a.example": "may", "*.b.example": "enforce", "c d": "enforce", "e.example": ["enforce"]}
    words = "write one of enforce, opportunistic+starttls, opportunistic"
    assert problems_in({"levels": levels}) == (
        f'levels."a.example": {words} (given: "may")',
        'levels."*.b.example": write .b.example for all domains below b.example (given: "enforce")',
        "levels.\"c d\": 'c d' is no domain name: label 'c d' (given: \"enforce\")",
        f'levels."e.example": {words} (given: ["enforce"])',
    )


def test_a_domain_has_one_level() -> None:
    """Two spellings of it would leave to chance which one counts."""
    levels = {"Partner.example": "enforce", "partner.example": "opportunistic"}
    [problem] = problems_in({"levels": levels})
    assert problem == 'levels."partner.example": the same domain again (given: "opportunistic")'


def test_levels_are_no_list() -> None:
    """The remedy shows the form."""
    [problem] = problems_in({"levels": ["enforce"]})
    assert "write a section [levels]" in problem


def test_all_mistakes_are_told_together(tmp_path: Path) -> None:
    """Values and files, in one error that prints one line for each."""
    (tmp_path / "ca.pem").write_text("nothing")
    table = {
        "wrong": 1,
        "tls": {"ca_file": "ca.pem"},
        "mta_sts": {"ca_file": "absent.pem", "port": "443"},
        "receive": {"certificate": "absent.pem"},
    }
    with pytest.raises(SettingsError) as raised:
        Settings.from_table(table, source="/etc/requiretls.toml", folder=tmp_path)
    assert str(raised.value).splitlines() == [
        "/etc/requiretls.toml:",
        '  mta_sts.port: write a whole number (given: "443")',
        "  wrong: unknown key; remove it",
        f"  tls.ca_file: {tmp_path}/ca.pem: no PEM certificates in it; name a file of trust anchors",
        f"  mta_sts.ca_file: {tmp_path}/absent.pem: No such file or directory; create the file or correct"
        " the setting",
        "  receive.private_key: missing; certificate and private key go together",
        f"  receive.certificate: {tmp_path}/absent.pem: No such file or directory; create the file or"
        " correct the setting",
    ]


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("delivery", "smarthost", "user:s3cret@relay.example:587"),
        ("delivery", "smarthost", "smtp://user:s3cret@relay.example"),
        ("cache", "url", "redis:/:s3cret@cache.example"),
        ("cache", "url", "redis://:s3cret/@cache.example:6379/0"),
        ("cache", "url", "redis://:s3cret#@cache.example:6379/0"),
        ("cache", "url", "redis://:s3cret[@cache.example:6379/0"),
    ],
)
def test_attack_a_password_in_the_wrong_place_is_not_shown(section: str, key: str, value: str) -> None:
    """The mistake goes to logs and terminals; what is behind the password still says which one it is."""
    [problem] = problems_in({section: {key: value}})
    assert "s3cret" not in problem
    assert value.rpartition("@")[2] in problem


def test_attack_a_long_value_is_shown_in_part() -> None:
    """The error is for a screen."""
    [problem] = problems_in({"hostname": ["x" * 100_000]})
    assert len(problem) < 200


# Certificate and key


Pair = Callable[[Leaf], dict[str, str]]


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    """Issue a certificate; return the `receive` section that names it and its key."""
    authority = Authority(tmp_path)

    def issued(leaf: Leaf) -> dict[str, str]:
        certificate = authority.issue(leaf)
        return {"certificate": str(certificate.chain_file), "private_key": str(certificate.key_file)}

    return issued


def test_a_certificate_with_its_key_is_taken(pair: Pair) -> None:
    """The chain may stand in the same file."""
    section = pair(Leaf(("mx.example",)))
    settings = Settings.from_table({"receive": section}, source="", folder=HERE)
    assert str(settings.receive.certificate) == section["certificate"]


def test_an_expired_certificate_is_told_with_its_date(pair: Pair) -> None:
    """Nobody would take mail to it."""
    [problem] = problems_in({"receive": pair(Leaf(("mx.example",), days=EXPIRED))})
    assert "receive.certificate: " in problem
    day = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=EXPIRED[1])
    assert f"expired on {day:%Y-%m-}" in problem
    assert problem.endswith("; renew it")


def test_a_certificate_of_tomorrow_is_told(pair: Pair) -> None:
    """Often it is the clock."""
    [problem] = problems_in({"receive": pair(Leaf(("mx.example",), days=NOT_YET_VALID))})
    assert problem.endswith("is the clock right?")


def test_another_certificates_key_is_told(pair: Pair) -> None:
    """Together with everything else about the two."""
    section = pair(Leaf(("mx.example",), days=EXPIRED))
    section["private_key"] = pair(Leaf(("mx.example",)))["private_key"]
    expired, foreign = problems_in({"receive": section})
    assert "expired" in expired
    assert foreign.startswith("receive.private_key: ")
    assert f"does not belong to {section['certificate']}; name its own key" in foreign


@pytest.mark.parametrize("given", ["certificate", "private_key"])
def test_one_of_the_two_alone_is_told_and_still_looked_at(pair: Pair, given: str) -> None:
    """The other is missing, and the one may be broken as well."""
    section = {given: pair(Leaf(("mx.example",)))["certificate" if given == "private_key" else "private_key"]}
    missing, broken = problems_in({"receive": section})
    assert missing.endswith("missing; certificate and private key go together")
    assert broken.startswith(f"receive.{given}: ")


def test_a_key_with_a_pass_phrase_is_told(pair: Pair) -> None:
    """There is nobody to type it."""
    section = pair(Leaf(("mx.example",)))
    file = Path(section["private_key"])
    key = serialization.load_pem_private_key(file.read_bytes(), None)
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    [problem] = problems_in({"receive": section})
    assert problem.endswith("no unencrypted PEM private key in it")


WEAK_KEY = """-----BEGIN EC PRIVATE KEY-----
MD4CAQEEDjT2sh9ZcNc2UH6uJW+HoAcGBSuBBAAGoSADHgAEc0Bnm180MTf+S5qV
cCxEAi4nk8ryfsVpc1dFRw==
-----END EC PRIVATE KEY-----
"""


def test_a_key_of_a_kind_that_nobody_supports_is_told(pair: Pair) -> None:
    """Here on the curve secp112r1."""
    section = pair(Leaf(("mx.example",)))
    Path(section["private_key"]).write_text(WEAK_KEY)
    [problem] = problems_in({"receive": section})
    assert problem.endswith("no unencrypted PEM private key in it")


@pytest.mark.parametrize(
    "content", [b"", b"\0\xff", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_files_without_what_they_should_hold_are_told(tmp_path: Path, content: bytes) -> None:
    """Whatever is in them."""
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(content)
    table = {"tls": {"ca_file": "a"}, "receive": {"certificate": "b", "private_key": "c"}}
    assert [problem.split(":")[0] for problem in problems_in(table, tmp_path)] == [
        "tls.ca_file",
        "receive.certificate",
        "receive.private_key",
    ]


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """The system's own words."""
    [problem] = problems_in({"tls": {"ca_file": "."}}, tmp_path)
    assert "Is a directory" in problem


# Where they come from


def test_relative_names_are_below_the_settings_file(tmp_path: Path) -> None:
    """Wherever the process was started."""
    authority = Authority(tmp_path)
    (tmp_path / "etc").mkdir()
    file = tmp_path / "etc" / "requiretls.toml"
    name = os.path.relpath(authority.ca_file, file.parent)
    file.write_text(f'[tls]\nca_file = "{name}"\n[reports]\ntlsrpt_socket = "collectd.sock"\n')
    settings = Settings.load(file)
    assert settings.tls.ca_file is not None
    assert settings.tls.ca_file.samefile(authority.ca_file)
    assert settings.reports.tlsrpt_socket == file.parent / "collectd.sock"


def test_a_name_given_beats_the_environment_and_that_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--config`, `$REQUIRETLS_CONFIG`, /etc/requiretls.toml, and without any of them the defaults."""
    for name in ("given", "environment", "default"):
        (tmp_path / name).write_text(f'hostname = "{name}.example"')
    monkeypatch.setattr(module, "DEFAULT_PATH", tmp_path / "absent")
    monkeypatch.delenv(ENVIRONMENT_VARIABLE, raising=False)
    assert Settings.load() == Settings()
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "")
    assert Settings.load() == Settings()
    monkeypatch.setattr(module, "DEFAULT_PATH", tmp_path / "default")
    assert str(Settings.load().hostname) == "default.example"
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path / "environment"))
    assert str(Settings.load().hostname) == "environment.example"
    assert str(Settings.load(tmp_path / "given").hostname) == "given.example"


@pytest.mark.parametrize("how", ["argument", "environment"])
def test_a_file_that_was_named_has_to_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Unlike the default one: the defaults would not be what the operator meant."""
    absent = tmp_path / "absent.toml"
    if how == "environment":
        monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(absent))
    with pytest.raises(SettingsError) as raised:
        Settings.load(absent if how == "argument" else None)
    assert raised.value.source == str(absent)
    assert raised.value.problems == (
        "cannot be read: No such file or directory; name the settings file with --config",
    )


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"[dns", id="an open bracket"),
        pytest.param(b"hostname = mx.example", id="no quotes"),
        pytest.param(b'hostname = "\xff"', id="no UTF-8"),
        pytest.param(b'hostname = "a"\nhostname = "b"', id="a key twice"),
    ],
)
def test_what_is_no_toml_is_told(tmp_path: Path, content: bytes) -> None:
    """With the place in the file, where there is one."""
    file = tmp_path / "requiretls.toml"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match="is not TOML"):
        Settings.load(file)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("hostname = " + "9" * 5000, id="a number of thousands of digits"),
        pytest.param("hostname = " + "[" * 5000, id="lists in lists in lists"),
        pytest.param("hostname = " + "{a = " * 5000, id="tables in tables in tables"),
    ],
)
def test_attack_a_file_that_overstrains_the_parser_is_told(tmp_path: Path, content: str) -> None:
    """Python's own parser raises other errors for these."""
    file = tmp_path / "requiretls.toml"
    file.write_text(content, encoding="utf-8")

    with pytest.raises(SettingsError, match="is not TOML"):
        Settings.load(file)


# What they are


def test_levels_are_parsed_names() -> None:
    """Upper case and U-labels mean the same domain."""
    table = {"levels": {"BÜCHER.example": "opportunistic", ".Partner.example": "opportunistic+starttls"}}
    levels = Settings.from_table(table, source="", folder=HERE).levels
    assert levels.level_of(DomainName("xn--bcher-kva.example")) is Level.OPPORTUNISTIC
    assert levels.level_of(DomainName("mx.partner.example")) is Level.OPPORTUNISTIC_STARTTLS


def test_whole_numbers_are_seconds_too() -> None:
    """`timeout = 5` is as good as 5.0."""
    assert Settings.from_table({"dns": {"timeout": 5}}, source="", folder=HERE).dns.timeout == 5.0


def test_paths_may_be_given_in_code() -> None:
    """Host servers build settings, too."""
    assert TLSSettings(ca_file=HERE).ca_file == HERE


def test_settings_do_not_change() -> None:
    """They are read once."""
    with pytest.raises(ValueError, match="frozen"):
        Settings().hostname = DomainName("other.example")


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
_VALUES = (
    _SCALARS | st.lists(_SCALARS, max_size=3) | st.dictionaries(st.text(max_size=5), _SCALARS, max_size=3)
)


@given(st.data())
def test_any_value_at_any_key_is_taken_or_told(data: st.DataObject) -> None:
    """Never another exception; and what is told names the key."""
    section = data.draw(st.sampled_from(sorted(Settings.model_fields)))
    value: Any = data.draw(_VALUES)
    keys = getattr(Settings.model_fields[section].annotation, "model_fields", None)
    if keys and data.draw(st.booleans()):
        value = {data.draw(st.sampled_from(sorted(keys))): value}
    problems: tuple[str, ...] = ()
    try:
        Settings.from_table({section: value}, source="", folder=HERE / "absent")
    except SettingsError as error:
        problems = error.problems
    assert all(problem.startswith(section) for problem in problems)
