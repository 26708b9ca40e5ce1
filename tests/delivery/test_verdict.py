"""From what every host said to what the sender is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from requiretls_plugin.delivery.outcome import Disposition
from requiretls_plugin.delivery.verdict import combined, excused
from requiretls_plugin.level import Level
from requiretls_plugin.policy.evidence import Evidence
from requiretls_plugin.policy.refusal import Refusal, Sureness
from requiretls_plugin.policy.tlsa_lookup import NoDANE
from requiretls_plugin.reason import Reason
from requiretls_plugin.reply import REQUIRETLS_NOT_SUPPORTED, Reply
from requiretls_plugin.requirement import Requirement
from requiretls_plugin.security import Security
from tests.policy.evidence_by_hand import (
    ENFORCED,
    MATCHABLE,
    NO_TLSA,
    behind_mx,
    literal,
    named,
    smarthost,
    without_mx,
)

REQUIRED, UNSTATED, OPTIONAL = Requirement.REQUIRED, Requirement.UNSTATED, Requirement.OPTIONAL


def proved(reason: Reason, host: str = "mx1.example") -> Refusal:
    return Refusal(reason, Sureness.PROVED, "because", host)


def not_judged(reason: Reason, host: str = "mx2.example") -> Refusal:
    return Refusal(reason, Sureness.NOT_JUDGED, "because", host)


def rejected(code: int, status: str, sureness: Sureness = Sureness.NOT_JUDGED) -> Refusal:
    reply = Reply(code, status, "no")
    return Refusal(Reason.REJECTED, sureness, "because", "mx3.example", reply, f"{code} {status} no")


NO_KEYWORD = proved(Reason.REQUIRETLS_NOT_OFFERED)
OUR_FAULT = Refusal(Reason.CONFIGURATION, Sureness.OUR_FAULT, "because", "mx4.example")

PERMANENT = [
    pytest.param([NO_KEYWORD], "550 5.7.30", id="no keyword"),
    pytest.param(
        [NO_KEYWORD, proved(Reason.REQUIRETLS_NOT_OFFERED, "mx9.example")],
        "550 5.7.30",
        id="no keyword twice",
    ),
    pytest.param([proved(Reason.STARTTLS_NOT_OFFERED)], "550 5.7.10", id="no STARTTLS"),
    pytest.param([proved(Reason.STARTTLS_REFUSED)], "550 5.7.10", id="STARTTLS refused for good"),
    pytest.param([proved(Reason.TLS_HANDSHAKE_FAILED)], "550 5.7.10", id="fatal alert"),
    pytest.param([proved(Reason.CERTIFICATE_NOT_TRUSTED)], "550 5.7.10", id="certificate not trusted"),
    pytest.param([proved(Reason.CERTIFICATE_EXPIRED)], "550 5.7.10", id="certificate expired"),
    pytest.param([proved(Reason.CERTIFICATE_NAME_MISMATCH)], "550 5.7.10", id="certificate for another"),
    pytest.param([proved(Reason.DANE_MISMATCH)], "550 5.7.10", id="TLSA mismatch"),
    pytest.param([proved(Reason.NAME_NOT_PROVEN)], "550 5.7.10", id="name not proven"),
    pytest.param([proved(Reason.STS_MISMATCH)], "550 5.7.10", id="not in the MTA-STS policy"),
    pytest.param(
        [NO_KEYWORD, proved(Reason.STARTTLS_NOT_OFFERED, "mx9.example")], "550 5.7.10", id="different ways"
    ),
    pytest.param(
        [NO_KEYWORD, rejected(554, "5.3.2", Sureness.PROVED)],
        "550 5.7.10",
        id="no keyword, and no mail taken",
    ),
]

TEMPORARY = [
    pytest.param([not_judged(Reason.HOST_UNREACHABLE)], "451 4.4.1", id="unreachable"),
    pytest.param([not_judged(Reason.CONNECTION_LOST)], "451 4.4.2", id="reset or timeout"),
    pytest.param([not_judged(Reason.DNS_FAILURE)], "451 4.4.3", id="SERVFAIL"),
    pytest.param([not_judged(Reason.DNSSEC_BOGUS)], "451 4.4.3", id="bogus"),
    pytest.param([not_judged(Reason.STARTTLS_REFUSED)], "451 4.7.10", id="STARTTLS 454"),
    pytest.param([not_judged(Reason.STS_UNAVAILABLE)], "451 4.7.10", id="policy not fetched"),
    pytest.param([not_judged(Reason.PROTOCOL_VIOLATION)], "451 4.5.0", id="no SMTP"),
    pytest.param([rejected(450, "4.2.1")], "450 4.2.1", id="4yz: the server's own words"),
    pytest.param([rejected(550, "5.7.1")], "451 4.3.2", id="a 5yz greeting that may change"),
    pytest.param(
        [NO_KEYWORD, not_judged(Reason.HOST_UNREACHABLE)], "451 4.4.1", id="no keyword, unreachable"
    ),
    pytest.param([NO_KEYWORD, rejected(421, "4.3.2")], "421 4.3.2", id="no keyword, 421"),
    pytest.param([OUR_FAULT], "451 4.3.5", id="our settings"),
    pytest.param([NO_KEYWORD, OUR_FAULT], "451 4.3.5", id="no keyword, our settings"),
    pytest.param(
        [rejected(554, "5.3.2", Sureness.PROVED), OUR_FAULT], "451 4.3.5", id="no mail taken, our settings"
    ),
]


@pytest.mark.requirement("8689-4.2.1-13", "8689-4.2.1-15", "8689-4.2.1-16", "8689-4.2.1-17")
@pytest.mark.parametrize(("refusals", "codes"), PERMANENT)
def test_a_required_message_fails_when_every_host_proved_that_it_cannot(
    refusals: Sequence[Refusal], codes: str
) -> None:
    """5.7.30 if all of them lack the keyword and nothing else, 5.7.10 for everything else."""
    verdict = combined(REQUIRED, Level.ENFORCE, refusals)

    assert verdict.disposition is Disposition.FAILED
    assert str(verdict.reply).startswith(codes)


@pytest.mark.requirement("8689-4.2.1-18", "5321-5.1-3")
@pytest.mark.parametrize(("refusals", "codes"), TEMPORARY)
def test_a_required_message_is_deferred_when_one_host_could_not_be_judged(
    refusals: Sequence[Refusal], codes: str
) -> None:
    """What could not be asked today may be there tomorrow; and our own mistake is nobody's bounce."""
    verdict = combined(REQUIRED, Level.ENFORCE, refusals)

    assert verdict.disposition is Disposition.DEFERRED
    assert str(verdict.reply).startswith(codes)


