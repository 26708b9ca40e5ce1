"""What MAIL and RCPT say: paths and parameters, and how long a command may be."""

from __future__ import annotations

import re
from dataclasses import dataclass

from requiretls_plugin import dsn_parameters
from requiretls_plugin.dsn_parameters import take_mail_parameters, take_rcpt_parameters
from requiretls_plugin.errors import InvalidMailAddress, InvalidParameter
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Recipient, Ret
from requiretls_plugin.reply import BAD_PARAMETER, Reply
from requiretls_plugin.smtp_extension import (
    MAIL_LINE_INCREMENT,
    Parameters,
    parse_parameters,
    refuse_unknown,
    take_mail_parameter,
)

BAD_SENDER = Reply(553, "5.1.7", "Malformed sender address")
BAD_RECIPIENT = Reply(553, "5.1.3", "Malformed recipient address")
TOO_LARGE = Reply(552, "5.3.4", "Message too large")

# Octets of a command line without its line end: RFC 5321 section 4.5.3.1.4; on top of it SIZE (RFC
# 1870), BODY (RFC 6152) and SMTPUTF8 (RFC 6531) for MAIL; RFC 4954 section 4 for AUTH.
COMMAND_LINE = 512 - 2
MAIL_LINE = COMMAND_LINE + 26 + 17 + 10 + MAIL_LINE_INCREMENT + dsn_parameters.MAIL_LINE_INCREMENT
RCPT_LINE = COMMAND_LINE + dsn_parameters.RCPT_LINE_INCREMENT
AUTH_LINE = 12_288 - 2

# RFC 5321 section 4.5.3.1.10 asks for a hundred at least.
MAX_RECIPIENTS = 1000

# RFC 5321 section 4.1.2: a path in angle brackets; a quoted local part may hold one of them.
_PATH = re.compile(r'<((?:"(?:[^"\\]|\\.)*"|[^<>"])*)>(?: (.*))?')
_SIZE = re.compile(r"[0-9]{1,20}")


@dataclass(frozen=True, slots=True)
class Offered:
    """What the session offers now, as far as it decides on parameters.

    *extended* tells that the client said EHLO or LHLO; without, no parameter
    is taken. *size* is in octets, 0 and None are no limit.
    """

    extended: bool
    tls: bool
    requiretls: bool
    dsn: bool = True
    smtputf8: bool = False
    auth: bool = False
    size: int | None = None


@dataclass(frozen=True, slots=True)
class MailCommand:
    """What MAIL said; *return_path* is None for the null path."""

    return_path: MailAddress | None
    mail_parameter: bool
    ret: Ret | None
    envid: str | None
    smtputf8: bool
    options: tuple[str, ...]


def parse_mail(argument: str, offered: Offered) -> MailCommand:
    """Return what `MAIL FROM:` says; raises InvalidParameter with the reply to give."""
    path, text = _split(argument, "FROM:", BAD_SENDER)
    return_path = _address(path, BAD_SENDER) if path else None
    parameters = parse_parameters(text)
    if not offered.extended:
        refuse_unknown(parameters)
    mail_parameter = take_mail_parameter(parameters, tls=offered.tls, offered=offered.requiretls)
    ret, envid = take_mail_parameters(parameters) if offered.dsn else (None, None)
    smtputf8 = _take_transport_parameters(parameters, offered)
    refuse_unknown(parameters)
    return MailCommand(return_path, mail_parameter, ret, envid, smtputf8, tuple(text.split()))


@dataclass(frozen=True, slots=True)
class RcptCommand:
    """What RCPT said."""

    recipient: Recipient
    options: tuple[str, ...]


def parse_rcpt(argument: str, offered: Offered, hostname: str) -> RcptCommand:
    """Return what `RCPT TO:` says; raises InvalidParameter with the reply to give.

    `<postmaster>` alone is the one of *hostname* (RFC 5321 section 4.5.1).
    """
    path, text = _split(argument, "TO:", BAD_RECIPIENT)
    if path.lower() == "postmaster":
        path = f"{path}@{hostname}"
    address = _address(path, BAD_RECIPIENT)
    parameters = parse_parameters(text)
    notify, orcpt = take_rcpt_parameters(parameters) if offered.dsn else (None, None)
    refuse_unknown(parameters)
    return RcptCommand(Recipient(address, notify, orcpt), tuple(text.split()))


def _split(argument: str, keyword: str, malformed: Reply) -> tuple[str, str]:
    """Return the path without its brackets, and the text of the parameters."""
    if argument[: len(keyword)].upper() != keyword:
        raise InvalidParameter(Reply(501, "5.5.4", f"Syntax: {keyword}<address>"))
    match = _PATH.fullmatch(argument[len(keyword) :].strip(" "))
    if match is None:
        raise InvalidParameter(malformed)
    return match[1], match[2] or ""


def _address(path: str, malformed: Reply) -> MailAddress:
    try:
        path.encode()
        return MailAddress.parse(path)
    except (InvalidMailAddress, UnicodeEncodeError):
        raise InvalidParameter(malformed) from None


def _take_transport_parameters(parameters: Parameters, offered: Offered) -> bool:
    """Take BODY, SIZE, AUTH and SMTPUTF8 and return whether the last was there."""
    if (parameters.pop("BODY", "7BIT") or "").upper() not in {"7BIT", "8BITMIME"}:
        raise InvalidParameter(BAD_PARAMETER.with_text("BODY is 7BIT or 8BITMIME"))
    size = parameters.pop("SIZE", "0")
    if size is None or not _SIZE.fullmatch(size):
        raise InvalidParameter(BAD_PARAMETER.with_text("SIZE is a number of octets"))
    if offered.size and int(size) > offered.size:
        raise InvalidParameter(TOO_LARGE)
    if offered.auth:
        parameters.pop("AUTH", None)
    if not offered.smtputf8 or "SMTPUTF8" not in parameters:
        return False
    if parameters.pop("SMTPUTF8") is not None:
        raise InvalidParameter(BAD_PARAMETER.with_text("SMTPUTF8 takes no value"))
    return True
