"""`match_dane` and `usable_records` beyond the shapes of chains."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta, timezone

import pytest

from requiretls_plugin.certificate.dane_match import DIGESTS, match_dane, usable_records
from requiretls_plugin.certificate.verdict import Authenticated, NotAuthenticated
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.policy.answers import TLSARecord
from requiretls_plugin.reason import Reason
from tests.certificate.combinations import Combination, combinations, other
from tests.certificate.forge import DAY, NOW, authority, certificate, chain_of, ec_key, rsa_key, server
from tests.certificate.shapes import MX, good, intermediate, root
from tests.certificate.tlsa import tlsa

REFERENCE = DomainName(MX)
CHAIN = chain_of(good(), intermediate(), root())
LEAF = good().der
RIGHT = tlsa("3 1 1", LEAF)


@pytest.mark.parametrize("combination", combinations(), ids=str)
@pytest.mark.requirement(
    "6698-2.1-1", "6698-6-1", "7671-2-1", "7671-5.2.1-2", "7671-5.2.2-1", "7671-5.2.3-1", "7671-8-1",
    "7671-8.1-1", "7671-8.2-1", "7671-9-4", "7671-9-5", "7671-9-6", "7671-9-7", "7671-9-8", "7672-3.1.1-3",
    "7672-5-1",
)  # fmt: skip
def test_records_authenticate_the_chains_they_fit(combination: Combination) -> None:
    """One usable match is enough; nothing else is."""
    verdict = match_dane(combination.chain, combination.records, [REFERENCE], NOW)

    assert isinstance(verdict, Authenticated) == combination.matches


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(tlsa("0 0 1", root().der), id="usage 0, for PKIX"),
        pytest.param(tlsa("1 1 1", LEAF), id="usage 1, for PKIX"),
        pytest.param(replace(RIGHT, usage=4), id="unknown usage"),
        pytest.param(replace(RIGHT, selector=2), id="unknown selector"),
        pytest.param(replace(RIGHT, matching_type=3), id="unknown matching type"),
        pytest.param(TLSARecord(255, 255, 255, b""), id="private use all over"),
        pytest.param(replace(RIGHT, data=RIGHT.data[:31]), id="short SHA-256"),
        pytest.param(replace(RIGHT, data=RIGHT.data + b"\0"), id="long SHA-256"),
        pytest.param(replace(RIGHT, matching_type=2), id="SHA-512 of 32 octets"),
        pytest.param(replace(RIGHT, data=b""), id="empty digest"),
        pytest.param(TLSARecord(3, 0, 0, b""), id="empty certificate"),
        pytest.param(TLSARecord(3, 0, 0, b"no certificate"), id="certificate that is no DER"),
        pytest.param(TLSARecord(2, 0, 0, root().der[:-1]), id="certificate cut short"),
        pytest.param(TLSARecord(2, 0, 0, root().der + b"\0"), id="certificate with octets behind"),
        pytest.param(TLSARecord(3, 1, 0, LEAF), id="certificate for a key"),
        pytest.param(TLSARecord(3, 0, 0, tlsa("3 1 0", LEAF).data), id="key for a certificate"),
    ],
)
@pytest.mark.requirement(
    "6698-4.1-2", "6698-4.1-3", "7671-4-1", "7671-4-2", "7671-4.1-1", "7672-3.1.3-1", "7671-14-1"
)
def test_attack_an_unusable_record_is_passed_over_at_lookup_and_at_the_handshake(record: TLSARecord) -> None:
    """It never matches, and does no harm to a good one beside it."""
    assert usable_records([record]) == ()
    assert usable_records([record, RIGHT]) == (RIGHT,)
    assert match_dane(CHAIN, [record], [REFERENCE], NOW) == NotAuthenticated(
        Reason.DANE_MISMATCH, "no TLSA record is usable"
    )
    assert isinstance(match_dane(CHAIN, [record, RIGHT], [REFERENCE], NOW), Authenticated)


@pytest.mark.requirement("7671-9-1", "7671-9-4", "7671-9-7", "7671-9-8")
def test_of_the_digests_for_one_usage_and_selector_the_strongest_stays() -> None:
    """Full certificates and keys stay too, and another usage or selector is another choice."""
    everything = [
        tlsa(f"{usage} {selector} {matching_type}", LEAF)
        for usage in (2, 3)
        for selector in (0, 1)
        for matching_type in (0, 1, 2)
    ]
    everything.remove(lonely := tlsa("2 1 2", LEAF))

    kept = usable_records(everything)

    assert lonely not in kept
    assert kept == tuple(
        record
        for record in everything
        if record.matching_type in (0, 2) or (record.usage, record.selector) == (2, 1)
    )


@pytest.mark.requirement("7671-9-2")
def test_the_order_of_digests_can_be_another() -> None:
    """Who thinks SHA-256 the stronger one gets it."""
    records = [tlsa("3 1 1", LEAF), tlsa("3 1 2", LEAF), tlsa("3 1 0", LEAF)]

    kept = usable_records(records, {1: hashlib.sha256, 2: hashlib.sha512})

    assert kept == (records[0], records[2])


@pytest.mark.requirement("7671-9-3", "6698-4.1-4")
def test_a_matching_type_is_usable_exactly_if_a_digest_is_named_for_it() -> None:
    """A private matching type works in a table that has it, and in no other."""
    data = hashlib.sha3_256(tlsa("3 1 0", LEAF).data).digest()
    private = TLSARecord(3, 1, 200, data)
    digests = {200: hashlib.sha3_256, **DIGESTS}

    assert usable_records([private]) == ()
    assert match_dane(CHAIN, [private], [], NOW, digests) == match_dane(
        CHAIN, [private], [REFERENCE], NOW, digests
    )
    assert isinstance(match_dane(CHAIN, [private], [], NOW, digests), Authenticated)


@pytest.mark.parametrize(
    ("presented", "references", "name"),
    [
        pytest.param([MX], [MX, "secure.test"], MX, id="the base domain"),
        pytest.param(["secure.test"], [MX, "secure.test"], "secure.test", id="the next hop of a secure MX"),
        pytest.param(
            ["hosted.test"], [MX, "secure.test", "hosted.test"], "hosted.test", id="the expanded name"
        ),
        pytest.param(["secure.test"], [MX], None, id="the next hop of an insecure MX"),
        pytest.param(["other.test"], [MX, "secure.test"], None, id="no name of ours"),
        pytest.param([], [MX], None, id="no name at all"),
        pytest.param([MX], [], None, id="no reference name"),
    ],
)
@pytest.mark.requirement(
    "7672-3.2.2-1", "7672-3.2.2-2", "7672-3.2.2-3", "7672-3.2.2-4", "7672-3.2.2-5", "7671-10.2-2", "7671-7-3"
)
def test_a_trust_anchor_vouches_for_reference_names_only(
    presented: list[str], references: list[str], name: str | None
) -> None:
    """DANE-TA needs one of the names that the caller proved, and says which it was."""
    leaf = server(root(), *presented)
    record = tlsa("2 0 1", root().der)

    verdict = match_dane(chain_of(leaf, root()), [record], [DomainName(one) for one in references], NOW)

    if name is None:
        assert isinstance(verdict, NotAuthenticated)
        assert verdict.reason is Reason.CERTIFICATE_NAME_MISMATCH
    else:
        assert isinstance(verdict, Authenticated)
        assert verdict.name == DomainName(name)


@pytest.fixture(params=["UTC", "KIRITIMATI-14"])
def local_time(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine in this time zone."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", request.param)
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("local_time")
def test_now_counts_as_the_moment_it_is_whatever_its_zone() -> None:
    """A path that ends in an hour is good in every zone, and bad two hours later."""
    leaf = server(root(), MX, valid=(NOW - DAY, NOW + timedelta(hours=1)))
    chain, records = chain_of(leaf, root()), [tlsa("2 0 1", root().der)]
    far_west = NOW.astimezone(timezone(timedelta(hours=-12)))

    assert isinstance(match_dane(chain, records, [REFERENCE], far_west), Authenticated)
    late = match_dane(chain, records, [REFERENCE], far_west + timedelta(hours=2))
    assert late == NotAuthenticated(
        Reason.CERTIFICATE_EXPIRED, "certificate 0 of the chain: certificate has expired"
    )


def test_a_path_that_is_not_valid_yet_is_not_trusted() -> None:
    """The first day of a certificate counts as well as its last."""
    leaf = server(root(), MX, valid=(NOW + DAY, NOW + 2 * DAY))

    verdict = match_dane(chain_of(leaf, root()), [tlsa("2 0 1", root().der)], [REFERENCE], NOW)

    assert isinstance(verdict, NotAuthenticated)
    assert verdict.reason is Reason.CERTIFICATE_NOT_TRUSTED


@pytest.mark.requirement("7671-8.1-1", "7671-8-1")
def test_a_future_anchor_of_the_same_name_does_no_harm() -> None:
    """While a CA changes its key, both certificates are in DNS under one name."""
    names = "Root", "Root"
    future, present = (authority(name, ec_key(number)) for name, number in zip(names, (61, 62), strict=True))
    records = [tlsa("2 0 0", future.der), tlsa("2 0 0", present.der)]

    verdict = match_dane(chain_of(server(present, MX)), records, [REFERENCE], NOW)

    assert isinstance(verdict, Authenticated)
    assert verdict.tlsa == records[1]


def test_the_failure_that_came_closest_is_told() -> None:
    """An anchor that matched and a name that did not say more than a digest that did not."""
    records = [tlsa("3 1 1", other().der), tlsa("2 0 1", root().der)]

    verdict = match_dane(CHAIN, records, [DomainName("other.test"), DomainName("another.test")], NOW)

    assert verdict == NotAuthenticated(
        Reason.CERTIFICATE_NAME_MISMATCH, "the certificate is not for other.test, another.test"
    )


@pytest.mark.requirement("6698-4.1-4")
def test_attack_a_weak_key_does_not_count_although_its_record_matches() -> None:
    """And it is said that the record is not at fault."""
    weak = certificate(MX, rsa_key(1024)).der

    assert match_dane([weak], [tlsa("3 1 1", weak)], [REFERENCE], NOW) == NotAuthenticated(
        Reason.CERTIFICATE_NOT_TRUSTED,
        "the certificate matches, but its key has 1024 bits, fewer than 2048",
    )


def test_a_server_without_certificate_does_not_match() -> None:
    """An anonymous cipher would bring this about."""
    verdict = match_dane((), [RIGHT], [REFERENCE], NOW)

    assert verdict == NotAuthenticated(Reason.DANE_MISMATCH, "the server sent no certificate")
