"""What a client says after RCPT (RFC 5321 section 4.1.1.3), with NOTIFY and ORCPT (RFC 3461)."""

from __future__ import annotations

from requiretls_plugin.delivery.content import Content
from requiretls_plugin.delivery.envelope import Envelope
from requiretls_plugin.dsn_parameters import decode_xtext, encode_xtext
from requiretls_plugin.errors import InvalidParameter
from requiretls_plugin.message import Message
from requiretls_plugin.receiving.command_arguments import parse_rcpt
from tests.fuzz.targets.mail_command import EVERYTHING, IN_TLS, canonical


def target(data: bytes) -> None:
    """A recipient or a reply; and as we pass it on it is the same recipient with the same wishes."""
    try:
        recipient = parse_rcpt(data.decode("utf-8", "surrogateescape"), IN_TLS, "mx.example").recipient
    except InvalidParameter as refused:
        assert str(refused.reply).isprintable()
        return
    if recipient.orcpt is not None:
        original = decode_xtext(recipient.orcpt.partition(";")[2])
        assert decode_xtext(encode_xtext(original)) == original
    envelope = Envelope(Message(None, b""), Content.of(b""), EVERYTHING)
    if envelope.refusal(recipient) is None:
        line = envelope.rcpt(recipient).decode()
        assert line.endswith("\r\n")
        assert line[:-2].isprintable()
        passed_on = parse_rcpt(line[len("RCPT ") : -2], IN_TLS, "mx.example").recipient
        assert passed_on.address == canonical(recipient.address)
        assert (passed_on.notify, passed_on.orcpt) == (recipient.notify, recipient.orcpt)
