"""What a notice says, to whom, and about whom."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from requiretls_plugin.bounce import delay_notice, failure_notice, notices_for, success_notice
from requiretls_plugin.delivery.outcome import Disposition, Notice, Outcome
from requiretls_plugin.delivery_status import Action
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message, Notify, Recipient, Ret
from requiretls_plugin.reason import Reason
from requiretls_plugin.reply import (
    NULL_MX,
    TLS_NOT_JUDGED,
    TLS_REQUIREMENT_NOT_MET,
    Reply,
)
from requiretls_plugin.requirement import Requirement, Tag
from tests.reading_notices import (
    BODY,
    HEADER,
    HOSTNAME,
    NOW,
    OPTIONAL,
    REQUIRED,
    UNSTATED,
    ReadNotice,
    deferred,
    delivered,
    message,
    recipient,
    refused,
    rejected,
)


def failure(about: Message, *outcomes: Outcome) -> Notice | None:
    return failure_notice(about, outcomes or [refused()], hostname=HOSTNAME, now=NOW)


def read_failure(about: Message, *outcomes: Outcome) -> ReadNotice:
    return ReadNotice.of(failure(about, *outcomes))


@pytest.mark.requirement("6522-3-1", "5321-3.6.3-1", "8689-4.2.1-14")
@pytest.mark.parametrize("tag", [REQUIRED, UNSTATED, OPTIONAL], ids=lambda tag: tag.requirement.value)
def test_a_failure_notice_is_a_report_of_text_status_and_what_is_returned(tag: Tag) -> None:
    """Both foreign parsers see a delivery report without a defect."""
    notice = read_failure(message(tag))

    types = [part.get_content_type() for part in notice.top.iter_parts()]
    assert types[:2] == ["text/plain", "message/delivery-status"]
    assert notice.top.get_param("report-type") == "delivery-status"
    assert notice.failed == {"bob@rcpt.example"}
    assert notice.top.defects == []


@pytest.mark.requirement("8689-5-5", "5321-6.1-1", "3461-6.1-1", "3464-2-1", "3464-2-2")
def test_a_notice_goes_to_the_return_path_from_nobody() -> None:
    """The null reverse-path, the original MAIL FROM without its source route, a postmaster as author."""
    about = message(
        return_path="@a.example,@b.example:alice@sender.example",
        content=b"Reply-To: x@elsewhere.example\r\n\r\n",
    )

    notice = failure(about)

    assert notice is not None
    assert notice.message.return_path is None
    assert notice.recipient.text == "alice@sender.example"
    top = ReadNotice.of(notice).top
    assert top["To"] == "alice@sender.example"
    assert top["From"] == "Mail Delivery System <postmaster@mx.sender.example>"
    assert top["Auto-Submitted"] == "auto-replied"


@pytest.mark.requirement("5321-3.6.3-2", "5321-6.1-2", "3461-5.2-1", "8689-5-8")
@pytest.mark.parametrize("tag", [REQUIRED, UNSTATED, OPTIONAL], ids=lambda tag: tag.requirement.value)
def test_a_message_without_return_path_is_never_reported_on(
    tag: Tag, caplog: pytest.LogCaptureFixture
) -> None:
    """No notice follows, though From holds an address; the log tells the postmaster, without content."""
    about = message(tag, return_path=None)
    wanting = recipient(notify=[Notify.SUCCESS])

    assert notices_for(about, [refused(), delivered(wanting)], hostname=HOSTNAME, now=NOW) == []
    assert delay_notice(about, [deferred()], hostname=HOSTNAME, now=NOW, will_retry_until=None) is None
    [record] = caplog.records
    assert "bob@rcpt.example" in record.getMessage()
    assert "5.7.30" in record.getMessage()
    assert "merger" not in record.getMessage()


@pytest.mark.requirement("8689-5-1", "8689-5-2")
@pytest.mark.parametrize("outcome", [refused(), rejected()], ids=["refused for TLS", "no such user"])
def test_a_notice_about_a_required_message_is_required_whatever_the_cause(outcome: Outcome) -> None:
    """Not only failures of TLS are reported under REQUIRETLS."""
    notice = failure(message(REQUIRED), outcome)

    assert notice is not None
    assert notice.message.requirement is Requirement.REQUIRED
    assert notice.message.mail_parameter
    assert ReadNotice.of(notice).top.get_all("TLS-Required") is None


@pytest.mark.requirement("8689-5-3", "8689-5-4", "3461-6.2-1", "6522-3-2", "6522-4-1", "6522-4-2")
@pytest.mark.parametrize("ret", [None, Ret.FULL, Ret.HDRS])
def test_a_required_message_comes_back_as_its_header_alone(ret: Ret | None) -> None:
    """RET=FULL has no effect; the header is byte-identical, the body occurs nowhere."""
    notice = read_failure(message(REQUIRED, ret=ret))

    assert notice.part(2).get_content_type() == "text/rfc822-headers"
    assert notice.part_bytes(2) == HEADER
    assert b"secret" not in notice.raw


@pytest.mark.requirement("8689-5-9")
@pytest.mark.parametrize("fields", [1, 0, 2], ids=["one field", "tagged otherwise", "two fields"])
def test_a_notice_about_an_optional_message_says_tls_required_no_once(fields: int) -> None:
    """The report about a broken server must not be stopped by that server."""
    notice = failure(message(OPTIONAL, content=b"TLS-Required: No\r\n" * fields + HEADER + b"\r\n"))

    assert notice is not None
    assert ReadNotice.of(notice).top.get_all("TLS-Required") == ["No"]
    assert notice.message.requirement is Requirement.OPTIONAL
    assert not notice.message.mail_parameter


def test_a_notice_about_an_untagged_message_is_untagged() -> None:
    """Nothing is asked for, nothing is relaxed; no fallback is needed."""
    notice = failure(message(UNSTATED))

    assert notice is not None
    assert notice.message.tag == Tag()
    assert notice.fallback is None
    assert b"\r\nTLS-Required" not in notice.message.content.split(b"\r\n\r\n")[0]


@pytest.mark.requirement("8689-5-7")
def test_the_fallback_is_redacted() -> None:
    """Of the message only Message-ID, Date and the envelope are left, and the tag is gone."""
    notice = failure(message(REQUIRED), rejected(server_text="550 5.7.1 Subject 'the merger' refused"))

    assert notice is not None
    assert notice.fallback is not None
    assert notice.fallback.message.requirement is Requirement.UNSTATED
    redacted = ReadNotice.of(notice.fallback)
    assert redacted.returned == (
        b"Message-ID: <1@sender.example>\r\nDate: Sun, 1 Mar 2026 11:59:00 +0000\r\n"
    )
    assert b"merger" not in redacted.raw
    assert b"secret" not in redacted.raw
    assert b"Alice" not in redacted.raw
    assert redacted.blocks[1]["Diagnostic-Code"] == "smtp; 550"
    assert redacted.failed == {"bob@rcpt.example"}
    assert "REQUIRETLS" in redacted.text


def test_redact_sends_the_redacted_form_only() -> None:
    """With bounce.requiretls = "redact" there is no REQUIRED notice to try."""
    notice = failure_notice(message(REQUIRED), [refused()], hostname=HOSTNAME, now=NOW, requiretls="redact")

    assert notice is not None
    assert notice.fallback is None
    assert notice.message.requirement is Requirement.UNSTATED
    assert b"merger" not in notice.message.content


def test_redact_changes_nothing_for_other_messages() -> None:
    """The setting is about REQUIRED messages."""
    about = message(OPTIONAL)

    redact = failure_notice(about, [refused()], hostname=HOSTNAME, now=NOW, requiretls="redact")

    assert redact == failure(about)


@pytest.mark.parametrize(
    "odd",
    [
        b"Message-ID: <1@x> (about the merger)\r\n",
        b"Message-ID: the merger\r\n",
        b"Message-ID: <the merger@x>\r\n",
        b"Message-ID: <a@x>\r\nMessage-ID: <merger@x>\r\n",
        b"Date: Sun, 1 Mar 2026 11:59:00 +0000 (merger)\r\n",
        b"Date: Sun, 1 Mar 2026 11:59:00 +0000\r\n\tmerger\r\n",
        b"Date: merger\r\n",
    ],
    ids=["comment", "no id", "blank in id", "two ids", "comment in date", "folded date", "no date"],
)
def test_attack_words_in_message_id_or_date_do_not_slip_through_redaction(odd: bytes) -> None:
    """A field that is more than an identifier or a date is left out."""
    notice = failure(message(REQUIRED, content=odd + b"\r\n" + BODY))

    assert notice is not None
    assert notice.fallback is not None
    assert b"merger" not in notice.fallback.message.content


@pytest.mark.requirement("3461-6.2-1", "6522-3-2")
@pytest.mark.parametrize("ret", [None, Ret.FULL])
@pytest.mark.parametrize("tag", [UNSTATED, OPTIONAL], ids=lambda tag: tag.requirement.value)
def test_other_messages_come_back_whole_and_unchanged(tag: Tag, ret: Ret | None) -> None:
    """Every byte as it came."""
    notice = read_failure(message(tag, ret=ret))

    assert notice.part(2).get_content_type() == "message/rfc822"
    assert notice.part_bytes(2) == HEADER + b"\r\n" + BODY


def test_other_messages_come_back_as_headers_if_so_asked() -> None:
    """RET=HDRS."""
    notice = read_failure(message(ret=Ret.HDRS))

    assert notice.part(2).get_content_type() == "text/rfc822-headers"
    assert notice.part_bytes(2) == HEADER


@pytest.mark.parametrize(
    ("body", "encoding", "content_type"),
    [
        pytest.param(b"plain\r\n", "7bit", "message/rfc822", id="ASCII"),
        pytest.param(b"gr\xfc\xdfe\r\n", "8bit", "message/rfc822", id="8-bit bytes are declared"),
        pytest.param(b"x" * 1_500 + b"\r\n", "7bit", "text/rfc822-headers", id="line too long"),
        pytest.param(b"a\0b\r\n", "7bit", "text/rfc822-headers", id="NUL"),
        pytest.param(b"a\rb\r\n", "7bit", "text/rfc822-headers", id="lone CR"),
    ],
)
def test_a_message_comes_back_whole_only_if_a_part_can_hold_it(
    body: bytes, encoding: str, content_type: str
) -> None:
    """8-bit bytes are declared for the part and the whole; what 8bit excludes comes back as headers."""
    notice = read_failure(message(content=HEADER + b"\r\n" + body, ret=Ret.FULL))

    assert notice.part(2).get_content_type() == content_type
    assert notice.part(2)["Content-Transfer-Encoding"] == encoding
    assert notice.top["Content-Transfer-Encoding"] == encoding
    if content_type == "message/rfc822":
        assert notice.part_bytes(2) == HEADER + b"\r\n" + body


def test_line_feeds_become_line_ends() -> None:
    """A host that keeps messages with LF gets the same notice as one that keeps CRLF."""
    crlf = message(UNSTATED)
    lf = replace(crlf, content=crlf.content.replace(b"\r\n", b"\n"))

    assert failure(lf) == failure(crlf)


def test_a_large_message_comes_back_whole_only_if_so_asked() -> None:
    """A notice must not fill the mailbox of its recipient."""
    large = HEADER + b"\r\n" * 600_000

    assert len(read_failure(message(content=large)).raw) < 10_000
    assert read_failure(message(content=large, ret=Ret.FULL)).part_bytes(2) == large


def test_headers_outside_ascii_are_encoded_and_decode_to_what_they_were() -> None:
    """text/rfc822-headers is 7-bit; quoted-printable brings the bytes back."""
    header = b"Subject: gr\xc3\xbc\xc3\x9fe \t \r\nX-Long: " + b"y" * 2_000 + b"\r\n"

    notice = read_failure(message(REQUIRED, content=header + b"\r\n" + BODY))

    assert notice.part_bytes(2).isascii()
    assert notice.returned == header
    assert max(map(len, notice.raw.split(b"\r\n"))) <= 998


@pytest.mark.parametrize("tag", [REQUIRED, UNSTATED], ids=lambda tag: tag.requirement.value)
def test_private_fields_are_never_returned(tag: Tag) -> None:
    """Neither our stored tag nor Postfix's mark leaves this machine in a notice."""
    private = b"X-RequireTLS-Stored: requirement=required\r\n from=x\r\nrequire-tls-esmtp: yes\r\n"

    notice = read_failure(message(tag, content=private + HEADER + b"\r\n" + BODY, ret=Ret.FULL))

    assert notice.part_bytes(2).startswith(HEADER)
    assert b"stored" not in notice.raw.lower()
    assert b"esmtp" not in notice.raw.lower()


