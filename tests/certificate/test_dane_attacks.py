"""What a server, or who pretends to be it, could try against DANE."""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from hypothesis import given, settings
from hypothesis import strategies as st

from requiretls_plugin.certificate import dane_match
from requiretls_plugin.certificate.dane_match import (
    MAX_CERTIFICATES,
    MAX_PATHS,
    MAX_SIGNATURES,
    match_dane,
    usable_records,
)
from requiretls_plugin.certificate.verdict import Authenticated, NotAuthenticated, Verdict
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.policy.answers import TLSARecord
from requiretls_plugin.reason import Reason
from tests.certificate.forge import (
    CA_BASIC,
    CLIENT,
    NOW,
    Issued,
    authority,
    certificate,
    chain_of,
    dns_names,
    ec_key,
    key_usage,
    resigned,
    rsa_key,
    server,
    spki,
)
from tests.certificate.keys import COMPRESSED_KEY
from tests.certificate.shapes import MX, good, intermediate, root
from tests.certificate.tlsa import associated, tlsa

REFERENCE = DomainName(MX)
CHAIN = chain_of(good(), intermediate(), root())
ANCHOR = tlsa("2 0 1", root().der)


def verdict_on(*chain: bytes, record: TLSARecord = ANCHOR) -> Verdict:
    return match_dane(chain, [record], [REFERENCE], NOW)


def reason_for(*chain: bytes, record: TLSARecord = ANCHOR) -> Reason:
    verdict = verdict_on(*chain, record=record)
    assert isinstance(verdict, NotAuthenticated)
    return verdict.reason


def test_attack_the_anchor_behind_a_self_signed_certificate_vouches_for_nothing() -> None:
    """The real root is public; anybody can append it."""
    forged = certificate(MX, ec_key(66), None, [dns_names(MX)])

    assert reason_for(forged.der, root().der) is Reason.CERTIFICATE_NOT_TRUSTED


def test_attack_a_forged_ca_of_the_anchors_name_and_key_identifier_vouches_for_nothing() -> None:
    """Only signatures count."""
    above = authority("Root", ec_key(66))
    forged = certificate(None, ec_key(67), Issued(root().certificate, above.key), [dns_names(MX)])

    assert reason_for(forged.der, root().der) is Reason.CERTIFICATE_NOT_TRUSTED
    assert reason_for(forged.der, above.der, root().der) is Reason.CERTIFICATE_NOT_TRUSTED


@pytest.mark.parametrize("form", ["2 0 1", "2 1 1", "2 0 0"])
def test_attack_the_leaf_sent_twice_is_still_no_anchor(form: str) -> None:
    """A self-signed certificate in second place would be its own CA."""
    lone = certificate(MX, ec_key(9), None, [dns_names(MX)], critical=[CA_BASIC]).der

    assert reason_for(lone, lone, record=tlsa(form, lone)) is Reason.DANE_MISMATCH


def test_attack_another_server_of_the_same_ca_cannot_issue_certificates() -> None:
    """A server's certificate between leaf and anchor is no CA."""
    neighbour = server(root(), "neighbour.test", number=70)
    forged = certificate(None, ec_key(71), neighbour, [dns_names(MX)])

    assert reason_for(forged.der, neighbour.der, root().der) is Reason.CERTIFICATE_NOT_TRUSTED


def test_attack_a_server_named_as_anchor_by_its_key_cannot_issue_certificates() -> None:
    """Pinned or not, OpenSSL wants a CA above a leaf."""
    neighbour = server(root(), "neighbour.test", number=70)
    forged = certificate(None, ec_key(71), neighbour, [dns_names(MX)])

    record = tlsa("2 1 1", neighbour.der)

    assert reason_for(forged.der, neighbour.der, record=record) is Reason.CERTIFICATE_NOT_TRUSTED


@pytest.mark.parametrize("sent", [True, False], ids=["key on the wire", "key in DNS alone"])
def test_attack_a_signature_over_sha_1_below_the_anchor_is_refused(*, sent: bool) -> None:
    """Chosen-prefix collisions are within reach."""
    by_rsa = authority("RSA", rsa_key())
    record = tlsa("2 1 0", by_rsa.der)

    for sha_1 in (False, True):
        signed = resigned(server(by_rsa, MX), rsa_key(), sha_1=sha_1)
        verdict = verdict_on(*((signed, by_rsa.der) if sent else (signed,)), record=record)
        assert isinstance(verdict, NotAuthenticated) == sha_1
        assert not sha_1 or "its signature is made over SHA1" in str(verdict)


