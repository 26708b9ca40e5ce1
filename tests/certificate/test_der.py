"""The public key comes out of a certificate as the octets that were sent."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from hypothesis import given
from hypothesis import strategies as st

from requiretls_plugin.certificate.der import is_certificate, is_public_key_info, public_key_info
from tests.certificate.forge import (
    BIT_STRING,
    INTEGER,
    SEQUENCE,
    ec_key,
    element,
    elements,
    inside,
    resigned,
    spki,
)
from tests.certificate.keys import COMPRESSED_KEY, EXPLICIT_KEY
from tests.certificate.shapes import Shape, good, shapes

LEAF = good().der


@pytest.mark.parametrize("shape", shapes(), ids=str)
@pytest.mark.requirement("6698-2.1-1")
def test_the_key_of_every_certificate_is_found(shape: Shape) -> None:
    """Whatever version, algorithms and extensions it has."""
    for der in shape.chain:
        key = x509.load_der_x509_certificate(der).public_key()
        assert public_key_info(der) == key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    "key", [COMPRESSED_KEY, EXPLICIT_KEY], ids=["compressed point", "explicit parameters"]
)
@pytest.mark.requirement("6698-2.1-1")
def test_attack_a_key_that_a_library_would_write_differently_is_not_written_again(key: bytes) -> None:
    """The digest in DNS is over what was sent."""
    certificate = resigned(good(), ec_key(2), public_key_info=key)

    assert public_key_info(certificate) == key
    again = load_der_public_key(key).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert again != key


def _changed_field(number: int, replacement: bytes) -> bytes:
    to_be_signed, *rest = elements(inside(LEAF))
    fields = elements(inside(to_be_signed))
    fields[number] = replacement
    return element(SEQUENCE, element(SEQUENCE, *fields), *rest)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x30", id="no length"),
        pytest.param(b"\x30\x80" + inside(LEAF) + b"\0\0", id="indefinite length"),
        pytest.param(b"\x30\x83\x00" + LEAF[2:], id="longer length than needed"),
        pytest.param(b"\x30\x81\x05" + b"\x05\0\x05\0\0", id="long form for a short length"),
        pytest.param(b"\x30\x89" + b"\x01" * 9, id="length of nine octets"),
        pytest.param(b"\x30\x84\xff\xff\xff\xff", id="length beyond the end"),
        pytest.param(b"\x30\xff" + b"\xff" * 200, id="length of 127 octets"),
        pytest.param(b"\x30\x81", id="length cut short"),
        pytest.param(b"\x3f\x81" + LEAF[2:], id="tag of several octets"),
        pytest.param(LEAF + b"\0", id="octets behind"),
        pytest.param(element(SEQUENCE, inside(LEAF), b"\x05\0"), id="a fourth part"),
        pytest.param(element(SEQUENCE), id="empty sequence"),
        pytest.param(element(SEQUENCE, LEAF), id="a certificate in a sequence"),
        pytest.param(_changed_field(1, element(SEQUENCE)), id="serial number that is no number"),
        pytest.param(_changed_field(6, element(INTEGER, b"\1")), id="key that is no sequence"),
        pytest.param(_changed_field(6, element(SEQUENCE, element(SEQUENCE))), id="key without bits"),
    ],
)
def test_attack_what_is_not_one_certificate_in_der_has_no_key(data: bytes) -> None:
    """No two parsers may see different keys in it."""
    assert public_key_info(data) is None
    assert not is_certificate(data)


def test_attack_a_certificate_cut_short_anywhere_has_no_key() -> None:
    """Not at any length."""
    assert not any(is_certificate(LEAF[:end]) for end in range(len(LEAF)))


def test_a_key_is_a_key_only_as_a_whole() -> None:
    """As in a record with selector 1 and matching type 0."""
    key = spki(ec_key(9))

    assert is_public_key_info(key)
    assert not is_public_key_info(key[:-1])
    assert not is_public_key_info(key + b"\0")
    assert not is_public_key_info(LEAF)


@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 65_535, 65_536])
def test_a_length_is_read_in_the_one_form_that_der_has_for_it(size: int) -> None:
    """One octet below 128, above it no more than needed (X.690 section 10.1)."""
    assert is_public_key_info(element(SEQUENCE, element(SEQUENCE), element(BIT_STRING, bytes(size))))


@given(st.binary(max_size=200) | st.builds(lambda tail: b"\x30\x82" + tail, st.binary(max_size=200)))
def test_attack_any_octets_are_read_without_an_error(data: bytes) -> None:
    """Nearly none of them are a certificate."""
    assert public_key_info(data) is None


@given(st.integers(0, len(LEAF) - 1), st.integers(0, 255))
def test_attack_a_changed_octet_never_moves_the_key_outside_the_certificate(place: int, value: int) -> None:
    """What is found is a key by form, and stands in the certificate."""
    changed = LEAF[:place] + bytes([value]) + LEAF[place + 1 :]

    key = public_key_info(changed)

    assert key is None or (key in changed and is_public_key_info(key))
