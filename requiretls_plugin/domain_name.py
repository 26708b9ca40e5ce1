"""A domain name, parsed once: lower case, A-labels, no final dot."""

from __future__ import annotations

# What ssl encodes server names with, and idna.uts46data, load themselves late; a server that gave
# up its view of the files by then could not. (They are used by name only.)
import encodings.idna
import encodings.punycode  # noqa: F401
import re
from dataclasses import dataclass

import idna
import idna.uts46data

from requiretls_plugin.errors import InvalidDomainName

# RFC 1035 section 2.3.4, less the final dot.
MAX_NAME = 253

# Underscores are no host name characters, but names such as _25._tcp.mx.example have them,
# and a few MX hosts do too.
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")


@dataclass(frozen=True, slots=True, order=True)
class DomainName:
    """A domain name in the one form that is compared, asked for and shown.

    Make one with `DomainName.parse`; the constructor does not check.
    """

    text: str

    @classmethod
    def parse(cls, text: str) -> DomainName:
        """Return the name that *text* writes; U-labels become A-labels (RFC 5890).

        Raises InvalidDomainName. Address literals and single dots are no names;
        whether the name exists is not looked at.
        """
        shown = f"{text[:80]!r} is no domain name"
        name = text.removesuffix(".")
        # Before all else: no form of a name is longer, and older versions of idna are slow on long ones.
        if not 0 < len(name) <= MAX_NAME:
            raise InvalidDomainName(f"{shown}: its length is {len(name)}")
        if not name.isascii():
            try:
                name = idna.encode(name, uts46=True).decode("ascii")
            except (idna.IDNAError, UnicodeError) as error:
                raise InvalidDomainName(f"{shown}: {error}") from None
        name = name.lower()
        if len(name) > MAX_NAME:
            raise InvalidDomainName(f"{shown}: its length is {len(name)}")
        labels = name.split(".")
        for label in labels:
            if not _LABEL.fullmatch(label):
                raise InvalidDomainName(f"{shown}: label {label[:80]!r}")
        if labels[-1].isdigit():
            raise InvalidDomainName(f"{shown} but an address")
        return cls(name)

    def __str__(self) -> str:
        return self.text

    def __hash__(self) -> int:
        # Python keeps the hash of a string; names are looked up all the time.
        return hash(self.text)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, the leftmost first."""
        return tuple(self.text.split("."))

    def child(self, prefix: str) -> DomainName:
        """Return *prefix*`.`this name, such as `_25._tcp.mx.example`; not checked again."""
        return DomainName(f"{prefix}.{self.text}")
