"""Thirty-three shapes a server's chain can have, and how each ends with DANE-TA and DANE-EE.

`failure` is our verdict for a TLSA record of the trust anchor; `openssl` tells whether
`openssl s_client -dane_tlsa_domain` accepts the same chain at its security level 2.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519

from requiretls_plugin.reason import Reason
from tests.certificate.forge import (
    CA_BASIC,
    CLIENT,
    EXPIRED,
    SERVER,
    Issued,
    Key,
    authority,
    certificate,
    chain_of,
    dns_names,
    ec_key,
    in_der,
    key_usage,
    resigned,
    rsa_key,
    server,
)

MX = "mx1.secure.test"

NAME = Reason.CERTIFICATE_NAME_MISMATCH
TRUST = Reason.CERTIFICATE_NOT_TRUSTED
DATE = Reason.CERTIFICATE_EXPIRED
MATCH = Reason.DANE_MISMATCH


@dataclass(frozen=True)
class Shape:
    """One chain as sent, the trust anchor that DNS names, and what becomes of them."""

    label: str
    chain: tuple[bytes, ...]
    anchor: bytes
    key: Key
    failure: Reason | None
    openssl: bool
    end_entity: Reason | None = None

    @property
    def anchor_is_sent(self) -> bool:
        return self.anchor in self.chain

    def __str__(self) -> str:
        return self.label


def _shape(
    label: str,
    leaf: Issued,
    above: tuple[Issued | bytes, ...],
    anchor: Issued | bytes,
    failure: Reason | None = None,
    *,
    sent_leaf: bytes | None = None,
    openssl: bool | None = None,
    end_entity: Reason | None = None,
) -> Shape:
    chain = chain_of(sent_leaf or leaf, *above)
    accepted = failure is None if openssl is None else openssl
    return Shape(label, chain, in_der(anchor), leaf.key, failure, accepted, end_entity)


@functools.cache
def shapes() -> tuple[Shape, ...]:
    """Return all shapes, in their order; made once."""
    return tuple(sorted((*_paths(), *_names(), *_roots(), *_leaves(), *_intermediates()), key=str))


@functools.cache
def root() -> Issued:
    """Return the root that most shapes end at."""
    return authority("Root", ec_key(1))


@functools.cache
def intermediate() -> Issued:
    """Return the one intermediate CA below the root."""
    return authority("Intermediate", ec_key(2), root())


@functools.cache
def good() -> Issued:
    """Return the certificate that nothing is wrong with."""
    return server(intermediate(), MX)


def _paths() -> Iterator[Shape]:
    above = intermediate(), root()
    yield _shape("01 leaf, intermediate, root", good(), above, root())
    yield _shape("02 root not sent", good(), above[:1], root())
    yield _shape("03 the intermediate is the anchor", good(), above[:1], intermediate())
    yield _shape("04 intermediate not sent", good(), above[1:], root(), TRUST)
    yield _shape("05 shuffled", good(), above[::-1], root())
    other_root = authority("Root", ec_key(11))
    forged = server(authority("Intermediate", ec_key(12), other_root), MX)
    forged_intermediate = authority("Intermediate", ec_key(12), other_root)
    yield _shape(
        "28 forged chain with the real root behind", forged, (forged_intermediate, root()), root(), TRUST
    )
    yield _shape("29 the leaf as anchor", good(), above, good(), MATCH)


def _names() -> Iterator[Shape]:
    above = intermediate(), root()
    yield _shape(
        "06 self-signed with another name", lone := certificate("other.test", ec_key(9)), (), lone, MATCH
    )
    yield _shape("08 another DNS-ID", server(intermediate(), "other.test"), above, root(), NAME)
    yield _shape("09 common name only", server(intermediate(), common_name=MX), above, root())
    both = server(intermediate(), "other.test", common_name=MX)
    yield _shape("10 common name fits, DNS-ID does not", both, above, root(), NAME)
    yield _shape("11 wildcard", server(intermediate(), "*.secure.test"), above, root())
    yield _shape("31 final dot", server(intermediate(), f"{MX}."), above, root(), NAME)
    # RFC 7672 section 3.2.3 gives a star only whole labels; OpenSSL is more generous.
    partial = server(intermediate(), "mx*.secure.test")
    yield _shape("32 partial wildcard", partial, above, root(), NAME, openssl=True)
    authority_and_server = certificate(None, ec_key(9), None, [dns_names(MX)], critical=[CA_BASIC])
    yield _shape("33 self-signed CA as server", authority_and_server, (), authority_and_server, MATCH)


def _roots() -> Iterator[Shape]:
    bare = certificate("Bare", ec_key(3))
    yield _shape("13 root without any extension", server(bare, MX), (bare,), bare, TRUST)
    signing = certificate("Signing", ec_key(3), None, critical=[key_usage(certificates=True)])
    yield _shape("14 root with keyCertSign only", server(signing, MX), (signing,), signing)
    old = certificate("Old", ec_key(3))
    old_der = resigned(old, ec_key(3), version_1=True)
    yield _shape("15 root of version 1", server(old, MX), (old_der,), old_der)
    late = authority("Late", ec_key(3), valid=EXPIRED)
    yield _shape("23 expired anchor", server(late, MX), (late,), late, DATE)
    anonymous = certificate("No ids", ec_key(3), None, critical=[CA_BASIC, key_usage(certificates=True)])
    plain = certificate(None, ec_key(9), anonymous, [dns_names(MX), SERVER])
    yield _shape("27 no key identifiers", plain, (anonymous,), anonymous)
    by_rsa = authority("RSA", rsa_key())
    yield _shape("30 RSA root", server(by_rsa, MX), (by_rsa,), by_rsa)


def _leaves() -> Iterator[Shape]:
    above = intermediate(), root()
    signer, names = ec_key(2), [dns_names(MX)]
    yield _shape("07 expired leaf", server(intermediate(), MX, valid=EXPIRED), above, root(), DATE)
    old = server(intermediate(), common_name=MX)
    old_der = resigned(old, signer, version_1=True)
    yield _shape("12 leaf of version 1", old, above, root(), sent_leaf=old_der)
    sha_1 = resigned(good(), signer, sha_1=True)
    yield _shape("16 leaf signed over SHA-1", good(), above, root(), TRUST, sent_leaf=sha_1)
    client = certificate(None, ec_key(9), intermediate(), [*names, CLIENT])
    yield _shape("17 leaf for clients", client, above, root(), TRUST)
    yield _shape("18 only a DNS-ID", certificate(None, ec_key(9), intermediate(), names), above, root())
    weak = certificate(None, rsa_key(1024), intermediate(), names)
    yield _shape("24 RSA 1024", weak, above, root(), TRUST, end_entity=TRUST)
    edwards = certificate(None, ed25519.Ed25519PrivateKey.generate(), intermediate(), names)
    yield _shape("25 Ed25519", edwards, above, root())
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.32473.1"), b"\x05\x00")
    critical = certificate(None, ec_key(9), intermediate(), names, critical=[unknown])
    yield _shape("26 unknown critical extension", critical, above, root(), TRUST)


def _intermediates() -> Iterator[Shape]:
    short = authority("Short", ec_key(3), path_length=0)
    below_short = authority("Below", ec_key(2), short)
    yield _shape("19 path longer than allowed", server(below_short, MX), (below_short, short), short, TRUST)
    no_ca = certificate(
        "No CA", ec_key(2), root(), critical=[x509.BasicConstraints(ca=False, path_length=None)]
    )
    yield _shape("20 intermediate is no CA", server(no_ca, MX), (no_ca, root()), root(), TRUST)
    elsewhere = x509.NameConstraints([x509.DNSName("elsewhere.test")], None)
    limited = certificate("Limited", ec_key(2), root(), critical=[CA_BASIC, elsewhere])
    yield _shape("21 name constraint", server(limited, MX), (limited, root()), root(), TRUST)
    late = authority("Intermediate", ec_key(2), root(), valid=EXPIRED)
    yield _shape("22 expired intermediate", server(late, MX), (late, root()), root(), DATE)
