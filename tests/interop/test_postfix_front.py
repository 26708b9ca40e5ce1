"""Postfix before us: its tag is a header field, which counts from trusted hops and never leaves."""

from __future__ import annotations

import ipaddress

import pytest

from requiretls_lab.laboratory import Laboratory
from requiretls_plugin.postfix_front import PARAMETERS, front_problems, parse_postconf
from requiretls_plugin.requirement import Origin, Requirement, Tag
from tests.interop.clients import Letter, by_relay
from tests.interop.postfix import Postfix
from tests.interop.receiver import receiving, tagged

FIELD = "Require-TLS-ESMTP: yes"
TEXT = f"From: a@sender.test\r\n{FIELD}\r\nSubject: x\r\n\r\nhello\r\n"
LOOPBACK = ipaddress.ip_address("127.0.0.1")

TRUST = [
    pytest.param(["127.0.0.1"], Tag(Requirement.REQUIRED, Origin.TRUSTED_HOP), id="trusted"),
    pytest.param(["192.0.2.1"], Tag(), id="another one trusted"),
    pytest.param([], Tag(), id="nobody trusted"),
]


@pytest.mark.parametrize("protocol", ["smtp", "lmtp"])
@pytest.mark.parametrize(("trusted_hops", "expected"), TRUST)
def test_postfix_tag_counts_from_trusted_hops_and_is_taken_off(
    lab: Laboratory,
    trust: str,
    postfix_server: Postfix,
    trusted_hops: list[str],
    expected: Tag,
    protocol: str,
) -> None:
    """Over SMTP and over LMTP."""
    with receiving(protocol) as receiver:
        by_relay(postfix_server.place)(Letter(receiver.port, trust, protocol, text=TEXT))
        taken = receiver.wait()
    assert FIELD.encode() in taken.message.content

    message = tagged(taken.message, lab.settings(receive={"trusted_hops": trusted_hops}))

    assert message.tag == expected
    assert b"require-tls-esmtp" not in message.content.lower()
    assert b"\r\nSubject: x\r\n" in message.content
    assert message.content.endswith(b"\r\n\r\nhello\r\n")


def test_attack_an_older_postfix_passes_on_a_tag_that_a_stranger_wrote(postfix_server: Postfix) -> None:
    """It knows nothing of the field; what `postconf` says of it is enough to warn."""
    parameters = parse_postconf(postfix_server.postconf(*PARAMETERS))

    assert parameters["mail_version"].startswith("3.")
    [trap] = front_problems(parameters, [LOOPBACK])
    assert "trusted_hops = []" in trap
    assert front_problems(parameters, []) == []