def test_the_anchors_own_signature_does_not_matter() -> None:
    """DNS vouches for the anchor; old roots are signed over SHA-1."""
    old = resigned(root(), ec_key(1), sha_1=True)

    assert isinstance(verdict_on(server(root(), MX).der, old, record=tlsa("2 0 1", old)), Authenticated)


@pytest.mark.parametrize("place", ["intermediate", "anchor"])
def test_attack_a_weak_key_anywhere_on_the_path_is_refused(place: str) -> None:
    """RSA 1024 can be factored by those who want it."""
    weak = authority("Weak", rsa_key(1024), root() if place == "intermediate" else None)
    record = ANCHOR if place == "intermediate" else tlsa("2 0 1", weak.der)

    assert (
        reason_for(server(weak, MX).der, weak.der, root().der, record=record)
        is Reason.CERTIFICATE_NOT_TRUSTED
    )


def test_attack_a_ca_for_client_certificates_cannot_issue_servers() -> None:
    """Extended key usage holds all the way up."""
    clients = certificate(
        "Clients", ec_key(3), root(), [CLIENT], critical=[CA_BASIC, key_usage(certificates=True)]
    )

    assert reason_for(server(clients, MX).der, clients.der, root().der) is Reason.CERTIFICATE_NOT_TRUSTED


def test_attack_a_leaf_that_may_only_issue_certificates_is_no_server() -> None:
    """Its key usage says so."""
    issuing = certificate(None, ec_key(9), root(), [dns_names(MX), key_usage(sign=False, certificates=True)])

    assert reason_for(issuing.der, root().der) is Reason.CERTIFICATE_NOT_TRUSTED


def test_attack_the_common_name_does_not_rescue_a_certificate_for_another_name() -> None:
    """As shape 10, at whose price OpenSSL and we agree."""
    both = server(root(), "other.test", common_name=MX)

    assert reason_for(both.der, root().der) is Reason.CERTIFICATE_NAME_MISMATCH


@pytest.mark.parametrize("form", ["2 1 0", "2 0 0"])
def test_attack_an_anchor_in_dns_vouches_only_for_what_it_signed(form: str) -> None:
    """The forged chain has the right names and key identifiers."""
    above = Issued(intermediate().certificate, ec_key(66))
    forged = certificate(None, ec_key(67), above, [dns_names(MX)])

    assert isinstance(verdict_on(forged.der, record=tlsa(form, intermediate().der)), NotAuthenticated)


@pytest.mark.requirement("6698-2.1-1")
def test_attack_a_key_is_compared_as_it_was_sent_and_not_as_it_would_be_written() -> None:
    """A compressed point matches its own digest, and not that of the point written out."""
    leaf = resigned(server(root(), MX), ec_key(1), public_key_info=COMPRESSED_KEY)
    key = load_der_public_key(COMPRESSED_KEY)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    written_out = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    as_sent = TLSARecord(3, 1, 1, associated(1, COMPRESSED_KEY))
    assert isinstance(verdict_on(leaf, record=as_sent), Authenticated)
    assert reason_for(leaf, record=replace(as_sent, data=associated(1, written_out))) is Reason.DANE_MISMATCH


def test_attack_a_key_of_an_unknown_kind_is_not_strong() -> None:
    """Its octets match, and nobody can say what breaking it takes."""
    unknown = spki(ec_key(9)).replace(
        bytes.fromhex("06072a8648ce3d0201"), bytes.fromhex("06072a8648ce3d0263")
    )
    leaf = resigned(good(), ec_key(2), public_key_info=unknown)

    assert reason_for(leaf, record=tlsa("3 1 1", leaf)) is Reason.CERTIFICATE_NOT_TRUSTED


@pytest.mark.filterwarnings("ignore:Parsed a serial number which wasn't positive")
@pytest.mark.parametrize("serial_number", [b"\0", b"\xff"], ids=["zero", "negative"])
def test_odd_serial_numbers_do_not_matter(serial_number: bytes) -> None:
    """Old private CAs have them."""
    leaf = resigned(good(), ec_key(2), serial_number=serial_number)

    assert isinstance(verdict_on(leaf, *CHAIN[1:]), Authenticated)
    assert isinstance(verdict_on(leaf, record=tlsa("3 1 1", leaf)), Authenticated)


