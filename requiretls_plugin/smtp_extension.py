"""The SMTP service extension REQUIRETLS: its EHLO keyword and its MAIL parameter (RFC 8689 section 2).

Here too: the grammar both stand in, EHLO replies and ESMTP parameters as
RFC 5321 sections 4.1.1.1 and 4.1.2 write them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from requiretls_plugin.errors import InvalidParameter
from requiretls_plugin.reply import BAD_PARAMETER, PARAMETER_NOT_SUPPORTED, TLS_NEEDED_FOR_PARAMETER

KEYWORD = "REQUIRETLS"

# One blank and ten letters (RFC 8689 section 2, item 5).
MAIL_LINE_INCREMENT = 11

# RFC 5321 asks servers to name their extensions; a hundred times what any server has is an attack.
MAX_EHLO_LINES = 1000

_PARAMETER = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([\x21-\x3c\x3e-\x7e]+))?")
_EHLO_LINE = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)((?: +[\x21-\x7e]+)*) *")
_SIZE = re.compile(r"[0-9]{1,20}")

Parameters = dict[str, str | None]
"""ESMTP parameters by keyword in capitals; None stands for a keyword without a value."""


def parse_parameters(text: str) -> Parameters:
    """Return the parameters of a MAIL or RCPT command, *text* being all that follows the path.

    Keywords come in capitals, values as they are. Raises InvalidParameter
    (501 5.5.4) for anything outside the grammar, `KEYWORD=` with nothing behind
    it among others, and for a keyword that occurs twice, which no extension
    allows. Whether a keyword is known is not checked: see `refuse_unknown`.
    """
    parameters: Parameters = {}
    for word in text.split(" "):
        if not word:
            continue
        match = _PARAMETER.fullmatch(word)
        if match is None:
            raise InvalidParameter(BAD_PARAMETER)
        keyword, value = match[1].upper(), match[2]
        if keyword in parameters:
            raise InvalidParameter(BAD_PARAMETER.with_text(f"Parameter {keyword} occurs twice"))
        parameters[keyword] = value
    return parameters


def refuse_unknown(parameters: Mapping[str, object]) -> None:
    """Raise InvalidParameter (555 5.5.4) if *parameters* has any left (RFC 5321 section 4.1.1.11)."""
    if parameters:
        named = f"Parameter {next(iter(parameters))} not supported"
        raise InvalidParameter(PARAMETER_NOT_SUPPORTED.with_text(named))


def may_be_offered(*, tls: bool, advertise: bool) -> bool:
    """Return whether an EHLO or LHLO reply is to list REQUIRETLS: inside TLS only, and if switched on."""
    return tls and advertise


def take_mail_parameter(parameters: MutableMapping[str, str | None], *, tls: bool, offered: bool) -> bool:
    """Take REQUIRETLS out of the *parameters* of MAIL and return whether it was there.

    *offered* tells whether the extension is switched on, *tls* whether the
    session is inside TLS now. Raises InvalidParameter: 501 5.5.4 if it has a
    value, 555 5.5.4 if it is switched off, 530 5.7.10 in cleartext, where the
    promise is broken already.
    """
    if KEYWORD not in parameters:
        return False
    if not offered:
        refuse_unknown({KEYWORD: None})
    if parameters[KEYWORD] is not None:
        raise InvalidParameter(BAD_PARAMETER.with_text("REQUIRETLS takes no value"))
    if not tls:
        raise InvalidParameter(TLS_NEEDED_FOR_PARAMETER)
    del parameters[KEYWORD]
    return True


@dataclass(frozen=True, slots=True)
class Extensions:
    """What a server listed in its reply to EHLO or LHLO: keywords in capitals and their arguments."""

    keywords: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def parse(cls, lines: Sequence[str]) -> Extensions:
        """Return the extensions that the *lines* of a positive reply list.

        The lines come without reply code; the first names the server and is
        never an extension. Nothing is raised: a line outside the grammar is
        passed over, and the arguments of a keyword listed twice are joined.
        """
        keywords: dict[str, tuple[str, ...]] = {}
        for line in lines[1:MAX_EHLO_LINES]:
            if match := _EHLO_LINE.fullmatch(line):
                keyword = match[1].upper()
                keywords[keyword] = (*keywords.get(keyword, ()), *match[2].split())
        return cls(MappingProxyType(keywords))

    def __contains__(self, keyword: str) -> bool:
        return keyword.upper() in self.keywords

    @property
    def starttls(self) -> bool:
        """STARTTLS (RFC 3207)."""
        return "STARTTLS" in self.keywords

    @property
    def requiretls(self) -> bool:
        """REQUIRETLS (RFC 8689), which has no arguments: with one it is something else."""
        return self.keywords.get(KEYWORD) == ()

    @property
    def pipelining(self) -> bool:
        """PIPELINING (RFC 2920)."""
        return "PIPELINING" in self.keywords

    @property
    def eightbitmime(self) -> bool:
        """8BITMIME (RFC 6152)."""
        return "8BITMIME" in self.keywords

    @property
    def smtputf8(self) -> bool:
        """SMTPUTF8 (RFC 6531)."""
        return "SMTPUTF8" in self.keywords

    @property
    def dsn(self) -> bool:
        """DSN (RFC 3461)."""
        return "DSN" in self.keywords

    @property
    def enhancedstatuscodes(self) -> bool:
        """ENHANCEDSTATUSCODES (RFC 2034)."""
        return "ENHANCEDSTATUSCODES" in self.keywords

    @property
    def size(self) -> int | None:
        """The largest message the server takes, in octets (RFC 1870); None if it names no limit."""
        arguments = self.keywords.get("SIZE", ())
        if not arguments or not _SIZE.fullmatch(arguments[0]):
            return None
        return int(arguments[0]) or None

    @property
    def auth_mechanisms(self) -> frozenset[str]:
        """The SASL mechanisms after AUTH, in capitals (RFC 4954)."""
        return frozenset(mechanism.upper() for mechanism in self.keywords.get("AUTH", ()))
