"""Every reply as safe lines that begin with code and enhanced status code (RFC 2034)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from requiretls_plugin.reply import INTERNAL_ERROR, Reply

# What a handler may answer: text such as "250 2.0.0 OK", or a reply.
Answer = str | Reply

_LINE = re.compile(r"([245]\d\d)(?:[ -]|\Z)(?:([245])\.(\d{1,3})\.(\d{1,3})(?: |\Z))?(.*)", re.DOTALL)

# RFC 3463 names for what aiosmtpd says without one.
_STATUS = {
    500: "5.5.2",
    501: "5.5.4",
    502: "5.5.1",
    503: "5.5.1",
    504: "5.5.4",
    530: "5.7.0",
    550: "5.0.0",
    552: "5.3.4",
    553: "5.1.0",
    554: "5.0.0",
    555: "5.5.4",
    421: "4.3.2",
    451: "4.3.0",
    452: "4.3.1",
    454: "4.7.0",
    252: "2.5.0",
}


def reply_of(answer: Answer) -> Reply:
    """Return *answer* as a reply, with an enhanced status code of its own class.

    Text that is no final SMTP reply becomes 451 4.3.0: what a handler
    meant by it cannot be known, and nothing may get lost.
    """
    if isinstance(answer, Reply):
        return answer
    match = _LINE.match(answer)
    if match is None:
        return INTERNAL_ERROR
    code = int(match[1])
    if match[2] == answer[0]:
        status = f"{match[2]}.{int(match[3])}.{int(match[4])}"
    else:
        status = _STATUS.get(code, f"{code // 100}.0.0")
    return Reply(code, status, match[5])


def replies_for(answer: object, count: int) -> list[Reply]:
    """Return one reply for each of *count* recipients from what a handler returned.

    One answer is for all of them; a sequence of answers has one for each. If it
    has not, or is something else, all of them are told to try again.
    """
    if isinstance(answer, (str, Reply)):
        return [reply_of(answer)] * count
    if isinstance(answer, Sequence) and len(answer) == count:
        return [reply_of(part) if isinstance(part, (str, Reply)) else INTERNAL_ERROR for part in answer]
    return [INTERNAL_ERROR] * count