def test_what_the_library_will_refuse_is_refused_where_warnings_are_errors() -> None:
    """No warning becomes a traceback."""
    leaf = resigned(good(), ec_key(2), serial_number=b"\0")

    assert isinstance(verdict_on(leaf, *CHAIN[1:]), NotAuthenticated)


@pytest.mark.parametrize(
    "junk",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x30", id="one octet"),
        pytest.param(b"\x30\x80\0\0", id="indefinite length"),
        pytest.param(b"\xff" * 100, id="noise"),
        pytest.param(root().der[:-1], id="certificate cut short"),
    ],
)
def test_unreadable_certificates_beside_the_path_do_not_matter(junk: bytes) -> None:
    """They are passed over."""
    assert isinstance(verdict_on(CHAIN[0], junk, *CHAIN[1:]), Authenticated)


@pytest.mark.parametrize("end", [0, 1, 2, 100, -1])
def test_attack_a_leaf_cut_short_is_nobody(end: int) -> None:
    """By neither usage."""
    assert verdict_on(CHAIN[0][:end], *CHAIN[1:]) == NotAuthenticated(
        Reason.CERTIFICATE_NOT_TRUSTED, "a certificate cannot be read"
    )
    assert isinstance(verdict_on(CHAIN[0][:end], record=tlsa("3 1 1", CHAIN[0])), NotAuthenticated)


def test_attack_a_huge_chain_is_judged_by_its_first_certificates() -> None:
    """What lies beyond the bound is not looked at; the leaf always is."""
    stuffing = tuple(root().der[:-2] + number.to_bytes(2, "big") for number in range(1000))

    assert reason_for(CHAIN[0], *stuffing, *CHAIN[1:]) is Reason.DANE_MISMATCH
    assert isinstance(verdict_on(CHAIN[0], *stuffing, record=tlsa("3 1 1", CHAIN[0])), Authenticated)


def counted(monkeypatch: pytest.MonkeyPatch, name: str) -> list[object]:
    """Return a list that grows by one with each call of a function of `dane_match`."""
    calls: list[object] = []
    real = getattr(dane_match, name)

    def counting(*given: object) -> object:
        calls.append(given)
        return real(*given)

    monkeypatch.setattr(dane_match, name, counting)
    return calls


def test_attack_many_anchors_are_tried_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many certificates as one DNS answer holds, none of which leads to the leaf."""
    tried = counted(monkeypatch, "path_failure")
    records = [tlsa("2 0 0", authority("Root", ec_key(100 + number)).der) for number in range(20)]

    assert isinstance(match_dane(CHAIN, records, [REFERENCE], NOW), NotAuthenticated)
    assert len(tried) == MAX_PATHS


def test_attack_many_bare_keys_are_tried_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with every certificate of a long chain, and none of them signed any."""
    tried = counted(monkeypatch, "is_signed_by")
    names = [authority("Root", ec_key(100 + number)) for number in range(20)]
    keys = [tlsa("2 1 0", authority("Other", ec_key(200 + number)).der) for number in range(20)]

    assert isinstance(match_dane(chain_of(good(), *names), keys, [REFERENCE], NOW), NotAuthenticated)
    assert len(tried) == MAX_SIGNATURES


