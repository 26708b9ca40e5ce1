"""SMTP and LMTP sessions with REQUIRETLS, DSN and enhanced status codes.

The classes take the place of `aiosmtpd.smtp.SMTP` and `aiosmtpd.lmtp.LMTP`:
same arguments, same handler hooks but for `handle_EHLO` and `handle_HELO`,
which are not called. `handle_DATA` finds a `Transaction` as its envelope; it
returns one answer, or in LMTP also a sequence with one for each recipient.
"""

# ruff: noqa: N802 - aiosmtpd names the methods after the commands
from __future__ import annotations

from typing import Any, ClassVar

from aiosmtpd import smtp
from aiosmtpd.lmtp import LMTP

from requiretls_aiosmtpd.connection import Connection
from requiretls_aiosmtpd.transaction import NULL_PATH, Transaction
from requiretls_plugin import dsn_parameters
from requiretls_plugin.errors import InvalidParameter
from requiretls_plugin.receiving.command_arguments import (
    MAX_RECIPIENTS,
    MailCommand,
    Offered,
    RcptCommand,
    parse_mail,
    parse_rcpt,
)
from requiretls_plugin.receiving.content import read_message
from requiretls_plugin.receiving.message_memory import MessageMemory
from requiretls_plugin.receiving.status_lines import replies_for
from requiretls_plugin.receiving.trace import loops, received_field
from requiretls_plugin.reply import MAIL_LOOP, Reply
from requiretls_plugin.smtp_extension import KEYWORD, may_be_offered

OK = Reply(250, "2.0.0", "OK")
NOT_VERIFIED = Reply(252, "2.5.2", "Cannot verify the address; send it mail")
NO_SUCH_COMMAND = Reply(500, "5.5.1", "Command not recognized")
NOT_AVAILABLE = Reply(502, "5.5.1", "Command not available")
BAD_ARGUMENT = Reply(501, "5.5.4", "Syntax error in the argument")
BAD_SEQUENCE = Reply(503, "5.5.1", "Bad sequence of commands")
AUTHENTICATION_NEEDED = Reply(530, "5.7.0", "Authentication required")
TOO_MANY_RECIPIENTS = Reply(452, "4.5.3", "Too many recipients")


