"""RET, ENVID, NOTIFY and ORCPT: the parameters of the DSN extension (RFC 3461 section 4)."""

from __future__ import annotations

import re
from collections.abc import MutableMapping

from requiretls_plugin.errors import InvalidParameter
from requiretls_plugin.message import Notify, Recipient, Ret
from requiretls_plugin.reply import BAD_PARAMETER

KEYWORD = "DSN"

# RFC 3461 sections 4.4 and 4.2.
MAX_ENVID = 100
MAX_ORCPT = 500

# What the parameters may add to a command: each with its blank, keyword and longest value.
MAIL_LINE_INCREMENT = len(" RET=FULL") + len(" ENVID=") + MAX_ENVID
RCPT_LINE_INCREMENT = len(" NOTIFY=SUCCESS,FAILURE,DELAY") + len(" ORCPT=") + MAX_ORCPT

_XTEXT = re.compile(r"(?:[\x21-\x2a\x2c-\x3c\x3e-\x7e]|\+[0-9A-F]{2})*")
_HEXCHAR = re.compile(r"\+([0-9A-F]{2})")
_NOT_XCHAR = re.compile(r"[^\x21-\x2a\x2c-\x3c\x3e-\x7e]")
_PRINTABLE = re.compile(r"[\x20-\x7e]+")
_ADDRESS_TYPE = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+")


def encode_xtext(text: str) -> str:
    """Return ASCII *text* as xtext (RFC 3461 section 4)."""
    return _NOT_XCHAR.sub(lambda match: f"+{ord(match[0]):02X}", text)


def decode_xtext(xtext: str) -> str:
    """Return what *xtext* stands for; raises ValueError unless that is printable ASCII, blanks included."""
    text = _HEXCHAR.sub(lambda match: chr(int(match[1], 16)), xtext)
    if not _XTEXT.fullmatch(xtext) or not _PRINTABLE.fullmatch(text):
        raise ValueError(f"{xtext[:80]!r} is not xtext for printable ASCII")
    return text


def take_mail_parameters(parameters: MutableMapping[str, str | None]) -> tuple[Ret | None, str | None]:
    """Take RET and ENVID out of the parameters of MAIL; None where one is absent.

    ENVID comes decoded. Raises InvalidParameter (501 5.5.4).
    """
    ret = envid = None
    if "RET" in parameters:
        ret = _ret(parameters.pop("RET"))
    if "ENVID" in parameters:
        envid = _envid(parameters.pop("ENVID"))
    return ret, envid


def take_rcpt_parameters(
    parameters: MutableMapping[str, str | None],
) -> tuple[frozenset[Notify] | None, str | None]:
    """Take NOTIFY and ORCPT out of the parameters of RCPT; None where one is absent.

    ORCPT comes as it is, for passing on. Raises InvalidParameter (501 5.5.4).
    """
    notify = orcpt = None
    if "NOTIFY" in parameters:
        notify = _notify(parameters.pop("NOTIFY"))
    if "ORCPT" in parameters:
        orcpt = _orcpt(parameters.pop("ORCPT"))
    return notify, orcpt


def mail_parameters(ret: Ret | None, envid: str | None) -> list[str]:
    """Return the parameters to put on MAIL for a server that offers DSN."""
    parameters = [] if ret is None else [f"RET={ret.value}"]
    return parameters if envid is None else [*parameters, f"ENVID={encode_xtext(envid)}"]


def rcpt_parameters(recipient: Recipient) -> list[str]:
    """Return the parameters to put on RCPT for a server that offers DSN."""
    parameters = [] if recipient.notify is None else [f"NOTIFY={notify_text(recipient.notify)}"]
    return parameters if recipient.orcpt is None else [*parameters, f"ORCPT={recipient.orcpt}"]


def notify_text(notify: frozenset[Notify]) -> str:
    """Return a NOTIFY value in the order the RFC names its parts."""
    return ",".join(wish.value for wish in Notify if wish in notify)


def _bad(keyword: str) -> InvalidParameter:
    return InvalidParameter(BAD_PARAMETER.with_text(f"Invalid value of {keyword}"))


def _ret(value: str | None) -> Ret:
    try:
        return Ret((value or "").upper())
    except ValueError:
        raise _bad("RET") from None


def _envid(value: str | None) -> str:
    try:
        if value is None or len(value) > MAX_ENVID:
            raise _bad("ENVID")
        return decode_xtext(value)
    except ValueError:
        raise _bad("ENVID") from None


def _notify(value: str | None) -> frozenset[Notify]:
    try:
        wishes = [Notify(word) for word in (value or "").upper().split(",")]
    except ValueError:
        raise _bad("NOTIFY") from None
    if Notify.NEVER in wishes and len(wishes) > 1:
        raise _bad("NOTIFY")
    return frozenset(wishes)


def _orcpt(value: str | None) -> str:
    address_type, semicolon, xtext = (value or "").partition(";")
    try:
        if not semicolon or not _ADDRESS_TYPE.fullmatch(address_type) or len(xtext) > MAX_ORCPT:
            raise _bad("ORCPT")
        decode_xtext(xtext)
    except ValueError:
        raise _bad("ORCPT") from None
    return f"{address_type};{xtext}"
