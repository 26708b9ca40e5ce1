"""The header of a message as far as TLS-Required is concerned (RFC 8689 section 3)."""

from __future__ import annotations

from requiretls_plugin.errors import InvalidHeaderField
from requiretls_plugin.header_field import (
    TLS_REQUIRED,
    body_offset,
    read_tls_required,
    says_require_tls_esmtp,
    strip_fields,
    with_tls_required_no,
)
from requiretls_plugin.message import Message
from requiretls_plugin.reorigination import inherit_into, tag_without_envelope
from requiretls_plugin.requirement import Requirement, Tag


def target(data: bytes) -> None:
    """The field is read or refused, written so that it is read, stripped without a trace; the body stays."""
    body = data[body_offset(data) :]
    try:
        says_no = read_tls_required(data)
    except InvalidHeaderField as refused:
        assert str(refused).isprintable()
        says_no = False
    assert (tag_without_envelope(data).requirement is Requirement.OPTIONAL) == says_no
    assert read_tls_required(with_tls_required_no(data))
    assert with_tls_required_no(data).endswith(data[body_offset(data) :])
    stripped = strip_fields(data, [TLS_REQUIRED])
    assert not read_tls_required(stripped)
    assert stripped.endswith(body)
    assert inherit_into(data, Tag(Requirement.REQUIRED)) == stripped
    assert strip_fields(stripped, [TLS_REQUIRED]) == stripped
    says_require_tls_esmtp(data)
    assert data.startswith(Message(None, data).header)
