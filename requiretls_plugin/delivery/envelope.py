"""What is said of one message on MAIL and RCPT to one server."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from requiretls_plugin.delivery.content import Content
from requiretls_plugin.dsn_parameters import mail_parameters, rcpt_parameters
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message, Recipient, Ret
from requiretls_plugin.reply import Reply
from requiretls_plugin.smtp_extension import KEYWORD, Extensions

MESSAGE_TOO_BIG = Reply(552, "5.3.4", "Message is larger than the server takes")
SMTPUTF8_NEEDED = Reply(553, "5.6.7", "The message needs SMTPUTF8, which the server does not offer")
NO_COMMAND = Reply(501, "5.5.4", "The envelope cannot be written as an SMTP command")


@dataclass(frozen=True)
class Envelope:
    """One message as one server is told of it.

    *requiretls* puts the keyword on MAIL. *headers_only* asks that server to
    return no more than headers, whatever the sender said: its hop is not held
    to REQUIRETLS, so its bounce must not carry the content either.
    """

    message: Message
    content: Content
    extensions: Extensions
    requiretls: bool = False
    headers_only: bool = False

    def refusal(self, recipient: Recipient) -> Reply | None:
        """Return why this server cannot take the message for *recipient* at all, None if it can."""
        limit = self.extensions.size
        if limit and self.content.size > limit:
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

    @cached_property
    def _mail(self) -> str:
        message, extensions = self.message, self.extensions
        words = [f"MAIL FROM:{_path(message.return_path)}"]
        if "SIZE" in extensions:
            words.append(f"SIZE={self.content.size}")
        # Without 8BITMIME the bytes go all the same: changing them would break signatures, and
        # servers that pass on seven bits only have died out.
        if extensions.eightbitmime and self.content.eight_bit:
            words.append("BODY=8BITMIME")
        if extensions.dsn:
            words += mail_parameters(Ret.HDRS if self.headers_only else message.ret, message.envid)
        if self.requiretls:
            words.append(KEYWORD)
        return " ".join(words)

    def _rcpt(self, recipient: Recipient) -> str:
        words = [f"RCPT TO:{_path(recipient.address)}"]
        if self.extensions.dsn:
            words += rcpt_parameters(recipient)
        return " ".join(words)

    def _needs_smtputf8(self, recipient: Recipient) -> bool:
        # An international domain alone has another form (RFC 6531 section 3.2).
        return self._sender_needs_smtputf8 or not recipient.address.local_part.isascii()

    @cached_property
    def _sender_needs_smtputf8(self) -> bool:
        sender = self.message.return_path
        # A sender who asked for SMTPUTF8 may not have used it.
        header_does = self.message.smtputf8 and not self.message.header.isascii()
        return header_does or (sender is not None and not sender.local_part.isascii())


def _path(address: MailAddress | None) -> str:
    if address is None:
        return "<>"
    if address.text.isascii() or not address.local_part.isascii():
        return f"<{address.text}>"
    return f"<{address.local_part}@{address.domain}>"
