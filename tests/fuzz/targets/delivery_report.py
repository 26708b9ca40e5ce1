"""A delivery report (RFC 3464) that came by mail, such as one to a list's bounce address."""

from __future__ import annotations

import functools
from email import message_from_bytes
from email.message import Message

from requiretls_plugin.tls_refusal import failures_reported_in
from tests.fuzz.parts import choice

HEAD = b"Content-Type: multipart/report; boundary=x\n\n--x\nContent-Type: message/delivery-status\n\n"


# Whoever hands us a report has parsed it, which takes longer than all we do: time the second look.
@functools.lru_cache(maxsize=1)
def parsed(content: bytes) -> Message:
    """Return a message as Python's parser reads it."""
    return message_from_bytes(content)


def target(data: bytes) -> None:
    """Failures by cause, which agree with one another; an odd first octet puts a head before the report."""
    odd, content = choice(data)
    try:
        report = parsed(HEAD + content if odd % 2 else content)
    except RecursionError:
        return  # Python's parser; whoever hands us a report had it from there
    failures = failures_reported_in(report)
    for address in failures.for_tls | failures.otherwise:
        assert failures.blames_tls_for(address) == (address not in failures.otherwise)
        assert failures.blames_tls_for(address.upper()) in (True, False)
    assert not failures.blames_tls_for("nobody@x.example") or (failures.for_tls and not failures.otherwise)
