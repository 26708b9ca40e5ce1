"""What is said of one message on MAIL and RCPT to one server."""

from __future__ import annotations

import re
from dataclasses import dataclass

from requiretls_plugin.delivery.content import Content
from requiretls_plugin.dsn_parameters import mail_parameters, rcpt_parameters
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message, Recipient, Ret
from requiretls_plugin.reply import Reply
from requiretls_plugin.smtp_extension import KEYWORD, Extensions

MESSAGE_TOO_BIG = Reply(552, "5.3.4", "Message is larger than the server takes")
SMTPUTF8_NEEDED = Reply(553, "5.6.7", "The message needs SMTPUTF8, which the server does not offer")
NO_COMMAND = Reply(501, "5.5.4", "The envelope cannot be written as an SMTP command")

# What could end a command early, and what has no encoding.
_UNSPEAKABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
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
        if _UNSPEAKABLE.search(self._rcpt(recipient)) or _UNSPEAKABLE.search(self._mail((recipient,))):
            return NO_COMMAND
        return None

    def mail(self, recipients: tuple[Recipient, ...]) -> bytes:
        """Return the MAIL command for a transaction with *recipients*, none of which has a refusal."""
        return self._mail(recipients).encode() + b"\r\n"

    def rcpt(self, recipient: Recipient) -> bytes:
        """Return the RCPT command for *recipient*, which has no refusal."""
        return self._rcpt(recipient).encode() + b"\r\n"

    def _mail(self, recipients: tuple[Recipient, ...]) -> str:
        message, extensions = self.message, self.extensions
        words = [f"MAIL FROM:{self._path(message.return_path)}"]
        if "SIZE" in extensions:
            words.append(f"SIZE={self.content.size}")
        # Without 8BITMIME the bytes go all the same: changing them would break signatures, and
        # servers that pass on seven bits only have died out.
        if extensions.eightbitmime and self.content.eight_bit:
            words.append("BODY=8BITMIME")
        if extensions.smtputf8 and any(map(self._needs_smtputf8, recipients)):
            words.append("SMTPUTF8")
        if extensions.dsn:
            words += mail_parameters(Ret.HDRS if self.headers_only else message.ret, message.envid)
        if self.requiretls:
            words.append(KEYWORD)
        return " ".join(words)

    def _rcpt(self, recipient: Recipient) -> str:
        words = [f"RCPT TO:{self._path(recipient.address)}"]
        if self.extensions.dsn:
            words += rcpt_parameters(recipient)
        return " ".join(words)

    def _needs_smtputf8(self, recipient: Recipient) -> bool:
        # An international domain alone has another form (RFC 6531 section 3.2); and a sender who
        # asked for SMTPUTF8 may not have used it.
        sender = self.message.return_path
        addresses = (recipient.address,) if sender is None else (sender, recipient.address)
        if not all(address.local_part.isascii() for address in addresses):
            return True
        return self.message.smtputf8 and not self.message.header.isascii()

    def _path(self, address: MailAddress | None) -> str:
        if address is None:
            return "<>"
        if address.text.isascii() or not address.local_part.isascii():
            return f"<{address.text}>"
        return f"<{address.local_part}@{address.domain}>"
