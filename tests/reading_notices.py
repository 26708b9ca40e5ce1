"""Make messages that fail, and read the notices about them with parsers that are not ours."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.message import Message as ParsedMessage
from typing import cast

import flufl.bounce

from requiretls_plugin.delivery.outcome import Disposition, Notice, Outcome
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message, Notify, Recipient, Ret
from requiretls_plugin.reason import Reason
from requiretls_plugin.reply import REQUIRETLS_NOT_SUPPORTED, TLS_NOT_JUDGED, Reply
from requiretls_plugin.requirement import Origin, Requirement, Tag

HOSTNAME = DomainName("mx.sender.example")
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
REQUIRED = Tag(Requirement.REQUIRED, Origin.MAIL_PARAMETER)
OPTIONAL = Tag(Requirement.OPTIONAL, Origin.HEADER_FIELD)
UNSTATED = Tag()

HEADER = (
    b"From: Alice <alice@sender.example>\r\n"
    b"Subject: the merger,\r\n\tfolded oddly\r\n"
    b"Message-ID: <1@sender.example>\r\n"
    b"Date: Sun, 1 Mar 2026 11:59:00 +0000\r\n"
    b"MIME-Version:   1.0\r\n"
)
BODY = b"the secret is out\r\nsecond line\r\n"


def message(
    tag: Tag = UNSTATED,
    *,
    content: bytes = HEADER + b"\r\n" + BODY,
    return_path: str | None = "alice@sender.example",
    ret: Ret | None = None,
    envid: str | None = None,
) -> Message:
    """Return a message from alice."""
    path = MailAddress.parse(return_path) if return_path else None
    return Message(path, content, tag=tag, ret=ret, envid=envid)


def recipient(text: str = "bob@rcpt.example", notify: Iterable[Notify] | None = None) -> Recipient:
    """Return a recipient, with NOTIFY if given."""
    return Recipient(MailAddress.parse(text), None if notify is None else frozenset(notify))


def refused(
    to: Recipient | None = None,
    *,
    reply: Reply = REQUIRETLS_NOT_SUPPORTED,
    reason: Reason = Reason.REQUIRETLS_NOT_OFFERED,
    host: str | None = "mx.rcpt.example",
) -> Outcome:
    """Return a failure that this side decided on."""
    return Outcome(to or recipient(), Disposition.FAILED, reply, host=host, reason=reason)


def rejected(
    to: Recipient | None = None,
    *,
    reply: Reply | None = None,
    server_text: str | None = None,
) -> Outcome:
    """Return a failure that the server decided on."""
    return Outcome(
        to or recipient(),
        Disposition.FAILED,
        reply or Reply(550, "5.1.1", "no such user"),
        host="mx.rcpt.example",
        reason=Reason.REJECTED,
        from_server=True,
        server_text=server_text,
    )


def deferred(to: Recipient | None = None) -> Outcome:
    """Return a deferral."""
    return Outcome(
        to or recipient(),
        Disposition.DEFERRED,
        TLS_NOT_JUDGED,
        host="mx.rcpt.example",
        reason=Reason.HOST_UNREACHABLE,
    )


def delivered(to: Recipient | None = None, *, dsn_offered: bool = False) -> Outcome:
    """Return a delivery."""
    return Outcome(
        to or recipient(),
        Disposition.DELIVERED,
        Reply(250, "2.0.0", "queued"),
        host="mx.rcpt.example",
        from_server=True,
        dsn_offered=dsn_offered,
    )


@dataclass(frozen=True)
class ReadNotice:
    """A notice as Python's email package reads it."""

    raw: bytes
    top: EmailMessage

    @classmethod
    def of(cls, notice: Notice | None) -> ReadNotice:
        """Read *notice*; it has to be there and to be a report of three parts."""
        assert notice is not None
        raw = notice.message.content
        top = email.message_from_bytes(raw, policy=email.policy.default)
        assert top.get_content_type() == "multipart/report"
        assert len(list(top.iter_parts())) == 3
        return cls(raw, top)

    def part(self, number: int) -> EmailMessage:
        """Return one of the three parts."""
        return cast(EmailMessage, list(self.top.iter_parts())[number])

    def part_bytes(self, number: int) -> bytes:
        """Return what stands between the boundaries, less the part's own header; by hand."""
        boundary = b"\r\n--" + str(self.top.get_boundary()).encode()
        return self.raw.split(boundary)[number + 1].split(b"\r\n\r\n", 1)[1]

    @property
    def text(self) -> str:
        """The text part, unfolded to one line."""
        return " ".join(str(self.part(0).get_content()).split())

    @property
    def blocks(self) -> list[ParsedMessage]:
        """The groups of fields in the part for programs; the first is about the message."""
        compat = email.message_from_bytes(self.raw)
        status = cast(list[ParsedMessage], compat.get_payload())[1]
        return cast(list[ParsedMessage], status.get_payload())

    @property
    def returned(self) -> bytes:
        """The third part decoded, as bytes."""
        return cast(bytes, self.part(2).get_payload(decode=True))

    @property
    def failed(self) -> set[str]:
        """The failed recipients that Mailman's bounce detector finds."""
        return {address.decode() for address in flufl.bounce.scan_message(email.message_from_bytes(self.raw))}

    @property
    def delayed(self) -> set[str]:
        """The delayed recipients that Mailman's bounce detector finds."""
        delayed, _ = flufl.bounce.all_failures(email.message_from_bytes(self.raw))
        return {address.decode() for address in delayed}
