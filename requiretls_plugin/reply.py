"""An SMTP reply and its enhanced status code as one value (RFC 5321 §4.2, RFC 3463)."""

from __future__ import annotations

import re
from dataclasses import dataclass

_STATUS = re.compile(r"[245]\.(?:0|[1-9][0-9]{0,2})\.(?:0|[1-9][0-9]{0,2})")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]+")

# RFC 5321 section 4.5.3.1.5 gives a reply line 512 octets; code and status need some of them.
MAX_TEXT = 480


@dataclass(frozen=True, slots=True)
class Reply:
    """What one side tells the other: reply code, enhanced status code, text.

    *text* is made safe: control characters, line ends among them, and
    characters outside ASCII become single blanks, so no text can add a line to
    a session. Raises ValueError if the codes are malformed or their classes
    disagree (RFC 3463 section 2).
    """

    code: int
    status: str
    text: str

    def __post_init__(self) -> None:
        if not 200 <= self.code <= 599:
            raise ValueError(f"{self.code} is not a final SMTP reply code")
        if not _STATUS.fullmatch(self.status):
            raise ValueError(f"{self.status!r} is not an enhanced status code")
        if self.status[0] != str(self.code)[0]:
            raise ValueError(f"reply {self.code} and status {self.status} differ in class")
        object.__setattr__(self, "text", _UNPRINTABLE.sub(" ", self.text)[:MAX_TEXT].strip())

    def __str__(self) -> str:
        return f"{self.code} {self.status} {self.text}".rstrip()

    @property
    def permanent(self) -> bool:
        """Whether sending again would be pointless."""
        return self.code >= 500

    def with_text(self, text: str) -> Reply:
        """Return the same codes with another text."""
        return Reply(self.code, self.status, text)


# Receiving (RFC 8689 section 2, RFC 5321 section 4.1.1.11).
TLS_NEEDED_FOR_PARAMETER = Reply(530, "5.7.10", "REQUIRETLS needs TLS: give STARTTLS first")
BAD_PARAMETER = Reply(501, "5.5.4", "Invalid parameter")
PARAMETER_NOT_SUPPORTED = Reply(555, "5.5.4", "Parameter not supported")

# Sending under REQUIRETLS (RFC 8689 sections 4.2.1 and 7).
REQUIRETLS_NOT_SUPPORTED = Reply(550, "5.7.30", "REQUIRETLS support required")
TLS_REQUIREMENT_NOT_MET = Reply(550, "5.7.10", "Encryption needed")
TLS_NOT_JUDGED = Reply(451, "4.7.10", "TLS requirement could not be checked, will try again")

# Sending whatever was asked.
TLS_POLICY_NOT_MET = Reply(451, "4.7.5", "The TLS session that this destination needs could not be had")
HOST_REFUSED_SESSION = Reply(451, "4.3.2", "Host refuses the session for now")
HOST_NOT_REACHED = Reply(451, "4.4.1", "No answer from host")
CONNECTION_LOST = Reply(451, "4.4.2", "Connection lost")
DNS_LOOKUP_FAILED = Reply(451, "4.4.3", "DNS lookup failed")
PROTOCOL_BROKEN = Reply(451, "4.5.0", "The server broke the SMTP protocol")
OUR_SETTINGS_AT_FAULT = Reply(451, "4.3.5", "System incorrectly configured")
INTERNAL_ERROR = Reply(451, "4.3.0", "Internal error, try again later")
MAIL_LOOP = Reply(554, "5.4.6", "Mail loops back to this host")
NULL_MX = Reply(556, "5.1.10", "Recipient domain accepts no mail (null MX)")
NO_SUCH_MAILBOX = Reply(550, "5.1.1", "No such mailbox here")
NO_SUCH_DOMAIN = Reply(550, "5.1.2", "Recipient domain does not exist")