@pytest.mark.requirement("3461-6.3-1", "3464-2.2.1-1")
def test_envelope_id_and_original_recipient_appear_if_and_only_if_given() -> None:
    """ENVID and ORCPT decoded, with their case; Message-ID is no envelope id."""
    original = Recipient(MailAddress.parse("bob@rcpt.example"), orcpt="rfc822;Bob+2BTag@Old.example")
    asked = read_failure(message(envid="a+B"), refused(original))
    silent = read_failure(message())

    assert asked.blocks[0]["Original-Envelope-Id"] == "a+B"
    assert asked.blocks[1]["Original-Recipient"] == "rfc822; Bob+Tag@Old.example"
    assert "Original-Envelope-Id" not in silent.blocks[0]
    assert "Original-Recipient" not in silent.blocks[1]


@pytest.mark.requirement(
    "3461-6.3-2", "3464-2.1-1", "3464-2.3.2-1", "3464-2.3.3-1", "3464-2.3.4-1", "3464-2.3.9-1"
)
def test_every_recipient_has_its_group_of_fields() -> None:
    """Three recipients make four groups, in 7bit, with the addresses as they were spelled."""
    names = ["John.Doe@Example.NET", '"a b"@rcpt.example', "c@[192.0.2.1]"]
    outcomes = [refused(recipient(name)) for name in names]

    notice = ReadNotice.of(
        failure_notice(
            message(REQUIRED), outcomes, hostname=HOSTNAME, now=NOW, arrived=NOW - timedelta(hours=1)
        )
    )

    about_message, *about_recipients = notice.blocks
    assert about_message["Reporting-MTA"] == "dns; mx.sender.example"
    assert about_message["Arrival-Date"] == "Sun, 01 Mar 2026 11:00:00 +0000"
    assert [block["Final-Recipient"] for block in about_recipients] == [f"rfc822; {name}" for name in names]
    for block in about_recipients:
        assert block["Action"] == "failed"
        assert block["Status"] == "5.7.30"
        assert block["Last-Attempt-Date"].endswith(" +0000")
        assert "Will-Retry-Until" not in block
    assert notice.part(1)["Content-Transfer-Encoding"] == "7bit"