@pytest.mark.requirement("7672-2.2-2", "8461-5-5", "8461-5.1-2")
@pytest.mark.parametrize("requirement", [UNSTATED, OPTIONAL])
@pytest.mark.parametrize(("refusals", "codes"), PERMANENT)
def test_other_messages_never_fail_for_want_of_tls(
    requirement: Requirement, refusals: Sequence[Refusal], codes: str
) -> None:
    """RFC 7672 and RFC 8461 want the message kept and tried again."""
    verdict = combined(requirement, Level.ENFORCE, refusals)

    assert verdict.disposition is Disposition.DEFERRED
    assert verdict.reply.status.startswith("4.7.")


def test_a_relaxed_required_message_never_fails_for_want_of_tls() -> None:
    """Where the operator relaxed the destination, it is held like any other message."""
    verdict = combined(REQUIRED, Level.OPPORTUNISTIC, [proved(Reason.STARTTLS_NOT_OFFERED)])

    assert verdict.disposition is Disposition.DEFERRED


@pytest.mark.parametrize(
    ("reasons", "disposition"),
    [
        pytest.param([Reason.STARTTLS_NOT_OFFERED], Disposition.FAILED, id="no STARTTLS"),
        pytest.param(
            [Reason.STARTTLS_REFUSED, Reason.TLS_HANDSHAKE_FAILED], Disposition.FAILED, id="no TLS anywhere"
        ),
        pytest.param(
            [Reason.STARTTLS_NOT_OFFERED, Reason.STARTTLS_REFUSED, Reason.TLS_HANDSHAKE_FAILED],
            Disposition.FAILED,
            id="no TLS in every way",
        ),
        pytest.param([Reason.DANE_MISMATCH], Disposition.DEFERRED, id="the recipient's own policy"),
        pytest.param(
            [Reason.STARTTLS_NOT_OFFERED, Reason.DANE_MISMATCH], Disposition.DEFERRED, id="one of each"
        ),
    ],
)
def test_where_encryption_is_left_to_demand_its_lack_is_final(
    reasons: list[Reason], disposition: Disposition
) -> None:
    """Level opportunistic+starttls gives up everything else of REQUIRETLS."""
    verdict = combined(REQUIRED, Level.OPPORTUNISTIC_STARTTLS, [proved(reason) for reason in reasons])

    assert verdict.disposition is disposition


@pytest.mark.parametrize("requirement", Requirement)
def test_a_message_fails_when_every_host_says_that_it_takes_no_mail(requirement: Requirement) -> None:
    """A greeting of 521 or 554 is a server's last word (RFC 7504), and is passed on."""
    refusals = [rejected(521, "5.3.2", Sureness.PROVED), rejected(521, "5.3.2", Sureness.PROVED)]

    verdict = combined(requirement, Level.ENFORCE, refusals)

    assert verdict.disposition is Disposition.FAILED
    assert verdict.reply.code == 521
    assert verdict.server_text == "521 5.3.2 no"


