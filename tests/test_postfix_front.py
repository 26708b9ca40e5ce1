"""What a Postfix before us can do to the promise."""

from __future__ import annotations

import ipaddress

import pytest

from requiretls_plugin.postfix_front import front_problems, parse_postconf

LOOPBACK = (ipaddress.ip_address("127.0.0.1"),)
ELSEWHERE = (ipaddress.ip_address("192.0.2.1"),)


@pytest.mark.parametrize(
    ("version", "level", "trusted", "expected"),
    [
        ("3.11.0", "encrypt", LOOPBACK, []),
        ("3.7.11", "encrypt", ELSEWHERE, []),
        ("3.7.11", "encrypt", LOOPBACK, ["trusted_hops = []"]),
        ("3.11.0", "", LOOPBACK, ["lmtp_tls_security_level = encrypt"]),
        ("3.11.0", "none", LOOPBACK, ["lmtp_tls_security_level = encrypt"]),
        ("3.7.11", "", LOOPBACK, ["trusted_hops = []", "lmtp_tls_security_level = encrypt"]),
    ],
)
def test_each_problem_comes_with_its_remedy(
    version: str, level: str, trusted: tuple[ipaddress.IPv4Address, ...], expected: list[str]
) -> None:
    """A field that strangers write and we believe; a hand-over without TLS."""
    found = front_problems({"mail_version": version, "lmtp_tls_security_level": level}, trusted)
    assert len(found) == len(expected)
    assert all(remedy in problem for remedy, problem in zip(expected, found, strict=True))


def test_postconf_prints_one_parameter_on_each_line() -> None:
    """Values may be empty and may have equals signs."""
    assert parse_postconf("a = 1\nb =\nc = x = y\nnonsense\n") == {"a": "1", "b": "", "c": "x = y"}
