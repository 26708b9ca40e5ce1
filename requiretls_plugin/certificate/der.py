"""Just enough DER to take the public key out of a certificate as the bytes that were sent.

Digests of TLSA records are made over those bytes. A library that parses a key
and writes it again changes some of them (compressed points, explicit curve
parameters), and no longer matches what the domain published.

Only DER is read: one way to write a length, no indefinite ones, nothing left
over. So no other parser can see another key in the same bytes. What the
elements mean is not looked at.
"""

from __future__ import annotations

from dataclasses import dataclass

_INTEGER = 0x02
_BIT_STRING = 0x03
_SEQUENCE = 0x30
_VERSION = 0xA0

# RFC 5280 section 4.1: version and serialNumber, then signature, issuer, validity, subject
# and subjectPublicKeyInfo.
_BEFORE_AND_KEY = (_INTEGER, _SEQUENCE, _SEQUENCE, _SEQUENCE, _SEQUENCE, _SEQUENCE)


@dataclass(frozen=True, slots=True)
class _Element:
    tag: int
    encoded: bytes
    content: bytes


def _first(data: bytes) -> _Element | None:
    """Return the element at the start of *data*, None if it is not DER.

    A tag of several octets comes out as its first, which is none that anybody asks for.
    """
    if len(data) < 2:
        return None
    start, length = 2, data[1]
    if length & 0x80:
        octets = length & 0x7F
        start += octets
        length = int.from_bytes(data[2:start], "big")
        # The shortest form alone is DER; an indefinite length has no octets and is none.
        if length < 0x80 or octets != (length.bit_length() + 7) // 8:
            return None
    end = start + length
    if end > len(data):
        return None
    return _Element(data[0], data[:end], data[start:end])


def _content(data: bytes, *tags: int) -> list[_Element] | None:
    """Return the first elements of *data* if their tags are *tags*."""
    elements = []
    for tag in tags:
        element = _first(data)
        if element is None or element.tag != tag:
            return None
        elements.append(element)
        data = data[len(element.encoded) :]
    return elements


def _whole(data: bytes, *tags: int) -> list[_Element] | None:
    """Return the elements of the sequence that *data* is, if their tags are *tags* and no more."""
    sequence = _first(data)
    if sequence is None or sequence.tag != _SEQUENCE or len(sequence.encoded) != len(data):
        return None
    elements = _content(sequence.content, *tags)
    if elements is None or sum(len(element.encoded) for element in elements) != len(sequence.content):
        return None
    return elements


def is_public_key_info(data: bytes) -> bool:
    """Tell whether *data* is one subjectPublicKeyInfo (RFC 5280 section 4.1)."""
    return _whole(data, _SEQUENCE, _BIT_STRING) is not None


def public_key_info(certificate: bytes) -> bytes | None:
    """Return the subjectPublicKeyInfo of *certificate* as it stands there.

    None if *certificate* is not one certificate in DER. Signatures, dates and
    whether anyone knows the key's algorithm are not looked at.
    """
    parts = _whole(certificate, _SEQUENCE, _SEQUENCE, _BIT_STRING)
    if parts is None:
        return None
    to_be_signed = parts[0].content
    version = _first(to_be_signed)
    if version is not None and version.tag == _VERSION:
        to_be_signed = to_be_signed[len(version.encoded) :]
    fields = _content(to_be_signed, *_BEFORE_AND_KEY)
    if fields is None or not is_public_key_info(fields[-1].encoded):
        return None
    return fields[-1].encoded


def is_certificate(data: bytes) -> bool:
    """Tell whether *data* is one certificate, in form."""
    return public_key_info(data) is not None
