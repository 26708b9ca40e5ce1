"""What strangers put into a notice (RFC 3464), read back with a parser that is not ours."""

from __future__ import annotations

from requiretls_plugin.bounce import failure_notice
from requiretls_plugin.delivery.outcome import Disposition, Outcome
from requiretls_plugin.delivery.server_reply import ReplyReader, ServerReply
from requiretls_plugin.dsn_parameters import decode_xtext
from requiretls_plugin.errors import InvalidParameter, ProtocolViolation
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message, Notify, Recipient, Ret
from requiretls_plugin.reason import Reason
from requiretls_plugin.receiving.command_arguments import parse_mail, parse_rcpt
from tests.fuzz.parts import parts
from tests.fuzz.targets.mail_command import IN_TLS
from tests.reading_notices import HOSTNAME, NOW, OPTIONAL, REQUIRED, UNSTATED, rejected
from tests.test_bounce_hostile import all_forms, assert_well_formed

SENDER = MailAddress.parse("a@sender.example")


def target(data: bytes) -> None:
    """ENVID and ORCPT come back as they were given, and nothing of a stranger adds a field or a line.

    The parts: what MAIL said, what RCPT said, the server's answer to it, the message.
    """
    mail, rcpt, answer, content = parts(data, 4)
    try:
        command = parse_mail(mail.decode("utf-8", "surrogateescape"), IN_TLS)
        recipient = parse_rcpt(rcpt.decode("utf-8", "surrogateescape"), IN_TLS, "mx.example").recipient
    except InvalidParameter:
        return
    reply = refusal(answer)
    outcome = Outcome(
        recipient,
        Disposition.FAILED,
        reply.as_reply(),
        host="mx.rcpt.example",
        reason=Reason.REJECTED,
        from_server=True,
        server_text=reply.quoted,
    )
    wanted = command.return_path is not None and Notify.FAILURE in (recipient.notify or {Notify.FAILURE})
    for tag in (REQUIRED, OPTIONAL, UNSTATED):
        message = Message(command.return_path, content, tag=tag, ret=command.ret, envid=command.envid)
        notice = failure_notice(message, [outcome], hostname=HOSTNAME, now=NOW)
        assert (notice is not None) == wanted
        for form in all_forms(notice):
            about_message, about_recipient = assert_well_formed(form, 1).blocks
            assert about_message["Original-Envelope-Id"] == as_a_field(command.envid)
            assert about_recipient["Original-Recipient"] == as_a_field(original(recipient))


def arrive(data: bytes) -> None:
    """One notice about a message of these octets, refused by a server in as many of them as it can say."""
    outcome = rejected(server_text=refusal(b"550-" + data).quoted)
    failure_notice(Message(SENDER, data, ret=Ret.FULL), [outcome], hostname=HOSTNAME, now=NOW)


def refusal(answer: bytes) -> ServerReply:
    """Return the first refusal in a server's bytes, or one that stands for none."""
    try:
        replies = [reply for reply in ReplyReader().feed(answer) if reply.kind in (4, 5)]
    except ProtocolViolation:
        replies = []
    return replies[0] if replies else ServerReply(550, ("5.1.1 no such user",))


def original(recipient: Recipient) -> str | None:
    """Return the address that ORCPT names, behind its type."""
    address_type, _, xtext = (recipient.orcpt or "").partition(";")
    if not recipient.orcpt or not address_type.replace("-", "").isalnum() or len(address_type) > 40:
        return None  # a type that RFC 3464 has no room for
    return f"{address_type}; {decode_xtext(xtext)}"


def as_a_field(value: str | None) -> str | None:
    """Return *value* as parsers give it: blanks at its ends belong to no field."""
    return None if value is None else value.strip()
