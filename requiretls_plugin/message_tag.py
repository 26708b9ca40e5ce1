"""Keep a message's tag and envelope with the message while a host server stores it.

Queues of host servers hold header and body and nothing else. So a header field
above all others says what the envelope said; it is stripped from everything
that arrives, where it could only be forged, and from everything that leaves.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from requiretls_plugin import dsn_parameters
from requiretls_plugin.errors import InvalidInput, InvalidStoredTag
from requiretls_plugin.header_field import (
    REQUIRE_TLS_ESMTP,
    field_values,
    prepend_field,
    strip_fields,
)
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message, Recipient, Ret
from requiretls_plugin.requirement import Origin, Requirement, Tag

FIELD = "X-RequireTLS-Stored"

_NEVER_ON_THE_WIRE = (FIELD, REQUIRE_TLS_ESMTP)
_WORD = re.compile(rb"([a-z]+)=([\x21-\x7e]*)")
# Up to the year 5138; later ones no calendar has.
_SECONDS = re.compile(r"[0-9]{1,11}")


@dataclass(frozen=True, slots=True)
class StoredTag:
    """What the field keeps: the tag, the envelope for one recipient, and when it arrived (Unix time)."""

    tag: Tag
    return_path: MailAddress | None
    recipient: Recipient
    arrived: int
    mail_parameter: bool = False
    peer: str | None = None
    ret: Ret | None = None
    envid: str | None = None
    smtputf8: bool = False

    @classmethod
    def of(cls, message: Message, recipient: Recipient, arrived: int) -> StoredTag:
        """Return what is to be kept of *message*, which *arrived* then, for *recipient*."""
        return cls(
            tag=message.tag,
            return_path=message.return_path,
            recipient=recipient,
            arrived=arrived,
            mail_parameter=message.mail_parameter,
            peer=message.peer,
            ret=message.ret,
            envid=message.envid,
            smtputf8=message.smtputf8,
        )

    def message(self, content: bytes) -> Message:
        """Return the message it was, with *content* as its content, the stored tag stripped."""
        return Message(
            return_path=self.return_path,
            content=strip_private_fields(content),
            mail_parameter=self.mail_parameter,
            peer=self.peer,
            tag=self.tag,
            ret=self.ret,
            envid=self.envid,
            smtputf8=self.smtputf8,
        )


def strip_private_fields(content: bytes) -> bytes:
    """Return *content* without the header fields in which mail servers keep tags, ours and Postfix's."""
    return strip_fields(content, _NEVER_ON_THE_WIRE)


def store_tag(content: bytes, stored: StoredTag) -> bytes:
    """Return *content* with *stored* written above it, instead of any older one."""
    return prepend_field(strip_fields(content, [FIELD]), FIELD, _written(stored))


def read_stored_tag(content: bytes) -> StoredTag | None:
    """Return what `store_tag` wrote into *content*, None if there is nothing.

    Raises InvalidStoredTag if something else stands there or stands there twice.
    Whether this package wrote it cannot be told: strip what strangers send.
    """
    values = field_values(content, FIELD)
    if not values:
        return None
    if len(values) > 1:
        raise InvalidStoredTag(f"{len(values)} {FIELD} fields")
    try:
        return _read(values[0])
    except (InvalidInput, ValueError, KeyError) as error:
        raise InvalidStoredTag(f"{FIELD} field cannot be read: {error}") from None


def _written(stored: StoredTag) -> str:
    """Return the field's value: words of the form key=xtext, so that folding it at blanks does no harm."""
    words = {
        "requirement": stored.tag.requirement.value,
        "origin": stored.tag.origin.value if stored.tag.origin else None,
        "from": stored.return_path.text if stored.return_path else "",
        "to": stored.recipient.address.text,
        "parameter": "yes" if stored.mail_parameter else None,
        "peer": stored.peer,
        "ret": stored.ret.value if stored.ret else None,
        "envid": stored.envid,
        "notify": dsn_parameters.notify_text(stored.recipient.notify) if stored.recipient.notify else None,
        "orcpt": stored.recipient.orcpt,
        "utf": "yes" if stored.smtputf8 else None,
        "arrived": str(stored.arrived),
    }
    return " ".join(f"{key}={_encoded(word)}" for key, word in words.items() if word is not None)


def _encoded(word: str) -> str:
    return dsn_parameters.encode_xtext(word.encode("utf-8").decode("latin-1"))


def _decoded(xtext: str) -> str:
    return re.sub(r"\+([0-9A-F]{2})", lambda match: chr(int(match[1], 16)), xtext).encode("latin-1").decode()


def _read(value: bytes) -> StoredTag:
    words: dict[str, str] = {}
    for word in value.split():
        match = _WORD.fullmatch(word)
        if match is None or match[1].decode() in words:
            raise ValueError(f"unexpected {word[:40]!r}")
        words[match[1].decode()] = _decoded(match[2].decode())
    dsn: dict[str, str | None] = {key.upper(): words[key] for key in ("notify", "orcpt") if key in words}
    notify, orcpt = dsn_parameters.take_rcpt_parameters(dsn)
    if not _SECONDS.fullmatch(words["arrived"]):
        raise ValueError("arrived is no time")
    return StoredTag(
        tag=Tag(Requirement(words["requirement"]), Origin(words["origin"]) if "origin" in words else None),
        return_path=MailAddress.parse(words["from"]) if words["from"] else None,
        recipient=Recipient(MailAddress.parse(words["to"]), notify, orcpt),
        mail_parameter=words.get("parameter") == "yes",
        peer=words.get("peer"),
        ret=Ret(words["ret"]) if "ret" in words else None,
        envid=words.get("envid"),
        smtputf8=words.get("utf") == "yes",
        arrived=int(words["arrived"]),
    )
