"""One mail transaction: the envelope as aiosmtpd knows it, and what this package adds."""

from __future__ import annotations

from aiosmtpd.smtp import Envelope

from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message, Recipient, Ret

NULL_PATH = "<>"
"""How aiosmtpd writes the null return path in `Envelope.mail_from`."""


class Transaction(Envelope):
    """An envelope that keeps what REQUIRETLS and DSN said.

    *recipients* has one entry for each of `rcpt_tos`, in the same order. The
    attributes are those of one transaction: the session makes a new object
    after DATA, RSET, EHLO and STARTTLS.
    """

    def __init__(self) -> None:
        super().__init__()
        self.return_path: MailAddress | None = None
        self.mail_parameter = False
        self.ret: Ret | None = None
        self.envid: str | None = None
        self.recipients: list[Recipient] = []

    def message(self, peer: str | None) -> Message:
        """Return the message that DATA brought, not yet tagged.

        *peer* is the IP address it came from, None for a UNIX socket.
        """
        content = self.content or b""
        return Message(
            return_path=self.return_path,
            content=content.encode() if isinstance(content, str) else content,
            mail_parameter=self.mail_parameter,
            peer=peer,
            ret=self.ret,
            envid=self.envid,
            smtputf8=self.smtp_utf8,
        )
