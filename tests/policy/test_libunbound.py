"""What is peculiar to validating in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import requiretls_plugin.policy.libunbound
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.errors import SettingsError
from requiretls_plugin.policy.answers import Answer, Found, LookupFailed, MXRecord
from requiretls_plugin.policy.dns_probe import Validation
from requiretls_plugin.policy.dns_source import dns_source
from requiretls_plugin.policy.libunbound import LibunboundResolver
from requiretls_plugin.policy.libunbound_abi import load_library
from requiretls_plugin.settings import DNSSettings
from tests.policy.dns_messages import reply_to
from tests.policy.scripted_nameserver import Answers, scripted_nameserver
from tests.policy.unbound_bed import UnboundBed, unbound_bed

NAME = DomainName("secure.test")


@pytest.fixture(scope="module")
def bed() -> Iterator[UnboundBed]:
    with unbound_bed() as bed:
        yield bed


def settings_for(bed: UnboundBed, **changes: Any) -> DNSSettings:
    own = {
        "backend": "libunbound",
        "nameservers": [bed.not_validating],
        "trust_anchor_file": str(bed.anchor_file),
        "libunbound_config": str(bed.config_file),
    }
    return DNSSettings.model_validate(own | changes)


def mx(settings: DNSSettings, name: DomainName = NAME) -> Answer[MXRecord]:
    async def inside() -> Answer[MXRecord]:
        resolver = LibunboundResolver(settings)
        try:
            return await resolver.mx(name)
        finally:
            resolver.close()

    return asyncio.run(inside())


@pytest.mark.requirement("7672-2.1.1-4")
@pytest.mark.parametrize("trust_ad", ["loopback", "always", "never"])
def test_nobodys_ad_bit_matters(bed: UnboundBed, trust_ad: str) -> None:
    """Signatures are checked here, so a resolver that does not validate will do."""
    answer = mx(settings_for(bed, trust_ad=trust_ad))

    assert isinstance(answer, Found)
    assert answer.secure


@pytest.mark.requirement("7672-2.1.1-4")
def test_attack_forged_answer_with_ad_does_not_validate(bed: UnboundBed) -> None:
    """A resolver that lies about everything gives a failed lookup below a trust anchor."""

    def liar(query: Any) -> Answers:
        return [reply_to(query, "secure.test. 60 MX 10 mx.evil.example.", ad=True).to_wire()]

    async def inside() -> Answer[MXRecord]:
        async with scripted_nameserver(liar) as talk:
            resolver = LibunboundResolver(
                settings_for(bed, nameservers=[f"127.0.0.1:{talk.port}"], timeout=2.0)
            )
            try:
                return await resolver.mx(NAME)
            finally:
                resolver.close()

    assert isinstance(asyncio.run(inside()), LookupFailed)


@pytest.mark.requirement("7672-2.1.1-2")
def test_without_trust_anchor_all_is_insecure(bed: UnboundBed) -> None:
    """As for a zone outside any anchor; a probe shows it."""
    settings = settings_for(bed, trust_anchor_file=None)

    async def probe() -> Validation:
        resolver = LibunboundResolver(settings)
        try:
            return (await resolver.probe("test."))[0].validation
        finally:
            resolver.close()

    answer = mx(settings)

    assert isinstance(answer, Found)
    assert not answer.secure
    assert asyncio.run(probe()) is Validation.DOES_NOT_VALIDATE


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        ("a.root-servers.net.", Validation.DOES_NOT_VALIDATE),
        ("ns.test.", Validation.UNSIGNED_ROOT),
    ],
)
def test_a_root_without_trust_anchor_says_something_if_it_is_the_internets(
    bed: UnboundBed, server: str, expected: Validation
) -> None:
    """A closed network may have one of its own."""

    def root(query: Any) -> Answers:
        return [reply_to(query, f". 60 NS {server}").to_wire()]

    async def inside() -> Validation:
        async with scripted_nameserver(root) as talk:
            place = f"127.0.0.1:{talk.port}"
            resolver = LibunboundResolver(settings_for(bed, nameservers=[place], trust_anchor_file=None))
            try:
                return (await resolver.probe())[0].validation
            finally:
                resolver.close()

    assert asyncio.run(inside()) is expected


def test_the_timeout_ends_a_lookup(bed: UnboundBed) -> None:
    """libunbound itself would wait for minutes."""

    async def inside() -> tuple[Answer[MXRecord], float]:
        loop = asyncio.get_running_loop()
        async with scripted_nameserver() as talk:
            resolver = LibunboundResolver(
                settings_for(bed, nameservers=[f"127.0.0.1:{talk.port}"], timeout=0.1)
            )
            started = loop.time()
            try:
                return await resolver.mx(NAME), loop.time() - started
            finally:
                resolver.close()

    answer, seconds = asyncio.run(inside())

    assert isinstance(answer, LookupFailed)
    assert seconds < 3


def test_closing_with_a_lookup_under_way_is_safe(bed: UnboundBed) -> None:
    """No answer comes for what is no longer there."""

    async def inside() -> None:
        async with scripted_nameserver() as talk:
            resolver = LibunboundResolver(settings_for(bed, nameservers=[f"127.0.0.1:{talk.port}"]))
            waiting = asyncio.create_task(resolver.mx(NAME))
            await asyncio.sleep(0.02)

            resolver.close()

            with pytest.raises(asyncio.CancelledError):
                await waiting

    asyncio.run(inside())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"nameservers": ["tls://dns.test@192.0.2.1"]}, "forward-zone", id="DNS over TLS"),
        pytest.param({"libunbound_config": "/nowhere.conf"}, "libunbound_config", id="no such config"),
    ],
)
def test_settings_that_libunbound_cannot_use_are_reported(
    bed: UnboundBed, changes: dict[str, Any], message: str
) -> None:
    """When it is made, not with the first message."""
    with pytest.raises(SettingsError, match=message):
        LibunboundResolver(settings_for(bed, **changes))


@pytest.mark.parametrize("content", [None, "no anchor\n"], ids=["missing", "malformed"])
def test_attack_a_damaged_trust_anchor_does_not_make_everything_insecure(
    bed: UnboundBed, tmp_path: Path, content: str | None
) -> None:
    """libunbound reads it with the first question, and answers none without it."""
    anchor = tmp_path / "anchor.key"
    if content is not None:
        anchor.write_text(content)

    answer = mx(settings_for(bed, trust_anchor_file=str(anchor)))

    assert isinstance(answer, LookupFailed)


def test_a_system_without_root_key_is_reported(
    bed: UnboundBed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Silently, everything would be insecure."""
    monkeypatch.setattr(requiretls_plugin.policy.libunbound, "ROOT_KEYS", (tmp_path / "root.key",))

    with pytest.raises(SettingsError, match="dns-root-data"):
        LibunboundResolver(settings_for(bed, trust_anchor_file=None, libunbound_config=None))


def test_a_missing_library_is_a_mistake_in_the_settings() -> None:
    """With the package to install in the message."""
    with pytest.raises(SettingsError, match="libunbound8"):
        load_library("libunbound-that-is-not-there.so.8")


def test_the_setting_chooses_the_backend(bed: UnboundBed) -> None:
    """`dns.backend`."""
    chosen = dns_source(settings_for(bed))

    assert isinstance(chosen, LibunboundResolver)
    chosen.close()
