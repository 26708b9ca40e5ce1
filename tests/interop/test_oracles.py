"""Postfix and OpenSSL judge the laboratory's servers as we do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from requiretls_lab.catalogue import CATALOGUE
from requiretls_lab.domains import Domain
from requiretls_lab.laboratory import Laboratory
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.engine import Engine
from requiretls_plugin.policy.evidence import NameProof
from requiretls_plugin.preflight import HostReadiness, Readiness
from requiretls_plugin.probes import Probes
from requiretls_plugin.reason import Reason
from tests.delivery.delivering import plugins
from tests.interop.oracle import PosttlsFinger, posttls_finger, s_client_verifies

DOMAINS = [pytest.param(domain, id=domain.name) for domain in CATALOGUE]


@pytest.fixture(scope="module")
def judgements(laboratory: Laboratory) -> dict[str, Readiness]:
    """What we say of every domain."""
    laboratory.reset()

    async def check() -> list[Readiness]:
        async with Engine(laboratory.settings(), plugins()) as engine:
            probes = Probes()
            checks = (engine.check(DomainName.parse(domain.name), probes) for domain in CATALOGUE)
            return await asyncio.gather(*checks)

    return {str(readiness.domain): readiness for readiness in asyncio.run(check())}


@pytest.fixture(scope="module")
def finger(laboratory: Laboratory) -> Iterator[PosttlsFinger]:
    """posttls-finger with the laboratory's DNS."""
    with posttls_finger(laboratory) as finger:
        yield finger


def proven(hosts: tuple[HostReadiness, ...]) -> list[HostReadiness]:
    """Return the hosts whose names are proven; for the others we ask no certificate to prove anything."""
    return [host for host in hosts if host.name_proof is not NameProof.NONE]


@pytest.mark.requirement("8689-2-13", "8689-4.2.1-5", "7672-2.2-1", "7672-3.1.1-1", "7672-3.2-2")
@pytest.mark.parametrize("domain", DOMAINS)
def test_posttls_finger_agrees(
    judgements: dict[str, Readiness], finger: PosttlsFinger, domain: Domain
) -> None:
    """On whether the first host proves who it is, and whether that is by DANE."""
    opinion = finger.probe(domain.name)

    hosts = judgements[domain.name].hosts
    first = proven(hosts[:1])
    if hosts and not first:
        assert not (opinion.by_dane and opinion.verified)  # a chain is all that Postfix can have seen
        return
    authenticated = {host.host for host in first if host.authentication != "none"}
    assert opinion.verified == authenticated
    if authenticated:
        assert opinion.by_dane == (first[0].authentication == "dane")


def test_posttls_finger_trusts_no_more_than_we_do(
    judgements: dict[str, Readiness], finger: PosttlsFinger
) -> None:
    """Of an unsigned MX that names a host with matching TLSA, Postfix says no more than trusted."""
    opinion = finger.probe("half-dane.test")

    assert "Trusted TLS connection established to mx.half-dane-host.test" in opinion.said
    assert opinion.verified == frozenset()
    assert judgements["half-dane.test"].reason is Reason.NAME_NOT_PROVEN


@pytest.mark.requirement(
    "8689-2-13", "8689-4.2.1-5", "8689-4.2.1-6", "7672-3.1.1-1", "7672-3.2-1", "7672-3.2.2-1"
)
@pytest.mark.parametrize("domain", DOMAINS)
def test_s_client_agrees(lab: Laboratory, judgements: dict[str, Readiness], domain: Domain) -> None:
    """On every host with a proven name, by its TLSA records where it has some."""
    forms = {host.name(domain.name): host.tlsa for host in domain.hosts}
    for judged in proven(judgements[domain.name].hosts):
        host = lab.destination(judged.host)
        records = [host.certificate.tlsa(form) for form in forms[judged.host]]

        verified = s_client_verifies(host, lab.authority.ca_file, records)

        assert verified == (judged.authentication != "none"), judged