@pytest.mark.requirement("3461-6.3-3", "3464-2.3.6-1")
def test_a_servers_refusal_is_quoted_with_all_its_lines() -> None:
    """Diagnostic-Code folds the reply; Remote-MTA names the server."""
    words = f"550-5.1.1 {'no such user ' * 10}\n550-5.1.1 {'y' * 200}\n550 5.1.1 bye"

    notice = read_failure(message(), rejected(server_text=words))

    block = notice.blocks[1]
    assert block["Remote-MTA"] == "dns; mx.rcpt.example"
    assert block["Diagnostic-Code"].split() == ["smtp;", *words.split()]
    assert max(map(len, notice.part_bytes(1).split(b"\r\n"))) <= 201
    assert " ".join(words.split()) in notice.text


@pytest.mark.requirement("3461-6.3-3")
def test_a_reply_is_quoted_with_the_code_the_server_gave() -> None:
    """Also where the host server has given up since and made the failure permanent."""
    given_up = rejected(reply=Reply(550, "5.2.2", "full"), server_text="452-4.2.2 full\n452 4.2.2 come back")

    block = read_failure(message(), given_up).blocks[1]

    assert block["Status"] == "5.2.2"
    assert block["Diagnostic-Code"].split("\r\n ") == ["smtp; 452-4.2.2 full", "452 4.2.2 come back"]


