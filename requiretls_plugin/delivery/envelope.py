"""What is said of one message on MAIL and RCPT to one server."""

from __future__ import annotations

from dataclasses import dataclass

from requiretls_plugin.dsn_parameters import mail_parameters, rcpt_parameters
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message, Recipient, Ret
from requiretls_plugin.reply import Reply
from requiretls_plugin.smtp_extension import KEYWORD, Extensions

MESSAGE_TOO_BIG = Reply(552, "5.3.4", "Message is larger than the server takes")
SMTPUTF8_NEEDED = Reply(553, "5.6.7", "The address needs SMTPUTF8, which the server does not offer")


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message as one server is told of it.

    *requiretls* puts the keyword on MAIL. *headers_only* asks that server to
    return no more than headers, whatever the sender said: its hop is not held
    to REQUIRETLS, so its bounce must not carry the content either.
    """

    message: Message
    extensions: Extensions
    content_size: int
    requiretls: bool = False
    headers_only: bool = False

    def refusal(self, recipient: Recipient) -> Reply | None:
        """Return why this server cannot take the message for *recipient* at all, None if it can."""
        limit = self.extensions.size
        if limit and self.content_size > limit:
            return MESSAGE_TOO_BIG
        if self._needs_smtputf8(recipient) and not self.extensions.smtputf8:
            return SMTPUTF8_NEEDED
        return None

    def mail(self, recipients: tuple[Recipient, ...]) -> bytes:
        """Return the MAIL command for a transaction with *recipients*."""
        message, extensions = self.message, self.extensions
        words = [f"MAIL FROM:{_path(message.return_path)}"]
        if "SIZE" in extensions:
            words.append(f"SIZE={self.content_size}")
        # Without 8BITMIME the bytes go all the same: changing them would break signatures, and
        # servers that pass on seven bits only have died out.
        if extensions.eightbitmime and not message.content.isascii():
            words.append("BODY=8BITMIME")
        if extensions.smtputf8 and any(map(self._needs_smtputf8, recipients)):
            words.append("SMTPUTF8")
        if extensions.dsn and message.return_path is not None:
            ret = Ret.HDRS if self.headers_only else message.ret
            words += mail_parameters(ret, message.envid)
        if self.requiretls:
            words.append(KEYWORD)
        return " ".join(words).encode("utf-8") + b"\r\n"

    def rcpt(self, recipient: Recipient) -> bytes:
        """Return the RCPT command for *recipient*."""
        words = [f"RCPT TO:{_path(recipient.address)}"]
        if self.extensions.dsn:
            words += rcpt_parameters(recipient)
        return " ".join(words).encode("utf-8") + b"\r\n"

    def _needs_smtputf8(self, recipient: Recipient) -> bool:
        texts = [recipient.address.text, str(self.message.return_path or "")]
        return self.message.smtputf8 or not all(text.isascii() for text in texts)


def _path(address: MailAddress | None) -> str:
    return "<>" if address is None else f"<{address.text}>"
