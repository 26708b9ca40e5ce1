"""What is said of one message on MAIL and RCPT to one server."""

from __future__ import annotations

from collections.abc import Iterable

from requiretls_plugin.delivery.content import Content
from requiretls_plugin.dsn_parameters import mail_parameters, rcpt_parameters
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message, Recipient, Ret
from requiretls_plugin.reply import Reply
from requiretls_plugin.smtp_extension import KEYWORD, Extensions

MESSAGE_TOO_BIG = Reply(552, "5.3.4", "Message is larger than the server takes")
SMTPUTF8_NEEDED = Reply(553, "5.6.7", "The message needs SMTPUTF8, which the server does not offer")
NO_COMMAND = Reply(501, "5.5.4", "The envelope cannot be written as an SMTP command")


class Envelope:
    """One message as one server is told of it.

    *requiretls* puts the keyword on MAIL. *headers_only* asks that server to
    return no more than headers, whatever the sender said: its hop is not held
    to REQUIRETLS, so its bounce must not carry the content either.
    """

    def __init__(
        self,
        message: Message,
        content: Content,
        extensions: Extensions,
        *,
        requiretls: bool = False,
        headers_only: bool = False,
    ) -> None:
        self.extensions = extensions
        self._size = content.size
        self._limit = extensions.size
        self._mail = _mail(message, content, extensions, requiretls, headers_only)
        self._sender_needs_smtputf8 = _sender_needs_smtputf8(message)

    def refusal(self, recipient: Recipient) -> Reply | None:
        """Return why this server cannot take the message for *recipient* at all, None if it can."""
        if self._limit and self._size > self._limit:
            return MESSAGE_TOO_BIG
        if self._needs_smtputf8(recipient) and not self.extensions.smtputf8:
            return SMTPUTF8_NEEDED
        # Whoever made the message may not have parsed its addresses; a line of theirs stays one line.
        if not (self._mail.isprintable() and self._rcpt(recipient).isprintable()):
            return NO_COMMAND
        return None

    def mail(self, recipients: Iterable[Recipient]) -> bytes:
        """Return the MAIL command for a transaction with *recipients*, none of which has a refusal."""
        smtputf8 = " SMTPUTF8" if any(map(self._needs_smtputf8, recipients)) else ""
        return f"{self._mail}{smtputf8}\r\n".encode()

    def rcpt(self, recipient: Recipient) -> bytes:
        """Return the RCPT command for *recipient*, which has no refusal."""
        return f"{self._rcpt(recipient)}\r\n".encode()

    def _rcpt(self, recipient: Recipient) -> str:
        command = f"RCPT TO:{_path(recipient.address)}"
        return " ".join([command, *rcpt_parameters(recipient)]) if self.extensions.dsn else command

    def _needs_smtputf8(self, recipient: Recipient) -> bool:
        # An international domain alone has another form (RFC 6531 section 3.2).
        return self._sender_needs_smtputf8 or not recipient.address.local_part.isascii()


def _mail(
    message: Message, content: Content, extensions: Extensions, requiretls: bool, headers_only: bool
) -> str:
    """Return MAIL with all its parameters but SMTPUTF8, which depends on the recipients."""
    words = [f"MAIL FROM:{_path(message.return_path)}"]
    if "SIZE" in extensions:
        words.append(f"SIZE={content.size}")
    # Without 8BITMIME the bytes go all the same: changing them would break signatures, and
    # servers that pass on seven bits only have died out.
    if extensions.eightbitmime and content.eight_bit:
        words.append("BODY=8BITMIME")
    if extensions.dsn:
        words += mail_parameters(Ret.HDRS if headers_only else message.ret, message.envid)
    if requiretls:
        words.append(KEYWORD)
    return " ".join(words)


def _sender_needs_smtputf8(message: Message) -> bool:
    sender = message.return_path
    if sender is not None and not sender.local_part.isascii():
        return True
    # A sender who asked for SMTPUTF8 may not have used it.
    return message.smtputf8 and not message.header.isascii()


def _path(address: MailAddress | None) -> str:
    if address is None:
        return "<>"
    if address.text.isascii() or not address.local_part.isascii():
        return f"<{address.text}>"
    return f"<{address.local_part}@{address.domain}>"