def test_a_reply_without_kept_text_is_quoted_as_far_as_it_is_known() -> None:
    """Code, status and text of the reply."""
    assert read_failure(message(), rejected()).blocks[1]["Diagnostic-Code"] == "smtp; 550 5.1.1 no such user"


@pytest.mark.requirement("3461-6.3-3", "8689-4.2.1-15", "8689-4.2.1-17")
def test_a_refusal_of_ours_puts_no_words_into_the_servers_mouth() -> None:
    """No Diagnostic-Code; the text names the host, the reason and what we know of each host."""
    reply = TLS_REQUIREMENT_NOT_MET.with_text("a.example: no STARTTLS; b.example: no REQUIRETLS")

    notice = read_failure(message(REQUIRED), refused(reply=reply, reason=Reason.STARTTLS_NOT_OFFERED))

    assert "Diagnostic-Code" not in notice.blocks[1]
    assert "mx.rcpt.example does not offer an encrypted connection" in notice.text
    assert "550 5.7.10 a.example: no STARTTLS; b.example: no REQUIRETLS (starttls-not-offered)" in notice.text


@pytest.mark.requirement("3464-2.3.5-1")
@pytest.mark.parametrize("host", [None, "mx.rcpt.example"])
def test_remote_mta_is_absent_if_no_host_was_spoken_to(host: str | None) -> None:
    """A name that was refused before connecting took no part, even if it is known."""
    outcome = refused(reply=TLS_REQUIREMENT_NOT_MET, reason=Reason.NAME_NOT_PROVEN, host=host)

    assert "Remote-MTA" not in read_failure(message(REQUIRED), outcome).blocks[1]


