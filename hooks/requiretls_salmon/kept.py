"""What is kept with a `MailRequest` while handlers have it: the envelope, the tag, and how it looked."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from requiretls_plugin.errors import InvalidStoredTag
from requiretls_plugin.message import Message, Recipient
from requiretls_plugin.message_tag import StoredTag, read_stored_tag, store_tag, strip_private_fields
from requiretls_plugin.requirement import Requirement

ATTRIBUTE = "requiretls"
"""The attribute of a MailRequest in which a `Kept` is found."""


@dataclass(frozen=True)
class Accepted:
    """A message that was accepted, for one of its recipients; *arrived* is Unix time."""

    message: Message
    recipient: Recipient
    arrived: int = field(default_factory=lambda: int(time.time()))

    def salmon_data(self) -> bytes:
        """Return the message as Salmon's receivers give it to handlers, the stored tag above it.

        Line ends are LF and the last one is missing.
        """
        # A receiver's CRs all belong to a CR LF; to drop them is five times as fast as to replace pairs.
        content = self.message.content.translate(None, b"\r").removesuffix(b"\n")
        return store_tag(content, StoredTag.of(self.message, self.recipient, self.arrived))

    @classmethod
    def from_data(cls, data: bytes) -> Accepted | None:
        """Return what a receiver stored in *data*, None if no receiver of ours did.

        Raises InvalidStoredTag.
        """
        stored = read_stored_tag(data)
        return None if stored is None else cls(stored.message(data), stored.recipient, stored.arrived)


@dataclass(frozen=True)
class Kept:
    """An accepted message, and the looks of the MailRequest made of it.

    *accepted* is None for a message that came without an envelope we know of.
    """

    accepted: Accepted | None
    looks: object
    sender: str | None
    recipient: str | None

    @classmethod
    def with_request(cls, request: Any, accepted: Accepted | None) -> Kept:
        """Return what to keep with *request*, a MailRequest, and put it there."""
        kept = cls(accepted, looks_of(request.base), request.From, request.To)
        setattr(request, ATTRIBUTE, kept)
        return kept

    def unchanged(self, request: Any) -> bool:
        """Return whether handlers left header and body of *request* as they were."""
        return self.looks == looks_of(request.base)


def kept_with(message: Any) -> Kept | None:
    """Return what is kept with *message*, a MailRequest or anything else."""
    kept = getattr(message, ATTRIBUTE, None)
    return kept if isinstance(kept, Kept) else None


def requirement_of(message: Any) -> Requirement:
    """Return what the sender of *message*, a MailRequest, asked of TLS."""
    kept = kept_with(message)
    return kept.accepted.message.requirement if kept and kept.accepted else Requirement.UNSTATED


def as_bytes(data: bytes | str) -> bytes:
    """Return a MailRequest's Data as bytes: it is text where an app made it of text."""
    return data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data


def stored_or_none(data: bytes | str) -> Accepted | None:
    """Return what a receiver stored in *data*, None also for what nobody can have stored."""
    try:
        return Accepted.from_data(as_bytes(data))
    except InvalidStoredTag:
        return None


def raw_content(request: Any) -> bytes:
    """Return what *request* was made of, without the fields that never leave."""
    return strip_private_fields(as_bytes(request.Data))


def looks_of(base: Any) -> tuple[object, ...]:
    """Return a value that differs whenever a handler changed *base*, a Salmon MailBase.

    Turning it into text sets Content-Type anew, so that is compared as Salmon
    reads it.
    """
    part = base.mime_part
    header = tuple((name, value) for name, value in part.raw_items() if name.lower() != "content-type")
    content_type, parameters = base.content_encoding["Content-Type"]
    default = "multipart/mixed" if base.parts else "text/plain"
    payload = None if part.is_multipart() else part.get_payload()
    children = tuple(looks_of(child) for child in base.parts)
    return header, content_type or default, sorted(parameters.items()), payload, children
