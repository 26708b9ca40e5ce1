"""What a client says after MAIL (RFC 5321 section 4.1.1.2), with its ESMTP parameters."""

from __future__ import annotations

from requiretls_plugin.delivery.content import Content
from requiretls_plugin.delivery.envelope import Envelope
from requiretls_plugin.errors import InvalidParameter
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message, Recipient
from requiretls_plugin.receiving.command_arguments import MailCommand, Offered, parse_mail
from requiretls_plugin.smtp_extension import Extensions
from tests.fuzz.parts import choice

EVERYTHING = Extensions.parse(["", "DSN", "SMTPUTF8", "8BITMIME", "SIZE", "PIPELINING", "REQUIRETLS"])
IN_TLS = Offered(extended=True, tls=True, requiretls=True, smtputf8=True, size=10_000_000)
RECIPIENT = Recipient(MailAddress.parse("b@rcpt.example"))


def target(data: bytes) -> None:
    """A command or a reply; and as we pass it on it says the same, in one line."""
    bits, line = choice(data)
    # As aiosmtpd decodes what a client says.
    argument = line.decode("utf-8", "surrogateescape")
    offered = Offered(
        extended=not bits & 1,
        tls=not bits & 2,
        requiretls=not bits & 4,
        smtputf8=not bits & 8,
        auth=bool(bits & 16),
        size=1_000 if bits & 32 else None,
    )
    try:
        command = parse_mail(argument, offered)
    except InvalidParameter as refused:
        assert str(refused.reply).isprintable()
        return
    assert not command.mail_parameter or (offered.tls and offered.requiretls and offered.extended)
    passed_on = as_passed_on(command)
    if passed_on is not None:
        assert passed_on.return_path == canonical(command.return_path)
        assert passed_on.mail_parameter == command.mail_parameter
        assert (passed_on.ret, passed_on.envid) == (command.ret, command.envid)


def as_passed_on(command: MailCommand) -> MailCommand | None:
    """Return what the next server reads of it, None if it cannot be told."""
    message = Message(
        command.return_path, b"", ret=command.ret, envid=command.envid, smtputf8=command.smtputf8
    )
    envelope = Envelope(message, Content.of(b""), EVERYTHING, requiretls=command.mail_parameter)
    if envelope.refusal(RECIPIENT) is not None:
        return None
    line = envelope.mail([RECIPIENT]).decode()
    assert line.endswith("\r\n")
    assert line[:-2].isprintable()
    return parse_mail(line[len("MAIL ") : -2], IN_TLS)


def canonical(address: MailAddress | None) -> MailAddress | None:
    """Return *address* as it is written where only its domain is international."""
    if address is None or address.text.isascii() or not address.local_part.isascii():
        return address
    return MailAddress.parse(f"{address.local_part}@{address.domain}")