def test_attack_an_anchor_that_many_records_match_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does it count again when the server sends it again."""
    tried = counted(monkeypatch, "path_failure")
    stranger = authority("Other", ec_key(77)).der
    records = [tlsa(form, stranger) for form in ("2 0 1", "2 1 1")]

    assert isinstance(match_dane((CHAIN[0], stranger, stranger), records, [REFERENCE], NOW), NotAuthenticated)
    assert len(tried) == 1


def test_attack_what_is_said_of_a_failure_has_no_words_of_the_server() -> None:
    """Names in a certificate could add lines to a log."""
    evil = certificate("evil\r\n250 OK", ec_key(9), root(), [dns_names("evil\r\n250-INJECTED")])

    verdict = verdict_on(evil.der, root().der)

    assert isinstance(verdict, NotAuthenticated)
    assert verdict.why == f"the certificate is not for {MX}"


OCTETS = st.binary(max_size=80) | st.sampled_from(CHAIN) | st.sampled_from([der[:-1] for der in CHAIN])
RECORDS = st.builds(
    TLSARecord,
    st.integers(0, 5),
    st.integers(0, 3),
    st.integers(0, 4),
    OCTETS | st.binary(min_size=32, max_size=32) | st.binary(min_size=64, max_size=64),
)


@given(st.lists(OCTETS, max_size=5), st.lists(RECORDS, max_size=6))
@settings(max_examples=300, deadline=None)
@pytest.mark.requirement("6698-4.1-2", "6698-4.1-3")
def test_attack_any_octets_give_a_verdict(chain: list[bytes], records: list[TLSARecord]) -> None:
    """And whoever is authenticated, is by a record that was given and is usable."""
    verdict = match_dane(chain, records, [REFERENCE], NOW)

    if isinstance(verdict, Authenticated):
        assert verdict.tlsa in usable_records(records)


@given(
    st.integers(0, 2),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4),
    st.sampled_from(["2 0 0", "2 0 1", "2 1 0", "2 1 1"]),
)
@settings(max_examples=300, deadline=None)
def test_attack_a_chain_with_changed_octets_is_never_somebody_else(
    which: int, changes: list[tuple[int, int]], form: str
) -> None:
    """Every octet of a path is signed, or matters to nobody."""
    chain = list(CHAIN)
    changed = bytearray(chain[which])
    for place, octet in changes:
        changed[place % len(changed)] = octet
    chain[which] = bytes(changed)

    verdict = match_dane(chain, [tlsa(form, root().der)], [REFERENCE], NOW)

    # The root in DNS replaces a changed one on the wire.
    if isinstance(verdict, Authenticated) and chain[which] != CHAIN[which]:
        assert which == 2


@functools.cache
def slow_key() -> rsa.RSAPrivateKey:
    """Return a key whose public exponent is as long as its modulus, since its private one is short.

    To check a signature takes a hundred times as long as with a usual one.
    """
    usual = rsa.generate_private_key(65_537, 2048).private_numbers()
    order = (usual.p - 1) * (usual.q - 1)
    private = next(number for number in itertools.count(1_000_001, 2) if math.gcd(number, order) == 1)
    public = rsa.RSAPublicNumbers(pow(private, -1, order), usual.public_numbers.n)
    parts = private % (usual.p - 1), private % (usual.q - 1), usual.iqmp
    return rsa.RSAPrivateNumbers(usual.p, usual.q, private, *parts, public).private_key()


def test_attack_a_key_that_takes_long_is_no_anchor() -> None:
    """Thirty certificates signed with such keys took two seconds, in which no other mail went."""
    slow = authority("Slow", slow_key())
    leaf = server(slow, MX)

    for form in ("2 0 1", "2 0 0", "2 1 0"):
        verdict = verdict_on(leaf.der, slow.der, record=tlsa(form, slow.der))
        assert verdict == NotAuthenticated(
            Reason.CERTIFICATE_NOT_TRUSTED,
            "the trust anchor: its key takes too long to check signatures with",
        ), form


def test_attack_a_key_that_takes_long_is_not_on_a_path() -> None:
    """Between a good anchor and a good leaf it is as if it were not sent."""
    slow = authority("Slow", slow_key(), root())
    leaf = server(slow, MX)

    assert reason_for(leaf.der, slow.der, root().der) is Reason.CERTIFICATE_NOT_TRUSTED


def test_a_leaf_may_have_a_key_that_takes_long() -> None:
    """Nobody's signature is checked with it but the handshake's own."""
    leaf = certificate(None, slow_key(), root(), [dns_names(MX)])

    assert isinstance(verdict_on(leaf.der, root().der), Authenticated)
    assert isinstance(verdict_on(leaf.der, record=tlsa("3 1 1", leaf.der)), Authenticated)


@pytest.mark.parametrize(("certificates", "enough"), [(8, True), (9, False)])
def test_a_path_has_as_many_certificates_as_are_looked_at(certificates: int, enough: bool) -> None:
    """Eight between leaf and root; there is no reason for more than two or three."""
    above = [root()]
    for number in range(certificates):
        above.append(authority(f"Authority {number}", ec_key(300 + number), above[-1]))
    chain = chain_of(server(above[-1], MX), *above[:0:-1], root())

    assert (len(chain) <= MAX_CERTIFICATES) is enough
    assert isinstance(verdict_on(*chain), Authenticated) is enough