@pytest.mark.requirement("8689-4.2.1-16", "8689-4.2.1-15")
@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (refused(), "5.7.30"),
        (refused(reply=TLS_REQUIREMENT_NOT_MET, reason=Reason.TLS_HANDSHAKE_FAILED), "5.7.10"),
        (refused(reply=NULL_MX, reason=Reason.NULL_MX, host=None), "5.1.10"),
    ],
    ids=["no REQUIRETLS", "no TLS", "null MX"],
)
def test_the_status_is_that_of_the_outcome(outcome: Outcome, status: str) -> None:
    """The code that decided is the code reported."""
    assert read_failure(message(REQUIRED), outcome).blocks[1]["Status"] == status


@pytest.mark.requirement("3463-2-1")
def test_a_deferral_that_lasted_too_long_fails_with_its_temporary_status() -> None:
    """Class 4 with Action: failed says that another try later may work."""
    expired = replace(deferred(), disposition=Disposition.FAILED)

    notice = read_failure(message(REQUIRED), expired)

    assert notice.blocks[1]["Action"] == "failed"
    assert notice.blocks[1]["Status"] == "4.7.10"
    assert "tried again until the time for that was over" in notice.text
    with pytest.raises(ValueError, match="differ in class"):
        Reply(TLS_NOT_JUDGED.code, "5.7.30", "")


@pytest.mark.requirement("3461-5.2.6-1", "3461-5.2.6-2", "3464-2-1")
def test_one_notice_names_all_who_failed_and_may_be_named() -> None:
    """NOTIFY without FAILURE takes a recipient out of the notice, also for a failure of REQUIRETLS."""
    outcomes = [
        refused(recipient("silent@a.example")),
        rejected(recipient("wanted@a.example", [Notify.FAILURE])),
        refused(recipient("never@a.example", [Notify.NEVER])),
        refused(recipient("delay@a.example", [Notify.DELAY, Notify.SUCCESS])),
        delivered(recipient("delivered@a.example")),
        deferred(recipient("deferred@a.example")),
    ]

    notice = read_failure(message(REQUIRED), *outcomes)

    assert notice.failed == {"silent@a.example", "wanted@a.example"}
    for name in ("never", "delay@", "delivered@", "deferred@"):
        assert name.encode() not in notice.raw


@pytest.mark.requirement("3461-5.2.6-2")
@pytest.mark.parametrize(
    "outcomes",
    [
        [],
        [refused(recipient(notify=[Notify.NEVER]))],
        [delivered()],
        [deferred()],
    ],
    ids=["none", "NEVER", "delivered", "deferred"],
)
def test_there_is_no_notice_without_a_failure_to_report(outcomes: list[Outcome]) -> None:
    """Nothing to say means nothing is sent."""
    assert notices_for(message(REQUIRED), outcomes, hostname=HOSTNAME, now=NOW) == []


def test_recipients_with_the_same_fate_are_explained_together() -> None:
    """A lay reader reads an explanation once, not once per recipient; very many are counted."""
    same = [refused(recipient(f"user{number}@rcpt.example")) for number in range(60)]

    notice = read_failure(message(REQUIRED), *same, rejected(recipient("carol@rcpt.example")))

    assert notice.text.count("What happened:") == 2
    assert "user49@rcpt.example and 10 more" in notice.text
    assert len(notice.failed) == 61


def test_a_sender_of_a_required_message_learns_that_less_may_do() -> None:
    """Only he can decide to ask for less, and only where that would help."""
    hint = "send it again without asking for it"

    assert hint in read_failure(message(REQUIRED), refused()).text
    assert hint not in read_failure(message(REQUIRED), rejected()).text
    assert hint not in read_failure(message(UNSTATED), refused()).text


