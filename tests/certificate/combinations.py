"""RRsets of TLSA records against three chains, and whether the server is authenticated."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace

from requiretls_plugin.policy.answers import TLSARecord
from tests.certificate.forge import Issued, Key, authority, chain_of, ec_key, server
from tests.certificate.shapes import MX, good, intermediate, root
from tests.certificate.tlsa import tlsa

ALL_FORMS = ("0 0", "0 1", "0 2", "1 0", "1 1", "1 2")


@dataclass(frozen=True)
class Combination:
    """A chain, the records, and whether one of them authenticates the chain."""

    label: str
    chain: tuple[bytes, ...]
    records: tuple[TLSARecord, ...]
    matches: bool
    key: Key

    def __str__(self) -> str:
        return self.label


@functools.cache
def combinations() -> tuple[Combination, ...]:
    """Return all combinations."""
    return (*_end_entities(), *_anchors_sent(), *_anchors_not_sent(), *_own_anchors(), *_several())


def other() -> Issued:
    """Return a CA that has nothing to do with the chains."""
    return authority("Other", ec_key(77))


def _combination(label: str, chain: tuple[Issued, ...], matches: bool, *records: TLSARecord) -> Combination:
    return Combination(label, chain_of(*chain), records, matches, chain[0].key)


def _end_entities() -> Iterator[Combination]:
    full = good(), intermediate(), root()
    for form in ALL_FORMS:
        yield _combination(f"3 {form} of the server", full, True, tlsa(f"3 {form}", good().der))
    yield _combination("3 0 1 of the issuer", full, False, tlsa("3 0 1", intermediate().der))
    yield _combination("3 1 1 of the root", full, False, tlsa("3 1 1", root().der))
    swapped = replace(tlsa("3 0 1", good().der), selector=1)
    yield _combination("3 1 1 with the digest for 3 0 1", full, False, swapped)


def _anchors_sent() -> Iterator[Combination]:
    full = good(), intermediate(), root()
    for form in ALL_FORMS:
        yield _combination(f"2 {form} of the root, sent", full, True, tlsa(f"2 {form}", root().der))
        record = tlsa(f"2 {form}", intermediate().der)
        yield _combination(f"2 {form} of the intermediate, sent", full, True, record)
    crossed = authority("Intermediate", ec_key(2), other())
    record = tlsa("2 1 1", intermediate().der)
    yield _combination("2 1 1 of a cross-signed CA", (good(), crossed), True, record)
    yield _combination(
        "2 0 1 of a cross-signed CA", (good(), crossed), False, tlsa("2 0 1", intermediate().der)
    )


def _anchors_not_sent() -> Iterator[Combination]:
    short, lone = (good(), intermediate()), (good(),)
    for form in ALL_FORMS:
        record = tlsa(f"2 {form}", root().der)
        yield _combination(f"2 {form} of the root, not sent", short, form.endswith("0"), record)
        record = tlsa(f"2 {form}", intermediate().der)
        yield _combination(f"2 {form} of the issuer, not sent", lone, form.endswith("0"), record)
    yield _combination("2 1 0 of another CA", lone, False, tlsa("2 1 0", other().der))
    yield _combination("2 0 0 of another CA", lone, False, tlsa("2 0 0", other().der))
    yield _combination("2 1 0 of the root, intermediate not sent", lone, False, tlsa("2 1 0", root().der))


def _own_anchors() -> Iterator[Combination]:
    for form in ALL_FORMS:
        record = tlsa(f"2 {form}", good().der)
        yield _combination(f"2 {form} of the server itself", (good(), intermediate()), False, record)
    alone = server(authority(MX, ec_key(9)), MX, common_name=MX)
    for form in ALL_FORMS:
        # A server's certificate that its own key has signed is one that the key in DNS has signed.
        record = tlsa(f"2 {form}", alone.der)
        yield _combination(f"2 {form} of a self-signed server", (alone,), form == "1 0", record)


def _several() -> Iterator[Combination]:
    full, leaf, wrong = (good(), intermediate(), root()), good().der, other().der
    right, strong = tlsa("3 1 1", leaf), tlsa("3 1 2", wrong)
    yield _combination("weaker digest fits only", full, False, right, strong)
    yield _combination("stronger digest malformed", full, True, right, replace(strong, data=strong.data[:32]))
    yield _combination("full key beside a stronger digest", full, True, tlsa("3 1 0", leaf), strong)
    yield _combination("another selector", full, True, tlsa("3 0 1", leaf), strong)
    yield _combination("another usage", full, True, tlsa("2 1 1", root().der), strong)
    yield _combination("future CA and present key", full, True, tlsa("2 0 1", wrong), right)
    yield _combination("past and present key", full, True, tlsa("3 1 1", wrong), right)
    strangers = (tlsa("3 1 1", ca.der) for ca in (other(), root(), intermediate(), other()))
    yield _combination("the last of five", full, True, *strangers, right)
    odd = replace(right, usage=4), replace(right, selector=2), replace(right, matching_type=3)
    yield _combination("unknown parameters beside a match", full, True, *odd, right)