class SMTPSession(Connection):
    """An SMTP session that offers REQUIRETLS inside TLS and keeps what it was asked.

    *advertise* switches the extension off. *dsn* switches DSN off, for a handler
    that sends no success notices: whoever hands mail to it then sends them
    himself. The other arguments are those of `aiosmtpd.smtp.SMTP`. TLS may come
    by STARTTLS or from the first octet.
    """

    protocol_word = "ESMTP"

    message_memory: ClassVar[MessageMemory] = MessageMemory()
    """What the messages of all sessions in this process hold until they are answered for."""

    def __init__(self, handler: Any, *, advertise: bool = True, dsn: bool = True, **arguments: Any) -> None:
        self.advertise = advertise
        self.dsn = dsn
        super().__init__(handler, **arguments)

    # What this session offers

    @property
    def offers_auth(self) -> bool:
        """Whether AUTH can succeed: somebody has to be there who checks passwords."""
        checked = self._authenticator is not None or self._auth_callback is not smtp.login_always_fail
        return (checked or "AUTH" in self._handle_hooks) and (self.inside_tls or not self._auth_require_tls)

    def offered(self) -> Offered:
        """Return what parameters this session takes now."""
        return Offered(
            extended=self.client.extended_smtp,
            tls=self.inside_tls,
            requiretls=self.advertise,
            dsn=self.dsn,
            smtputf8=self.enable_SMTPUTF8,
            auth=self.offers_auth,
            size=self.data_size_limit,
        )

    def extensions(self) -> list[str]:
        """Return the lines of the EHLO reply after the first."""
        lines = ["PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES"]
        if self.dsn:
            lines.append(dsn_parameters.KEYWORD)
        if self.data_size_limit:
            lines.append(f"SIZE {self.data_size_limit}")
        if self.enable_SMTPUTF8:
            lines.append("SMTPUTF8")
        if self.tls_context and not self.inside_tls:
            lines.append("STARTTLS")
        if self.offers_auth:
            lines.append("AUTH " + " ".join(sorted(self._auth_methods)))
        if may_be_offered(tls=self.inside_tls, advertise=self.advertise):
            lines.append(KEYWORD)
        return lines

    # The session

    async def smtp_HELO(self, arg: str) -> None:
        """Greet a client that asks for no extensions."""
        await self._greet(arg, extended=False)

    async def smtp_EHLO(self, arg: str) -> None:
        """Greet the client and list the extensions."""
        await self._greet(arg, extended=True)

    async def _greet(self, hostname: str | None, *, extended: bool) -> None:
        if not hostname:
            await self.push(BAD_ARGUMENT)
            return
        self.envelope = self._create_envelope()
        self.client.extended_smtp = extended
        self.client.host_name = hostname
        lines = [self.hostname, *(self.extensions() if extended else [])]
        await self.send_lines(*(f"250-{line}" for line in lines[:-1]), f"250 {lines[-1]}")

    async def smtp_STARTTLS(self, arg: str | None) -> None:
        """Begin TLS, once."""
        if not self.tls_context:
            await self.push(NOT_AVAILABLE)
        elif self.inside_tls:
            await self.push(BAD_SEQUENCE)
        else:
            await super().smtp_STARTTLS(arg)
            if self._tls_protocol is not None and not self.inside_tls:
                # asyncio takes a handshake for done in which we hung up on an idle client. What the
                # client said before it is still there, and nobody is left to be answered.
                raise smtp.TLSSetupException from ConnectionAbortedError("it took too long")

    async def smtp_AUTH(self, arg: str) -> None:
        """Check who the client is, if there is somebody to do that."""
        if self.offers_auth:
            await super().smtp_AUTH(arg)
        else:
            await self.push(NOT_AVAILABLE)

    async def smtp_VRFY(self, arg: str | None) -> None:
        """Say nothing about addresses."""
        await self.push(NOT_VERIFIED)

    # The transaction

    async def smtp_MAIL(self, arg: str | None) -> None:
        """Open a transaction."""
        try:
            self._check_sequence(not self.transaction.mail_from)
            await self.push(await self._open(parse_mail(arg or "", self.offered())))
        except InvalidParameter as refused:
            await self.push(refused.reply)

    async def smtp_RCPT(self, arg: str | None) -> None:
        """Add a recipient to the transaction."""
        try:
            self._check_sequence(bool(self.transaction.mail_from))
            await self.push(await self._add(parse_rcpt(arg or "", self.offered(), self.hostname)))
        except InvalidParameter as refused:
            await self.push(refused.reply)

    async def smtp_DATA(self, arg: str | None) -> None:
        """Take the message and answer for it."""
        try:
            self._check_sequence(bool(self.transaction.recipients))
            if arg:
                raise InvalidParameter(BAD_ARGUMENT)
        except InvalidParameter as refused:
            await self.push(refused.reply)
            return
        await self.send_lines("354 End data with <CR><LF>.<CR><LF>")
        replies = await self._take_message(self.transaction)
        self.envelope = self._create_envelope()
        await self.send_lines(*(str(reply) for reply in replies))

    def _check_sequence(self, in_order: bool) -> None:
        """Raise InvalidParameter if it is not the time for this command."""
        if not self.client.host_name or not in_order:
            raise InvalidParameter(BAD_SEQUENCE)
        if self._auth_required and not self.client.authenticated:
            raise InvalidParameter(AUTHENTICATION_NEEDED)

    async def _open(self, command: MailCommand) -> object:
        """Return the answer to MAIL, having kept what it says if that is positive."""
        transaction = self.transaction
        address = command.return_path.text if command.return_path else NULL_PATH
        answer = await self._call_handler_hook("MAIL", address, list(command.options))
        if answer is smtp.MISSING:
            transaction.mail_from, answer = address, OK
        if transaction.mail_from:
            transaction.mail_options.extend(command.options)
            transaction.return_path = command.return_path
            transaction.mail_parameter = command.mail_parameter
            transaction.ret, transaction.envid = command.ret, command.envid
            transaction.smtp_utf8 = command.smtputf8
        return answer

    async def _add(self, command: RcptCommand) -> object:
        """Return the answer to RCPT, having kept the recipient if that is positive."""
        transaction = self.transaction
        if len(transaction.recipients) >= MAX_RECIPIENTS:
            return TOO_MANY_RECIPIENTS
        address = command.recipient.address.text
        answer = await self._call_handler_hook("RCPT", address, list(command.options))
        if answer is smtp.MISSING:
            transaction.rcpt_tos.append(address)
            answer = OK
        if len(transaction.rcpt_tos) > len(transaction.recipients):
            transaction.recipients.append(command.recipient)
            transaction.rcpt_options.extend(command.options)
        return answer

    async def _take_message(self, transaction: Transaction) -> list[Reply]:
        """Return the replies to the end of the message, one for each that is due."""
        count = self.replies_due(transaction)
        limit = self.data_size_limit or None
        with self.message_memory.share(limit) as share:
            self._reading_message = True
            try:
                content = await read_message(self._reader, limit, share)
            finally:
                self._reading_message = False
            if isinstance(content, Reply):
                return [content] * count
            if loops(content):
                return [MAIL_LOOP] * count
            transaction.content = transaction.original_content = self._trace() + content
            answer = await self.while_handler_works("DATA")
        return replies_for(OK if answer is smtp.MISSING else answer, count)

    def replies_due(self, transaction: Transaction) -> int:
        """Return how many replies the end of the message asks for."""
        return 1

    def _trace(self) -> bytes:
        protocol = self.protocol_word if self.client.extended_smtp else "SMTP"
        return received_field(
            helo=self.client.host_name or "",
            peer=self.peer_address,
            hostname=self.hostname,
            protocol=protocol + ("S" if self.inside_tls else "") + ("A" if self.client.authenticated else ""),
        )


class LMTPSession(LMTP, SMTPSession):
    """An LMTP session like `SMTPSession`, with one reply for each recipient."""

    protocol_word = "LMTP"

    async def smtp_LHLO(self, arg: str) -> None:
        """Greet the client and list the extensions."""
        await self._greet(arg, extended=True)

    async def smtp_HELO(self, arg: str) -> None:
        """Refuse a command that LMTP does not have."""
        await self.push(NO_SUCH_COMMAND)

    async def smtp_EHLO(self, arg: str) -> None:
        """Refuse a command that LMTP does not have."""
        await self.push(NO_SUCH_COMMAND)

    def replies_due(self, transaction: Transaction) -> int:
        """Return the number of recipients that were accepted: each waits for its own."""
        return len(transaction.recipients)
