"""Our notice about a failure beside the one that Postfix makes about the same failure."""

from __future__ import annotations

import asyncio
import email
import email.policy
import re
import smtplib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage, MIMEPart

import flufl.bounce
import pytest

from requiretls_lab.laboratory import Laboratory
from requiretls_plugin.bounce import failure_notice
from requiretls_plugin.delivery.outcome import Disposition
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.engine import Engine
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message, Notify, Recipient, Ret
from requiretls_plugin.policy.next_hop import NamedHop
from requiretls_plugin.server_address import ServerAddress
from tests.delivery.delivering import plugins
from tests.interop.next_hop import SECONDS, wait_for
from tests.interop.postfix import Postfix
from tests.interop.receiver import Receiver, receiving

SENDER = "u@postfix.test"
ORIGINAL = (
    b"From: u@postfix.test\r\nSubject: the original\r\nMessage-ID: <1@postfix.test>\r\n\r\nits body\r\n"
)
REFUSAL = "550 5.7.30 The next server does not support REQUIRETLS"
POSTFIX_SUBJECT = "Undelivered Mail Returned to Sender"


@dataclass(frozen=True, slots=True)
class Report:
    """The structure of a notice: what a program that reads it goes by."""

    types: list[str]
    report_type: object
    per_message: dict[str, str]
    per_recipient: dict[str, str]
    returned: str
    failed: set[bytes]
    auto_submitted: str

    @classmethod
    def of(cls, content: bytes) -> Report:
        top = email.message_from_bytes(content, policy=email.policy.default)
        assert isinstance(top, EmailMessage)
        text, status, returned = top.iter_parts()
        message_fields, recipient_fields = status.iter_parts()
        scanned = flufl.bounce.scan_message(email.message_from_bytes(content))
        return cls(
            types=[part.get_content_type() for part in (top, text, status, returned)],
            report_type=top.get_param("report-type"),
            per_message=_fields(message_fields),
            per_recipient=_fields(recipient_fields),
            returned=returned.as_string(),
            failed=set(scanned),
            auto_submitted=str(top["Auto-Submitted"]),
        )


def _fields(part: MIMEPart) -> dict[str, str]:
    """Return the fields without what is only folding or taste: blanks after a semicolon, and capitals."""
    return {name.lower(): re.sub("; *", ";", " ".join(str(value).split())) for name, value in part.items()}


@pytest.fixture
def refusing() -> Iterator[Receiver]:
    """A next hop that refuses whatever has a return path."""
    with receiving(refusal=REFUSAL) as receiver:
        yield receiver


def postfix_notice(postfix: Postfix, to: str, ret: Ret) -> Report:
    with smtplib.SMTP(postfix.place.address, postfix.place.port, local_hostname="client.test") as client:
        options = [f"RET={ret.value}", "ENVID=id+2B1"]
        client.sendmail(SENDER, [to], ORIGINAL, options, [f"ORCPT=rfc822;{to}"])
    return Report.of(wait_for(postfix, POSTFIX_SUBJECT, saying=to).content)


def our_notice(lab: Laboratory, port: int, to: str, ret: Ret) -> Report:
    hop = NamedHop(ServerAddress.parse(f"127.0.0.1:{port}"))
    message = Message(MailAddress.parse(SENDER), ORIGINAL, next_hop=hop, ret=ret, envid="id+1")
    recipient = Recipient(MailAddress.parse(to), orcpt=f"rfc822;{to}")

    async def run() -> bytes:
        async with Engine(lab.settings(), plugins()) as engine:
            outcomes = await engine.deliver(await engine.receive(message), [recipient])
        assert [outcome.disposition for outcome in outcomes] == [Disposition.FAILED]
        now = datetime.now(UTC)
        hostname = DomainName.parse("mx.postfix.test")
        notice = failure_notice(message, outcomes, hostname=hostname, now=now, arrived=now)
        assert notice is not None
        return notice.message.content

    return Report.of(asyncio.run(run()))


@pytest.mark.requirement(
    "6522-3-1", "6522-4-1", "3461-6.2-1", "3461-6.3-1", "3461-6.3-2", "3461-6.3-3", "3464-2.3.6-1"
)  # fmt: skip
@pytest.mark.parametrize("ret", [Ret.HDRS, Ret.FULL], ids=lambda ret: ret.value)
def test_our_notice_has_the_structure_of_postfix(
    lab: Laboratory, postfix_server: Postfix, refusing: Receiver, ret: Ret
) -> None:
    """The same parts, the same fields with the same content where both are about the same thing."""
    to = f"u@smtp-{refusing.port}.to.test"

    theirs, ours = postfix_notice(postfix_server, to, ret), our_notice(lab, refusing.port, to, ret)

    assert ours.types == theirs.types
    assert ours.report_type == theirs.report_type
    assert ours.failed == theirs.failed == {to.encode()}
    assert ours.auto_submitted == theirs.auto_submitted
    standard = {name for name in theirs.per_message if not name.startswith("x-")}
    assert set(ours.per_message) == standard
    assert set(ours.per_recipient) - {"last-attempt-date"} == set(theirs.per_recipient)
    for name in ("final-recipient", "original-recipient", "action", "status", "diagnostic-code"):
        assert ours.per_recipient[name] == theirs.per_recipient[name]
    for name in ("reporting-mta", "original-envelope-id"):
        assert ours.per_message[name] == theirs.per_message[name]
    assert ("its body" in ours.returned) == ("its body" in theirs.returned) == (ret is Ret.FULL)
    assert "Subject: the original" in ours.returned
    assert "Subject: the original" in theirs.returned


def _wait_for_removal(postfix: Postfix, to: str) -> str:
    """Return what Postfix logged of a message *to* that is out of its queue, reports on it included."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        log = postfix.log
        found = re.search(rf" (\w+): to=<{re.escape(to)}>", log)
        if found and f" {found[1]}: removed" in log:
            return "".join(line for line in log.splitlines(keepends=True) if f" {found[1]}: " in line)
        time.sleep(0.02)
    raise AssertionError(f"Postfix keeps the message to {to}")


@pytest.mark.requirement("3461-5.2.7.1-1")
@pytest.mark.parametrize("dsn", [False, True], ids=["as before a list", "where we report ourselves"])
def test_postfix_reports_success_where_our_lmtp_server_does_not_offer_to(
    postfix_server: Postfix, dsn: bool
) -> None:
    """So NOTIFY=SUCCESS for a list is fulfilled by the server before Mailman, and by nobody twice."""
    with receiving("lmtp", dsn=dsn) as receiver:
        to = f"u@lmtp-{receiver.port}.to.test"
        place = postfix_server.place
        with smtplib.SMTP(place.address, place.port, local_hostname="client.test") as client:
            client.sendmail(SENDER, [to], ORIGINAL, [], ["NOTIFY=SUCCESS"])
        [wish] = receiver.wait().recipients
        log = _wait_for_removal(postfix_server, to)

    assert wish.notify == (frozenset({Notify.SUCCESS}) if dsn else None)
    assert ("sender delivery status notification" in log) is not dsn
    if not dsn:
        report = Report.of(wait_for(postfix_server, "Successful Mail Delivery Report", saying=to).content)
        assert report.per_recipient["action"] == "delivered"  # by lmtp_assume_final
