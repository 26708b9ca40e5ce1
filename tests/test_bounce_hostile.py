"""Whatever strangers put into headers, addresses and replies, a notice stays one well-formed notice."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from email.message import Message as ParsedMessage

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from requiretls_plugin.bounce import failure_notice
from requiretls_plugin.delivery.outcome import Notice, Outcome
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message, Recipient, Ret
from requiretls_plugin.requirement import Tag
from tests.reading_notices import (
    HEADER,
    HOSTNAME,
    NOW,
    OPTIONAL,
    REQUIRED,
    UNSTATED,
    ReadNotice,
    message,
    refused,
    rejected,
)

SECRET = b"s3cret-of-the-body"

TOP_FIELDS = {
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "Auto-Submitted",
    "In-Reply-To",
    "References",
    "TLS-Required",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
}
MESSAGE_FIELDS = {"Reporting-MTA", "Original-Envelope-Id", "Arrival-Date"}
RECIPIENT_FIELDS = {
    "Original-Recipient",
    "Final-Recipient",
    "Action",
    "Status",
    "Remote-MTA",
    "Diagnostic-Code",
    "Last-Attempt-Date",
}

# Pieces that would hurt a careless writer more often than random bytes do.
NASTY = st.sampled_from(
    [
        "\r\n",
        "\n",
        "\r",
        "\r\n\r\n",
        "\0",
        "\x0b",
        "\x1c",
        "\x85",
        "\u2028",
        "\ud800",
        "\r\nBcc: evil@x.example\r\n",
        "\r\n--=_report_",
        "--",
        "550 2.0.0",
        "=?utf-8?q?=0A?=",
        "<>",
        '"',
        "\\",
        "ü",
        "\N{RIGHT-TO-LEFT OVERRIDE}",
    ]
)
TEXTS = st.lists(st.one_of(NASTY, st.text(max_size=20)), max_size=8).map("".join)
BYTES = st.lists(
    st.one_of(NASTY.map(lambda text: text.encode("utf-8", "replace")), st.binary(max_size=30)), max_size=8
).map(b"".join)
FIELDS = st.tuples(
    st.sampled_from(
        [b"Subject", b"Message-ID", b"Date", b"Content-Type", b"TLS-Required", b"X-RequireTLS-Stored"]
    ),
    BYTES.map(lambda value: value.replace(b"\n", b"\n ")),
).map(lambda field: field[0] + b": " + field[1] + b"\r\n")


def hostile_address(local_part: str) -> MailAddress:
    """Return an address that no parser let through."""
    return MailAddress(f"{local_part}@x.example", local_part, DomainName("x.example"))


def all_forms(notice: Notice | None) -> Iterator[Notice]:
    """Yield a notice and its fallbacks."""
    while notice is not None:
        yield notice
        notice = notice.fallback


def assert_well_formed(notice: Notice, recipients: int) -> ReadNotice:
    """Assert that foreign eyes see exactly the fields that we write and nothing wrong."""
    read = ReadNotice.of(notice)
    assert set(read.top.keys()) <= TOP_FIELDS
    assert len(read.top.keys()) == len(set(read.top.keys()))
    assert read.top.defects == []
    status = read.part_bytes(1)
    assert all(byte in b"\r\n" or 32 <= byte < 127 for byte in status)
    assert_fields(read.blocks, recipients)
    assert max(map(len, read.raw.split(b"\r\n"))) <= 998
    assert b"\0" not in read.raw
    assert b"\r" not in read.raw.replace(b"\r\n", b"")
    assert b"\n" not in read.raw.replace(b"\r\n", b"")
    return read


def assert_fields(blocks: list[ParsedMessage], recipients: int) -> None:
    about_message, *about_recipients = blocks
    assert set(about_message.keys()) <= MESSAGE_FIELDS
    assert len(about_recipients) == recipients
    for block in about_recipients:
        assert set(block.keys()) <= RECIPIENT_FIELDS
        assert block["Action"] == "failed"


@settings(deadline=None)
@given(
    local_parts=st.lists(TEXTS, min_size=1, max_size=3),
    sender=TEXTS,
    server_text=st.none() | TEXTS,
    host=st.none() | TEXTS,
    envid=st.none() | TEXTS,
    orcpt=st.none() | TEXTS,
    tag=st.sampled_from([REQUIRED, OPTIONAL, UNSTATED]),
)
def test_attack_no_address_or_reply_adds_a_field_or_a_line(
    local_parts: list[str],
    sender: str,
    server_text: str | None,
    host: str | None,
    envid: str | None,
    orcpt: str | None,
    tag: Tag,
) -> None:
    """Addresses that no parser checked, server texts, host names, ENVID and ORCPT."""
    about = replace(message(ret=Ret.HDRS), return_path=hostile_address(sender), envid=envid, tag=tag)
    outcomes = [
        replace(
            rejected(Recipient(hostile_address(local_part), orcpt=orcpt)), server_text=server_text, host=host
        )
        for local_part in local_parts
    ]

    for notice in all_forms(failure_notice(about, outcomes, hostname=HOSTNAME, now=NOW)):
        assert_well_formed(notice, len(outcomes))


@settings(deadline=None)
@given(fields=st.lists(FIELDS, max_size=6), ret=st.sampled_from([None, Ret.FULL, Ret.HDRS]))
@example(fields=[b"Subject: x\r\n--=_report_\r\n"], ret=None)
def test_attack_no_header_breaks_the_notice_about_its_message(fields: list[bytes], ret: Ret | None) -> None:
    """The returned header is whatever it is; around it everything holds."""
    content = b"".join(fields) + b"\r\nbody\r\n"
    for tag in (REQUIRED, OPTIONAL, UNSTATED):
        about = replace(message(tag, content=content), ret=ret)

        for notice in all_forms(failure_notice(about, [refused()], hostname=HOSTNAME, now=NOW)):
            read = assert_well_formed(notice, 1)
            assert b"\r\nX-RequireTLS-Stored:" not in b"\r\n" + read.part_bytes(2)


@settings(deadline=None)
@given(fields=st.lists(FIELDS, max_size=4), before=BYTES, after=BYTES)
@example(fields=[], before=b"", after=b"")
@example(fields=[], before=b"no header at all ", after=b"")
def test_attack_the_body_of_a_required_message_is_in_no_form_of_its_notice(
    fields: list[bytes], before: bytes, after: bytes
) -> None:
    """Neither as it is, nor in quoted-printable or base64, nor if the blank line is missing."""
    body = before.replace(b":", b"") + SECRET + after.replace(b":", b"")
    for separator in (b"\r\n", b"\n", b"" if fields and not before else b"\r\n"):
        about = message(REQUIRED, content=b"".join(fields) + separator + body)

        for notice in all_forms(failure_notice(about, [refused(), rejected()], hostname=HOSTNAME, now=NOW)):
            read = assert_well_formed(notice, 2)
            assert_secret_is_kept(read)


def assert_secret_is_kept(read: ReadNotice) -> None:
    forms = [read.raw, read.returned, read.part_bytes(2).replace(b"=\r\n", b""), read.text.encode()]
    assert not any(SECRET in form for form in forms)
    for shift in range(3):
        encoded = base64.b64encode(b"x" * shift + SECRET)[4:-4]
        assert encoded not in read.raw.replace(b"\r\n", b"")


@settings(deadline=None)
@given(fields=st.lists(FIELDS, max_size=6), body=BYTES)
def test_attack_the_subject_of_a_required_message_is_not_in_the_redacted_notice(
    fields: list[bytes], body: bytes
) -> None:
    """Nor is what a server, which has seen the message, says about it."""
    content = b"Subject: " + SECRET + b"\r\n" + b"".join(fields) + b"\r\n" + SECRET + body
    outcome = rejected(server_text=f"550-5.7.1 {SECRET.decode()}\n550 5.7.1 spam")
    about = message(REQUIRED, content=content)

    notice = failure_notice(about, [outcome], hostname=HOSTNAME, now=NOW, requiretls="redact")

    assert notice is not None
    assert_secret_is_kept(assert_well_formed(notice, 1))


@pytest.mark.parametrize(
    "content",
    [
        SECRET,
        SECRET + b"\r\nmore\r\n",
        HEADER + SECRET + b" without a blank line\r\n",
        HEADER + b" \r\n" + SECRET + b"\r\n",
        HEADER + b" \r\n " + SECRET + b"\r\n",
        HEADER + b"\xa0\r\n" + SECRET,
        b"\r\n" + SECRET,
        b"\n" + SECRET,
    ],
    ids=[
        "no header",
        "no header, lines",
        "no blank line",
        "blank line with a blank",
        "blank line with a blank, then an indented body",
        "blank line with a no-break space",
        "empty header",
        "empty header, LF",
    ],
)
def test_attack_a_body_does_not_pass_for_a_header(content: bytes) -> None:
    """Where the blank line is missing or spoilt, the header ends with its last proper field."""
    notice = failure_notice(message(REQUIRED, content=content), [refused()], hostname=HOSTNAME, now=NOW)

    assert notice is not None
    assert SECRET not in notice.message.content
    assert notice.message.content.count(b"merger") == content.count(b"merger")


def test_attack_a_message_cannot_contain_the_boundary() -> None:
    """An author who copies the boundary of one notice changes that of the next."""
    about = message(UNSTATED, ret=Ret.FULL)
    for _ in range(3):
        notice = failure_notice(about, [refused()], hostname=HOSTNAME, now=NOW)
        read = ReadNotice.of(notice)
        boundary = str(read.top.get_boundary()).encode()
        about = replace(about, content=about.content + b"--" + boundary + b"--\r\n")

    assert read.part_bytes(2).count(boundary) == 0
    assert read.part_bytes(2).count(b"--=_report_") == 2


def test_attack_a_server_text_without_end_is_cut() -> None:
    """More than a page of it helps nobody."""
    outcome = rejected(server_text="550-5.1.1 " + "spam " * 100_000)

    notice = failure_notice(message(), [outcome], hostname=HOSTNAME, now=NOW)

    assert notice is not None
    assert len(notice.message.content) < 15_000


@pytest.mark.parametrize(
    "orcpt",
    ["bob@x.example", "rfc822;a+0D+0AAction:+20delivered", "rfc822;a b", ";x", "ü;x", "rfc822;" + "a" * 501],
)
def test_attack_a_malformed_orcpt_is_left_out(orcpt: str) -> None:
    """Line ends in xtext become no fields."""
    outcome: Outcome = refused(Recipient(MailAddress.parse("bob@rcpt.example"), orcpt=orcpt))

    notice = failure_notice(message(), [outcome], hostname=HOSTNAME, now=NOW)

    assert "Original-Recipient" not in ReadNotice.of(notice).blocks[1]


def test_a_message_of_any_bytes_makes_a_notice() -> None:
    """Every single byte, alone and as a whole header."""
    for byte in range(256):
        for content in (bytes([byte]), bytes([byte]) + b": x\r\n\r\n", b"A: " + bytes([byte]) + b"\r\n\r\n"):
            about: Message = message(REQUIRED, content=content)
            notice = failure_notice(about, [refused()], hostname=HOSTNAME, now=NOW)
            assert notice is not None
            assert_well_formed(notice, 1)