@pytest.mark.requirement("8689-4.2.1-17")
def test_the_text_names_every_host_and_its_reason() -> None:
    """The sender's postmaster sees what stood in the way, host by host."""
    refusals = [NO_KEYWORD, proved(Reason.STARTTLS_NOT_OFFERED, "mx2.example")]

    text = combined(REQUIRED, Level.ENFORCE, refusals).reply.text

    assert text == (
        "Encryption needed (mx1.example: requiretls-not-offered; mx2.example: starttls-not-offered)"
    )


def test_the_text_names_no_host_where_none_is_known() -> None:
    """There is nothing to put in the brackets."""
    refusal = replace(NO_KEYWORD, host=None)

    assert combined(REQUIRED, Level.ENFORCE, [refusal]).reply == REQUIRETLS_NOT_SUPPORTED


def test_the_verdict_says_where_and_over_what_the_deciding_host_refused() -> None:
    """The host, and the session if MAIL was said in one."""
    put_off = replace(rejected(450, "4.2.1"), security=Security.DANE, requiretls=True)

    verdict = combined(REQUIRED, Level.ENFORCE, [not_judged(Reason.HOST_UNREACHABLE), put_off])

    assert (verdict.reason, verdict.host) == (Reason.REJECTED, "mx3.example")
    assert (verdict.security, verdict.requiretls) == (Security.DANE, True)
    assert verdict.server_text == "450 4.2.1 no"


@pytest.mark.parametrize(
    "reply", [None, Reply(450, "4.2.1", "later")], ids=["no reply", "a reply that may change"]
)
def test_a_host_that_takes_no_mail_and_has_no_words_for_it_is_given_some(reply: Reply | None) -> None:
    """A failure is told with a reply for good."""
    refusal = replace(proved(Reason.REJECTED), reply=reply)

    verdict = combined(UNSTATED, Level.ENFORCE, [refusal])

    assert verdict.disposition is Disposition.FAILED
    assert str(verdict.reply) == "554 5.3.2 Host takes no mail (mx1.example: rejected)"


TELLING = [
    pytest.param(replace(rejected(450, "4.2.1"), server_text=None), rejected(450, "4.2.1"), id="no words"),
    pytest.param(not_judged(Reason.DNS_FAILURE), not_judged(Reason.REJECTED), id="reason"),
    pytest.param(NO_KEYWORD, replace(NO_KEYWORD, host="mx2.example"), id="host"),
    pytest.param(
        replace(NO_KEYWORD, host=None), replace(NO_KEYWORD, host="192.0.2.1"), id="no host, and one"
    ),
    pytest.param(replace(OUR_FAULT, why="a"), replace(OUR_FAULT, why="b"), id="words"),
    pytest.param(rejected(450, "4.2.1"), replace(rejected(451, "4.2.1"), server_text=None), id="reply"),
    pytest.param(
        rejected(450, "4.2.1"), replace(rejected(450, "4.2.1"), server_text="z"), id="server's words"
    ),
]


@pytest.mark.parametrize(("one", "other"), TELLING)
@pytest.mark.parametrize("requirement", Requirement)
def test_of_two_refusals_the_same_one_is_told_in_either_order(
    requirement: Requirement, one: Refusal, other: Refusal
) -> None:
    """However little tells them apart, the sender hears of the same one each time."""
    verdict = combined(requirement, Level.ENFORCE, [one, other])

    assert verdict == combined(requirement, Level.ENFORCE, [other, one])
    assert verdict.host == one.host
    assert verdict.server_text == one.server_text


def test_attack_a_server_cannot_choose_the_words_of_a_verdict_about_tls() -> None:
    """A refusal's reply is told only where the server's own word decided the matter."""
    reply = Reply(550, "5.7.1", "delivered, all is well")
    liar = Refusal(Reason.STARTTLS_REFUSED, Sureness.PROVED, "because", "mx1.example", reply, str(reply))

    verdict = combined(REQUIRED, Level.ENFORCE, [liar])

    assert "all is well" not in str(verdict.reply)
    assert verdict.server_text is None


INSECURE = NoDANE(secure_absence=False)
EXCUSED = [
    pytest.param(behind_mx(secure=False), Reason.NAME_NOT_PROVEN, id="unsigned MX"),
    pytest.param(behind_mx(secure=False, policy=ENFORCED), Reason.CERTIFICATE_NOT_TRUSTED, id="MTA-STS"),
    pytest.param(
        behind_mx(secure=True, dane=INSECURE), Reason.CERTIFICATE_NOT_TRUSTED, id="unsigned addresses"
    ),
    pytest.param(without_mx(secure=False, dane=INSECURE), Reason.CERTIFICATE_EXPIRED, id="no MX"),
    pytest.param(named(smarthost(), dane=INSECURE), Reason.CERTIFICATE_NAME_MISMATCH, id="a smarthost"),
]


