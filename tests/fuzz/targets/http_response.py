"""What a policy host answers over HTTPS (RFC 8461 section 3.3)."""

from __future__ import annotations

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.errors import PolicyFetchError
from requiretls_plugin.policy.sts_http import MAX_HEAD_BYTES, MAX_POLICY_BYTES, PolicyRequest
from tests.fuzz.parts import choice, pieces

# As much as the fetch reads at once.
READ_SIZE = 8_192
HOST = DomainName("mta-sts.example.org")


def target(data: bytes) -> None:
    """A policy file or our error; the same in pieces of any size, but for heads that are nearly too large."""
    size, answer = choice(data)
    whole = read(answer, READ_SIZE)
    assert whole is None or len(whole) <= MAX_POLICY_BYTES
    assert read(answer, size + 1) == whole or len(answer) > MAX_HEAD_BYTES


def arrive(data: bytes) -> None:
    """As the fetch reads it."""
    read(data, READ_SIZE)


def read(answer: bytes, size: int) -> bytes | None:
    """Return the policy file in *answer*, read *size* octets at a time, None if it is refused."""
    talk = PolicyRequest(HOST)
    try:
        for piece in pieces(answer, size):
            body = talk.receive(piece)
            if body is not None:
                return body
        return talk.receive(b"")
    except PolicyFetchError as refused:
        assert str(refused).isprintable()
        return None
