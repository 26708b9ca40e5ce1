"""The MTA-STS policy file: what it says, and which hosts it names (RFC 8461 sections 3.2 and 4.1)."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.errors import InvalidDomainName, InvalidSTSPolicy

# RFC 8461 section 3.2: "max_age" goes up to about a year. What to do above that it leaves open.
# We cut down to it: the domain asked for protection, and refusing the policy would give it none.
MAX_AGE_LIMIT = 31_557_600

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")
# A control character in a value could not be shown, logged or reported safely.
_VALUE = re.compile(r"[^\x00-\x1f\x7f-\x9f]+")
_MAX_AGE = re.compile(r"[0-9]{1,10}")


class Mode(enum.Enum):
    """What the domain asks of senders (RFC 8461 section 5)."""

    ENFORCE = "enforce"
    """Deliver to hosts that pass, and to no others."""
    TESTING = "testing"
    """Deliver as usual and report what would have failed."""
    NONE = "none"
    """As if the domain had no policy."""


@dataclass(frozen=True, slots=True)
class MXPattern:
    """One `mx` line: a host name, or with *star* any host one label below it."""

    name: DomainName
    star: bool = False

    @classmethod
    def parse(cls, text: str) -> MXPattern:
        """Return the pattern that *text* writes; raises InvalidSTSPolicy.

        A star may only be the whole first label. International names have to
        be A-labels (RFC 8461 section 3.2). A final dot is refused.
        """
        name = text.removeprefix("*.")
        if not name.isascii() or name.endswith("."):
            raise InvalidSTSPolicy(f"mx {text[:80]!r} is no host name in A-labels")
        try:
            return cls(DomainName.parse(name), star=name != text)
        except InvalidDomainName as error:
            raise InvalidSTSPolicy(f"mx {text[:80]!r}: {error}") from None

    def matches(self, host: DomainName) -> bool:
        """Whether *host* is what the pattern names; the star is exactly one label."""
        if self.star:
            return host.labels[1:] == self.name.labels
        return host == self.name

    def __str__(self) -> str:
        return f"*.{self.name}" if self.star else self.name.text


@dataclass(frozen=True, slots=True)
class STSPolicy:
    """A domain's MTA-STS policy.

    *max_age* is in seconds, at most 31557600. *text* is the file as it was
    fetched, for reports and for keeping.
    """

    mode: Mode
    mx: tuple[MXPattern, ...]
    max_age: int
    text: str

    def matches(self, host: DomainName) -> bool:
        """Whether the policy names *host*, a name as an MX record has it (RFC 8461 section 4.1).

        Says nothing about the host's certificate, nor about the mode.
        """
        return any(pattern.matches(host) for pattern in self.mx)


def parse_sts_policy(body: bytes) -> STSPolicy:
    """Return the policy in *body*, the content of a policy file; raises InvalidSTSPolicy.

    Fields may come in any order, lines end in LF or CRLF. Unknown fields are
    ignored if they are well-formed; of a repeated field other than `mx` the
    first counts. Empty lines, which the grammar has no room for, are passed
    over: editors leave them, and they say nothing that could be misread.
    """
    try:
        return _parse(body.decode("utf-8"))
    except UnicodeDecodeError:
        raise InvalidSTSPolicy("the policy is not UTF-8") from None


def _parse(text: str) -> STSPolicy:
    fields: dict[str, str] = {}
    mx: list[MXPattern] = []
    for line in text.replace("\r\n", "\n").split("\n"):
        if not line.strip(" \t"):
            continue
        name, value = _field(line)
        if name == "mx":
            mx.append(MXPattern.parse(value))
        else:
            fields.setdefault(name, value)
    return _checked(fields, tuple(mx), text)


def _field(line: str) -> tuple[str, str]:
    name, _colon, value = line.partition(":")
    value = value.strip(" \t")
    if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
        raise InvalidSTSPolicy(f"the policy has a malformed line: {line[:80]!r}")
    return name, value


def _checked(fields: dict[str, str], mx: tuple[MXPattern, ...], text: str) -> STSPolicy:
    if fields.get("version") != "STSv1":
        raise InvalidSTSPolicy("the policy does not say version: STSv1")
    try:
        mode = Mode(fields.get("mode"))
    except ValueError:
        raise InvalidSTSPolicy("the policy has no mode of enforce, testing or none") from None
    max_age = fields.get("max_age", "")
    if not _MAX_AGE.fullmatch(max_age):
        raise InvalidSTSPolicy("the policy has no max_age of one to ten digits")
    if not mx and mode is not Mode.NONE:
        raise InvalidSTSPolicy(f"the policy has mode {mode.value} and no mx")
    return STSPolicy(mode, mx, min(int(max_age), MAX_AGE_LIMIT), text)