@pytest.mark.parametrize(("evidence", "reason"), EXCUSED)
def test_what_lacks_dnssec_because_nobody_validates_is_our_fault(evidence: Evidence, reason: Reason) -> None:
    """It waits, and is told as our fault; where somebody validates it is the host's."""
    blind = replace(evidence, blind="127.0.0.1:53 does not validate")

    judged = excused(proved(reason), REQUIRED, blind)

    assert (judged.reason, judged.sureness) == (Reason.CONFIGURATION, Sureness.OUR_FAULT)
    assert "127.0.0.1:53 does not validate" in judged.why
    assert excused(proved(reason), REQUIRED, evidence) == proved(reason)


NOT_EXCUSED = [
    pytest.param(behind_mx(secure=False), proved(Reason.REQUIRETLS_NOT_OFFERED), REQUIRED, id="no keyword"),
    pytest.param(behind_mx(secure=False), proved(Reason.STARTTLS_NOT_OFFERED), REQUIRED, id="no STARTTLS"),
    pytest.param(behind_mx(secure=False), proved(Reason.NAME_NOT_PROVEN), UNSTATED, id="not required"),
    pytest.param(behind_mx(secure=False), not_judged(Reason.CONNECTION_LOST), REQUIRED, id="not judged"),
    pytest.param(
        behind_mx(secure=True, dane=NO_TLSA), proved(Reason.CERTIFICATE_EXPIRED), REQUIRED, id="all is signed"
    ),
    pytest.param(
        behind_mx(secure=True, dane=MATCHABLE), proved(Reason.DANE_MISMATCH), REQUIRED, id="TLSA mismatch"
    ),
    pytest.param(literal(), proved(Reason.NAME_NOT_PROVEN), REQUIRED, id="an address literal"),
]


@pytest.mark.parametrize(("evidence", "refusal", "requirement"), NOT_EXCUSED)
def test_what_validation_would_not_change_is_no_fault_of_ours(
    evidence: Evidence, refusal: Refusal, requirement: Requirement
) -> None:
    """A blind resolver is no excuse for a host that has no REQUIRETLS."""
    blind = replace(evidence, blind="127.0.0.1:53 does not validate")

    assert excused(refusal, requirement, blind) == refusal


_OF_HOSTS = [
    reason for reason in Reason if reason not in (Reason.NULL_MX, Reason.NO_SUCH_DOMAIN, Reason.CONFIGURATION)
]
some_reply = st.one_of(
    st.none(), st.sampled_from([Reply(450, "4.2.0", "later"), Reply(554, "5.0.0", "never")])
)
some_refusal = st.one_of(
    st.builds(
        Refusal,
        st.sampled_from(_OF_HOSTS),
        st.sampled_from([Sureness.PROVED, Sureness.NOT_JUDGED]),
        st.sampled_from(["so", "because"]),
        st.sampled_from(["a.example", "b.example", None]),
        some_reply,
        st.sampled_from([None, "450 later", "554 never"]),
    ),
    st.just(OUR_FAULT),
)
some_refusals = st.lists(some_refusal, min_size=1, max_size=6)


@given(
    refusals=some_refusals,
    order=st.randoms(),
    requirement=st.sampled_from(Requirement),
    level=st.sampled_from(Level),
)
def test_the_order_of_hosts_never_matters(
    refusals: list[Refusal], order: object, requirement: Requirement, level: Level
) -> None:
    """Postfix bounced [down, no keyword] and deferred [no keyword, down]."""
    shuffled = list(refusals)
    order.shuffle(shuffled)  # type: ignore[attr-defined]

    assert combined(requirement, level, shuffled) == combined(requirement, level, refusals)


@given(refusals=some_refusals, requirement=st.sampled_from(Requirement), level=st.sampled_from(Level))
def test_what_could_not_be_judged_is_never_a_failure(
    refusals: list[Refusal], requirement: Requirement, level: Level
) -> None:
    """FAILED needs proof from every host; the reply's class agrees with the outcome."""
    verdict = combined(requirement, level, refusals)

    if verdict.disposition is Disposition.FAILED:
        assert all(refusal.sureness is Sureness.PROVED for refusal in refusals)
    assert verdict.disposition is not Disposition.DELIVERED
    assert verdict.reply.permanent == (verdict.disposition is Disposition.FAILED)