@pytest.mark.requirement("3461-5.2.5-1", "3464-2.3.9-1")
def test_a_delay_notice_says_until_when_and_returns_headers_only() -> None:
    """Will-Retry-Until is for delays; RET=FULL is for failures."""
    notice = ReadNotice.of(
        delay_notice(
            message(ret=Ret.FULL),
            [deferred(), deferred(recipient("x@rcpt.example", [Notify.FAILURE])), refused()],
            hostname=HOSTNAME,
            now=NOW,
            will_retry_until=NOW + timedelta(days=4),
        )
    )

    assert notice.delayed == {"bob@rcpt.example"}
    assert notice.failed == set()
    assert notice.blocks[1]["Action"] == "delayed"
    assert notice.blocks[1]["Status"] == "4.7.10"
    assert notice.blocks[1]["Will-Retry-Until"] == "Thu, 05 Mar 2026 12:00:00 +0000"
    assert notice.part_bytes(2) == HEADER
    assert "You need not do anything" in notice.text
    assert "What you can do" not in notice.text


def test_a_delay_notice_is_as_protected_as_its_message() -> None:
    """REQUIRED, with a redacted fallback."""
    notice = delay_notice(message(REQUIRED), [deferred()], hostname=HOSTNAME, now=NOW, will_retry_until=None)

    assert notice is not None
    assert notice.message.requirement is Requirement.REQUIRED
    assert notice.fallback is not None
    assert b"merger" not in notice.fallback.message.content
    assert "Will-Retry-Until" not in ReadNotice.of(notice).blocks[1]


@pytest.mark.requirement("3461-5.2.2-2")
def test_success_is_reported_as_relayed_where_the_server_does_not_report_it() -> None:
    """Only to those who asked, only for servers without DSN, protected like the message."""
    wanting = recipient(notify=[Notify.SUCCESS])
    outcomes = [
        delivered(wanting),
        delivered(recipient("dsn@rcpt.example", [Notify.SUCCESS]), dsn_offered=True),
        delivered(recipient("unasked@rcpt.example")),
        refused(recipient("failed@rcpt.example", [Notify.SUCCESS])),
    ]

    [notice] = notices_for(message(REQUIRED), outcomes, hostname=HOSTNAME, now=NOW)

    read = ReadNotice.of(notice)
    assert notice.message.requirement is Requirement.REQUIRED
    assert [block["Final-Recipient"] for block in read.blocks[1:]] == ["rfc822; bob@rcpt.example"]
    assert read.blocks[1]["Action"] == "relayed"
    assert read.blocks[1]["Status"] == "2.0.0"
    assert read.part_bytes(2) == HEADER
    assert read.failed == set()


def test_success_at_the_mailbox_is_reported_as_delivered() -> None:
    """LMTP is the last step."""
    notice = success_notice(
        message(),
        [delivered(recipient(notify=[Notify.SUCCESS]))],
        hostname=HOSTNAME,
        now=NOW,
        action=Action.DELIVERED,
    )

    assert ReadNotice.of(notice).blocks[1]["Action"] == "delivered"


def test_failure_and_success_of_one_message_are_two_notices() -> None:
    """Each with its own recipients."""
    outcomes = [refused(), delivered(recipient("carol@rcpt.example", [Notify.SUCCESS]))]

    notices = notices_for(message(), outcomes, hostname=HOSTNAME, now=NOW)

    assert [ReadNotice.of(notice).top["Subject"] for notice in notices] == [
        "Your message was not delivered",
        "Your message was handed on",
    ]


def test_a_notice_answers_its_message_in_the_senders_mailbox() -> None:
    """In-Reply-To lets a mail reader put the two together; each notice has its own Message-ID."""
    first = failure(message(REQUIRED))
    assert first is not None
    assert first.fallback is not None

    top, fallback = ReadNotice.of(first).top, ReadNotice.of(first.fallback).top

    assert top["In-Reply-To"] == top["References"] == "<1@sender.example>"
    assert top["Message-ID"] != fallback["Message-ID"]
    assert re.fullmatch(r"<[0-9a-f]{32}\.\d{20}@mx\.sender\.example>", top["Message-ID"])


def test_addresses_outside_ascii_are_reported_in_the_7bit_form() -> None:
    """RFC 6533 section 3: type utf-8, code points in braces; the notice itself needs SMTPUTF8."""
    about = message(return_path="jürgen@sender.example")

    notice = failure(about, refused(recipient("bö+b@rcpt.example")))

    assert notice is not None
    assert notice.message.smtputf8
    read = ReadNotice.of(notice)
    assert read.part_bytes(1).isascii()
    assert read.blocks[1]["Final-Recipient"] == r"utf-8; b\x{F6}\x{2B}b@rcpt.example"
    assert "bö+b@rcpt.example" in read.text
    assert "To: jürgen@sender.example\r\n".encode() in read.raw
