"""Bounces that come back later: what counts against a member and what does not."""

from __future__ import annotations

import pytest

from tests.hooks.mailman.bed import Bed
from tests.hooks.mailman.scores import score_of

MEMBER, OTHER = "b@dane-ee.test", "c@sts.test"


def report(*recipients: tuple[str, str, str], to: str = "team-bounces@lists.test") -> str:
    """Return a delivery report about (address, status, diagnostic) each."""
    blocks = "\n".join(
        f"Final-Recipient: rfc822; {address}\nAction: failed\nStatus: {status}\n"
        f"Diagnostic-Code: {diagnostic}\n"
        for address, status, diagnostic in recipients
    )
    return f"""\
From: MAILER-DAEMON@mx.example
To: {to}
Subject: Undelivered
Message-ID: <bounce@mx.example>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="x"

--x
Content-Type: text/plain

Sorry.
--x
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example

{blocks}
--x--
"""


@pytest.mark.parametrize(
    ("status", "diagnostic", "score"),
    [
        ("5.7.30", "smtp; 550 5.7.30 REQUIRETLS needed", 0.0),
        ("5.7.10", "smtp; 550 5.7.10 encryption needed", 0.0),
        ("5.0.0", "smtp; 550 5.7.30 said in the diagnostic only", 0.0),
        ("5.1.1", "smtp; 550 5.1.1 nobody here", 1.0),
        ("5.7.1", "smtp; 550 5.7.1 not wanted", 1.0),
        ("5.1.1", "smtp; 550 5.1.1 quotes 5.7.30", 1.0),
    ],
)
@pytest.mark.parametrize("verp", [False, True], ids=["plain", "verp"])
def test_only_reports_that_blame_requiretls_spare_the_member(
    bed: Bed, status: str, diagnostic: str, score: float, verp: bool
) -> None:
    """By status or by the reply that is quoted, with and without VERP."""
    mlist = bed.create_list([MEMBER])
    to = "team-bounces+b=dane-ee.test@lists.test" if verp else "team-bounces@lists.test"

    bed.post(report((MEMBER, status, diagnostic), to=to), to=to, sender="")
    bed.run("bounces")

    assert score_of(mlist, MEMBER) == score


def test_each_recipient_of_a_report_is_judged_alone(bed: Bed) -> None:
    """One was refused for TLS, the other does not exist."""
    mlist = bed.create_list([MEMBER, OTHER])

    bed.post(
        report((MEMBER, "5.7.30", "smtp; 550 5.7.30 no"), (OTHER, "5.1.1", "smtp; 550 5.1.1 no")),
        to="team-bounces@lists.test",
        sender="",
    )
    bed.run("bounces")

    assert (score_of(mlist, MEMBER), score_of(mlist, OTHER)) == (0.0, 1.0)


def test_a_probe_refused_for_requiretls_disables_nobody(bed: Bed) -> None:
    """A probe's bounce would stop the member's mail at once."""
    from mailman.app.bounces import send_probe
    from mailman.interfaces.member import DeliveryStatus

    from tests.hooks.mailman.bed import transaction

    mlist = bed.create_list([MEMBER])
    with transaction():
        token = send_probe(mlist.members.get_member(MEMBER), message_id="<x@y.test>")
    bed.queued("virgin")
    to = f"team-bounces+{token}@lists.test"

    bed.post(report((MEMBER, "5.7.30", "smtp; 550 5.7.30 no"), to=to), to=to, sender="")
    bed.run("bounces")
    score_of(mlist, MEMBER)

    assert mlist.members.get_member(MEMBER).delivery_status is DeliveryStatus.enabled


def test_attack_a_forged_report_cannot_take_a_score_away(bed: Bed) -> None:
    """It is not counted, and that is all."""
    mlist = bed.create_list([MEMBER])
    genuine = report((MEMBER, "5.1.1", "smtp; 550 5.1.1 nobody"))
    forged = report((MEMBER, "5.7.30", "smtp; 550 5.7.30 no"))

    bed.post(genuine, to="team-bounces@lists.test", sender="")
    bed.post(forged, to="team-bounces@lists.test", sender="")
    bed.run("bounces")

    assert score_of(mlist, MEMBER) == 1.0
