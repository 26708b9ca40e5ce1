"""The extensions in a server's reply to EHLO (RFC 5321 section 4.1.1.1), and what they make us say."""

from __future__ import annotations

from requiretls_plugin.delivery.content import Content
from requiretls_plugin.delivery.envelope import Envelope
from requiretls_plugin.delivery.server_reply import ReplyReader
from requiretls_plugin.errors import ProtocolViolation
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message, Notify, Recipient, Ret
from requiretls_plugin.smtp_extension import Extensions

CONTENT = b"Subject: \xc3\xbc\r\n\r\nhello\r\n"
MESSAGE = Message(
    MailAddress.parse("\u00fc@sender.example"), CONTENT, ret=Ret.FULL, envid="a b", smtputf8=True
)
RECIPIENT = Recipient(MailAddress.parse("b@rcpt.example"), frozenset(Notify), "rfc822;b@rcpt.example")


def target(data: bytes) -> None:
    """Extensions survive being written down, and whatever they are, a command is one line."""
    try:
        replies = list(ReplyReader().feed(data))
    except ProtocolViolation:
        return
    for reply in replies:
        extensions = Extensions.parse(reply.lines)
        written = [" ".join((word, *arguments)) for word, arguments in extensions.keywords.items()]
        assert Extensions.parse(["", *written]) == extensions
        assert extensions.size is None or 0 < extensions.size < 10**20
        assert all(word.isprintable() for word in extensions.auth_mechanisms)
        check_commands(extensions)


def arrive(data: bytes) -> None:
    """Only read."""
    Extensions.parse(data.decode("latin-1").split("\n"))


def check_commands(extensions: Extensions) -> None:
    """Fail if a server that offers *extensions* is told more than one line at a time."""
    envelope = Envelope(MESSAGE, Content.of(CONTENT), extensions, requiretls=extensions.requiretls)
    if envelope.refusal(RECIPIENT) is None:
        for command in (envelope.mail([RECIPIENT]), envelope.rcpt(RECIPIENT)):
            assert command.count(b"\n") == command.count(b"\r") == 1
            assert command.endswith(b"\r\n")
        assert (b"REQUIRETLS" in envelope.mail([RECIPIENT])) == extensions.requiretls
