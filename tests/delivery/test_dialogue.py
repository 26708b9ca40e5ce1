"""The talk before MAIL: it ends, and it is ready only where the demand is met."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from requiretls_plugin.certificate.verdict import Verdict
from requiretls_plugin.delivery.dialogue import AFTER, Handshake, Listen, Opening, Ready, Say, Step
from requiretls_plugin.delivery.proof import shortfall
from requiretls_plugin.delivery.server_reply import ServerReply
from requiretls_plugin.policy.demand import Demand
from requiretls_plugin.policy.refusal import Refusal, Sureness
from requiretls_plugin.reason import Reason
from tests.delivery.demands import (
    ANYTHING,
    DANE,
    DEMANDS,
    ENCRYPTED,
    HOST,
    LMTP,
    NOT_PROVED,
    PROVED,
    RELAXED,
    REQUIRED,
    SUBMISSION,
    SUBMISSIONS,
    ehlo,
    reply,
    tls,
)

GREETING = reply("220 mx ESMTP")
GO = reply("220 go")
WITH_STARTTLS = ehlo("STARTTLS", "SIZE 1000")
WITH_KEYWORD = ehlo("SIZE 2000", "REQUIRETLS")

Heard = ServerReply | Verdict | None
"""What happens to an opening: a reply, or a handshake that ends with a verdict or without one."""


def play(
    demand: Demand, script: Iterable[Heard], *, use_starttls: bool = True
) -> tuple[list[str], Ready | Refusal | None]:
    """Return what is said in the course of *script*, and how it ends; None if it is not over."""
    opening = Opening(demand, "sender.example", use_starttls=use_starttls)
    action = opening.start()
    said: list[str] = []
    events = list(script)[::-1]
    while not isinstance(action, Ready | Refusal):
        if isinstance(action, Say):
            said.append(action.line.decode().removesuffix("\r\n"))
        elif isinstance(action, Handshake):
            said.append("(handshake)")
        if not events:
            return said, None
        event = events.pop()
        if isinstance(action, Handshake):
            action = opening.secured(tls(None if isinstance(event, ServerReply) else event))
        else:
            action = opening.hear(event if isinstance(event, ServerReply) else reply("250 ok"))
    return said, action


def test_everything_as_it_should_be() -> None:
    """Greeting, EHLO, STARTTLS, handshake, EHLO again: ready for REQUIRETLS."""
    said, end = play(REQUIRED, [GREETING, WITH_STARTTLS, GO, PROVED, WITH_KEYWORD])

    assert said == ["EHLO sender.example", "STARTTLS", "(handshake)", "EHLO sender.example"]
    assert isinstance(end, Ready)
    assert end.proof.requiretls_offered


@pytest.mark.requirement("3207-4.2-1", "8689-2-15")
def test_what_was_listed_before_the_handshake_is_forgotten() -> None:
    """SIZE is that of the second list, and REQUIRETLS of the first one counts for nothing."""
    before = ehlo("STARTTLS", "SIZE 1000", "REQUIRETLS", "PIPELINING")
    _, end = play(DANE, [GREETING, before, GO, PROVED, ehlo("SIZE 2000")])

    assert isinstance(end, Ready)
    assert end.proof.extensions.size == 2000
    assert not end.proof.extensions.pipelining
    assert not end.proof.requiretls_offered


ENDINGS = [
    pytest.param(REQUIRED, [reply("554 no")], "rejected, proved", id="greeting 554"),
    pytest.param(REQUIRED, [reply("521 no")], "rejected, proved", id="greeting 521"),
    pytest.param(REQUIRED, [reply("550 not you")], "rejected, not-judged", id="another 5yz greeting"),
    pytest.param(REQUIRED, [reply("421 later")], "rejected, not-judged", id="greeting 421"),
    pytest.param(REQUIRED, [reply("354 go")], "protocol-violation, not-judged", id="greeting 354"),
    pytest.param(
        REQUIRED, [GREETING, reply("502 what?")], "starttls-not-offered, proved", id="HELO only, REQUIRETLS"
    ),
    pytest.param(
        ANYTHING, [GREETING, reply("502 what?"), reply("250 hi")], "ready", id="HELO only, no demand"
    ),
    pytest.param(
        ANYTHING,
        [GREETING, reply("502 what?"), reply("502 what?")],
        "rejected, not-judged",
        id="neither EHLO nor HELO",
    ),
    pytest.param(LMTP, [GREETING, reply("502 what?")], "starttls-not-offered, proved", id="no LHLO"),
    pytest.param(REQUIRED, [GREETING, reply("450 later")], "rejected, not-judged", id="EHLO 450"),
    pytest.param(REQUIRED, [GREETING, ehlo("SIZE")], "starttls-not-offered, proved", id="no STARTTLS"),
    pytest.param(
        REQUIRED, [GREETING, ehlo("REQUIRETLS")], "starttls-not-offered, proved", id="REQUIRETLS in cleartext"
    ),
    pytest.param(ENCRYPTED, [GREETING, ehlo("SIZE")], "starttls-not-offered, proved", id="TLS, no STARTTLS"),
    pytest.param(ANYTHING, [GREETING, ehlo("SIZE")], "ready", id="no STARTTLS, no demand"),
    pytest.param(
        REQUIRED, [GREETING, WITH_STARTTLS, reply("454 later")], "starttls-refused, not-judged", id="454"
    ),
    pytest.param(REQUIRED, [GREETING, WITH_STARTTLS, reply("502 no")], "starttls-refused, proved", id="502"),
    pytest.param(ANYTHING, [GREETING, WITH_STARTTLS, reply("502 no")], "ready", id="502, no demand"),
    pytest.param(ANYTHING, [GREETING, WITH_STARTTLS, reply("454 no")], "ready", id="454, no demand"),
    pytest.param(
        ANYTHING, [GREETING, WITH_STARTTLS, reply("421 no")], "rejected, not-judged", id="421, no demand"
    ),
    pytest.param(
        ANYTHING, [GREETING, WITH_STARTTLS, reply("354 no")], "protocol-violation, not-judged", id="354"
    ),
    pytest.param(
        REQUIRED,
        [GREETING, WITH_STARTTLS, GO, NOT_PROVED],
        "dane-mismatch, proved",
        id="not who it should be",
    ),
    pytest.param(
        REQUIRED,
        [GREETING, WITH_STARTTLS, GO, None],
        "certificate-not-trusted, proved",
        id="nothing verified",
    ),
    pytest.param(
        REQUIRED,
        [GREETING, ehlo("STARTTLS", "REQUIRETLS"), GO, PROVED, ehlo("STARTTLS")],
        "requiretls-not-offered, proved",
        id="keyword before TLS only",
    ),
    pytest.param(
        REQUIRED,
        [GREETING, WITH_STARTTLS, GO, PROVED, ehlo("REQUIRETLS yes")],
        "requiretls-not-offered, proved",
        id="keyword with an argument",
    ),
    pytest.param(
        REQUIRED,
        [GREETING, WITH_STARTTLS, GO, PROVED, ServerReply(250, ("REQUIRETLS",))],
        "requiretls-not-offered, proved",
        id="keyword in the place of the host's name",
    ),
    pytest.param(
        REQUIRED,
        [GREETING, WITH_STARTTLS, GO, PROVED, reply("502 no")],
        "rejected, not-judged",
        id="second EHLO",
    ),
    pytest.param(
        RELAXED, [GREETING, WITH_STARTTLS, GO, None, ehlo("SIZE")], "ready", id="relaxed: no keyword"
    ),
    pytest.param(
        ANYTHING, [GREETING, WITH_STARTTLS, GO, NOT_PROVED], "dane-mismatch, proved", id="any verdict"
    ),
    pytest.param(SUBMISSIONS, [PROVED, reply("554 no")], "rejected, proved", id="implicit TLS, greeting 554"),
    pytest.param(SUBMISSIONS, [NOT_PROVED], "dane-mismatch, proved", id="implicit TLS, not who it should be"),
    pytest.param(
        SUBMISSIONS,
        [PROVED, GREETING, ehlo("AUTH CRAM-MD5")],
        "configuration, our-fault",
        id="no AUTH for us",
    ),
    pytest.param(
        SUBMISSIONS,
        [PROVED, GREETING, ehlo("AUTH PLAIN"), reply("535 5.7.8 wrong")],
        "configuration, our-fault",
        id="wrong password",
    ),
    pytest.param(
        SUBMISSIONS,
        [PROVED, GREETING, ehlo("AUTH PLAIN"), reply("454 4.7.0 later")],
        "rejected, not-judged",
        id="password cannot be checked now",
    ),
    pytest.param(
        SUBMISSIONS,
        [PROVED, GREETING, ehlo("AUTH PLAIN"), reply("334 more?")],
        "protocol-violation, not-judged",
        id="a challenge too many",
    ),
]


@pytest.mark.requirement(
    "8689-2-11", "8689-2-15", "8689-4.2.1-4", "8689-4.2.1-9", "8689-4.2.1-18", "8689-8.2-1", "7672-2.2.3-4",
)  # fmt: skip
@pytest.mark.parametrize(("demand", "script", "expected"), ENDINGS)
def test_an_opening_ends(demand: Demand, script: list[Heard], expected: str) -> None:
    """Ready, or refused for a reason and as surely as the server said it."""
    _, end = play(demand, script)

    assert end is not None
    shown = "ready" if isinstance(end, Ready) else f"{end.reason.value}, {end.sureness.value}"
    assert shown == expected


def refused(reason: Reason, sureness: Sureness, why: str, said: str | None = None) -> Refusal:
    """Return the refusal by HOST that says *why*, after *said* by the server."""
    answer = reply(said) if said is not None else None
    passed_on = answer.as_reply() if answer is not None and answer.kind in (4, 5) else None
    return Refusal(reason, sureness, why, HOST.text, passed_on, answer.quoted if answer is not None else None)


IN_TLS: list[Heard] = [GREETING, WITH_STARTTLS, GO, PROVED]

IN_WORDS = [
    pytest.param(
        REQUIRED,
        [reply("554 5.3.2 no")],
        refused(Reason.REJECTED, Sureness.PROVED, "greeting was answered '554 5.3.2 no'", "554 5.3.2 no"),
        id="greeting",
    ),
    pytest.param(
        REQUIRED,
        [*IN_TLS, reply("450 4.3.2 later")],
        refused(
            Reason.REJECTED,
            Sureness.NOT_JUDGED,
            "ehlo in tls was answered '450 4.3.2 later'",
            "450 4.3.2 later",
        ),
        id="EHLO in TLS",
    ),
    pytest.param(
        REQUIRED,
        [GREETING, WITH_STARTTLS, reply("502 5.5.1 what?")],
        refused(
            Reason.STARTTLS_REFUSED,
            Sureness.PROVED,
            "starttls was answered '502 5.5.1 what?'",
            "502 5.5.1 what?",
        ),
        id="STARTTLS",
    ),
    pytest.param(
        REQUIRED,
        [reply("354 go")],
        refused(Reason.PROTOCOL_VIOLATION, Sureness.NOT_JUDGED, "greeting was answered '354 go'", "354 go"),
        id="a reply that is no verdict is quoted and not passed on",
    ),
    pytest.param(
        REQUIRED,
        [GREETING, reply("502 5.5.1 what?")],
        refused(
            Reason.STARTTLS_NOT_OFFERED,
            Sureness.PROVED,
            "ehlo was answered '502 5.5.1 what?'",
            "502 5.5.1 what?",
        ),
        id="no EHLO, so no STARTTLS",
    ),
    pytest.param(
        SUBMISSIONS,
        [PROVED, GREETING, ehlo("AUTH PLAIN"), reply("535 5.7.8 wrong")],
        refused(
            Reason.CONFIGURATION,
            Sureness.OUR_FAULT,
            "auth was answered '535 5.7.8 wrong'",
            "535 5.7.8 wrong",
        ),
        id="AUTH",
    ),
    pytest.param(
        SUBMISSIONS,
        [PROVED, GREETING, ehlo("AUTH CRAM-MD5")],
        refused(
            Reason.CONFIGURATION, Sureness.OUR_FAULT, "the server offers neither AUTH PLAIN nor AUTH LOGIN"
        ),
        id="no AUTH for us",
    ),
    pytest.param(
        REQUIRED,
        [GREETING, ehlo("SIZE")],
        refused(Reason.STARTTLS_NOT_OFFERED, Sureness.PROVED, "no TLS session"),
        id="no STARTTLS",
    ),
    pytest.param(
        REQUIRED,
        [GREETING, WITH_STARTTLS, GO, NOT_PROVED],
        refused(Reason.DANE_MISMATCH, Sureness.PROVED, NOT_PROVED.why),
        id="not who it should be",
    ),
    pytest.param(
        REQUIRED,
        [GREETING, WITH_STARTTLS, GO, None],
        refused(Reason.CERTIFICATE_NOT_TRUSTED, Sureness.PROVED, "nothing was verified"),
        id="nothing verified",
    ),
    pytest.param(
        REQUIRED,
        [*IN_TLS, ehlo("SIZE")],
        refused(
            Reason.REQUIRETLS_NOT_OFFERED,
            Sureness.PROVED,
            "the server does not offer REQUIRETLS inside TLS",
        ),
        id="no REQUIRETLS",
    ),
]


@pytest.mark.parametrize(("demand", "script", "expected"), IN_WORDS)
def test_a_refusal_says_at_which_step_and_with_which_words(
    demand: Demand, script: list[Heard], expected: Refusal
) -> None:
    """The host, the step, the server's reply as it came; passed on only where it is a verdict."""
    assert play(demand, script)[1] == expected


def test_a_server_without_ehlo_is_greeted_with_helo() -> None:
    """RFC 5321 section 3.2; where something is demanded that HELO cannot lead to, it is not said."""
    without_ehlo = [GREETING, reply("502 what?")]

    assert play(ANYTHING, without_ehlo)[0] == ["EHLO sender.example", "HELO sender.example"]
    for demand in (REQUIRED, ENCRYPTED, LMTP):
        assert len(play(demand, without_ehlo)[0]) == 1


def test_a_refused_helo_ends_the_talk_for_now() -> None:
    """It proves nothing: STARTTLS was not demanded."""
    _, end = play(ANYTHING, [GREETING, reply("502 what?"), reply("502 what?")])

    assert end == refused(Reason.REJECTED, Sureness.NOT_JUDGED, "helo was answered '502 what?'", "502 what?")


def test_the_name_in_the_last_ehlo_reply_is_kept() -> None:
    """A host that calls itself otherwise inside TLS is another machine than it seemed."""
    opening = Opening(REQUIRED, "sender.example")
    opening.start()
    opening.hear(GREETING)
    assert opening.greeted_as is None

    opening.hear(ServerReply(250, ("front.example at your service", "STARTTLS")))
    assert opening.greeted_as == "front.example"

    opening.hear(GO)
    opening.secured(tls(PROVED))
    opening.hear(ServerReply(250, ("back.example",)))
    assert opening.greeted_as == "back.example"


def test_the_name_in_a_refused_ehlo_is_none() -> None:
    """Text behind 5yz is an explanation."""
    opening = Opening(ANYTHING, "sender.example")
    opening.start()
    opening.hear(GREETING)
    opening.hear(reply("502 what?"))
    opening.hear(reply("250 mx.example hello"))

    assert opening.greeted_as is None


@pytest.mark.requirement("8689-3-2", "8689-4.2.2-2")
def test_starttls_is_tried_wherever_it_is_offered() -> None:
    """Also where nobody demands it; except on the connection after a handshake broke."""
    script = [GREETING, WITH_STARTTLS]

    assert play(ANYTHING, script)[0][-1] == "STARTTLS"
    assert isinstance(play(ANYTHING, script, use_starttls=False)[1], Ready)
    assert isinstance(play(REQUIRED, script, use_starttls=False)[1], Refusal)


def test_lmtp_says_lhlo() -> None:
    """RFC 2033 section 4.1."""
    assert play(LMTP, [GREETING, ehlo("SIZE")])[0] == ["LHLO sender.example"]


def test_the_reply_that_ended_the_talk_is_kept() -> None:
    """For the notice and the log."""
    _, end = play(REQUIRED, [reply("554-go\n554 away")])

    assert isinstance(end, Refusal)
    assert end.server_text == "554-go\n554 away"
    assert str(end.reply) == "554 5.0.0 go away"


@pytest.mark.parametrize(
    ("mechanisms", "lines"),
    [
        ("PLAIN LOGIN", ["AUTH PLAIN " + base64.b64encode(b"\0list\0secret").decode()]),
        ("LOGIN", ["AUTH LOGIN", base64.b64encode(b"list").decode(), base64.b64encode(b"secret").decode()]),
    ],
)
def test_a_login_by(mechanisms: str, lines: list[str]) -> None:
    """RFC 4616, and the older way for servers that know no other."""
    script: list[Heard] = [GREETING, WITH_STARTTLS, GO, PROVED, ehlo(f"AUTH {mechanisms}")]
    asking = [reply("334 VXNlcm5hbWU6"), reply("334 UGFzc3dvcmQ6")][: len(lines) - 1]

    said, end = play(SUBMISSION, [*script, *asking, reply("235 welcome")])

    assert said[4:] == lines
    assert isinstance(end, Ready)


verdicts = st.sampled_from([PROVED, NOT_PROVED, None])
lists = st.lists(
    st.sampled_from(["STARTTLS", "REQUIRETLS", "REQUIRETLS x", "AUTH PLAIN LOGIN", "SIZE", "PIPELINING"])
).map(lambda keywords: ehlo(*keywords))
codes = st.sampled_from([220, 221, 235, 250, 334, 354, 421, 450, 454, 502, 521, 535, 550, 554])
anything_heard = st.one_of(
    lists, codes.map(lambda code: ServerReply(code, ("x",))), st.just(GREETING), verdicts
)
# Most of a script is what leads on, or the talk would end before it is interesting.
scripts = st.lists(
    st.one_of(st.sampled_from([GREETING, GO, WITH_STARTTLS, WITH_KEYWORD, PROVED]), anything_heard),
    min_size=8,
    max_size=8,
)


@pytest.mark.requirement("8689-2-11", "8689-2-13", "8689-2-15", "8689-4.2.1-9")
@given(name=st.sampled_from(sorted(DEMANDS)), script=scripts, use_starttls=st.booleans())
def test_attack_no_script_makes_it_ready_without_the_demand_being_met(
    name: str, script: list[Heard], use_starttls: bool
) -> None:
    """Whatever a server says: eight replies end it, and READY is never reached short of the demand."""
    demand = DEMANDS[name]
    said, end = play(demand, script, use_starttls=use_starttls)

    assert end is not None
    assert not any(line.startswith(("MAIL", "RCPT", "DATA")) for line in said)
    if isinstance(end, Refusal):
        assert end.why
        assert end.reason in Reason
        return
    assert shortfall(demand, end.proof) is None
    if demand.needs_tls:
        assert "(handshake)" in said
    if demand.authenticated:
        assert end.proof.tls is not None
        assert end.proof.tls.verdict == PROVED
    if demand.requiretls:
        assert end.proof.requiretls_offered


@given(name=st.sampled_from(["submission", "submission in implicit TLS"]), script=scripts)
def test_attack_no_script_gets_the_password_without_a_proof(name: str, script: list[Heard]) -> None:
    """Nothing of it is said before a handshake in which the server proved who it is."""
    said, _ = play(DEMANDS[name], script)
    secrets = [place for place, line in enumerate(said) if "AUTH" in line or "c2VjcmV0" in line]

    if secrets:
        assert "(handshake)" in said[: secrets[0]]
        assert PROVED in script


@pytest.mark.parametrize("step", [Step.READY, Step.REFUSED, Step.HANDSHAKE])
def test_nothing_leads_on_from_an_end(step: Step) -> None:
    """The table has no row for it, and a handshake is not answered by a reply."""
    assert not any(before is step for before, _ in AFTER)


def test_a_reply_in_place_of_a_handshake_ends_the_talk() -> None:
    """Whoever drives the opening wrongly gets no further."""
    opening = Opening(SUBMISSIONS, "sender.example")
    opening.start()

    assert opening.hear(GREETING) == refused(
        Reason.PROTOCOL_VIOLATION,
        Sureness.NOT_JUDGED,
        "handshake was answered '220 mx ESMTP'",
        "220 mx ESMTP",
    )


def test_what_is_said_after_the_end_is_a_mistake_of_the_server() -> None:
    """Whoever is ready waits for nothing."""
    opening = Opening(ANYTHING, "sender.example")
    opening.start()
    opening.hear(GREETING)
    assert isinstance(opening.hear(ehlo()), Ready)

    assert opening.step is Step.READY
    assert isinstance(opening.hear(GREETING), Refusal)


def test_what_was_refused_stays_refused() -> None:
    """Whatever is said afterwards."""
    opening = Opening(REQUIRED, "sender.example")
    opening.start()
    assert isinstance(opening.hear(reply("554 no")), Refusal)

    assert opening.step is Step.REFUSED
    assert isinstance(opening.hear(GREETING), Refusal)


def test_a_handshake_that_was_not_due_is_a_mistake_of_ours() -> None:
    """Not even a proof can be slipped in."""
    opening = Opening(REQUIRED, "sender.example")
    assert opening.start() == Listen()

    with pytest.raises(RuntimeError, match=r"no handshake was due at Step\.GREETING"):
        opening.secured(tls(PROVED))


def test_a_login_without_a_proof_is_a_mistake_of_ours() -> None:
    """No demand of ours is like that; if one ever is, the password stays here."""
    with pytest.raises(RuntimeError, match=r"^a password is only for a server that proved who it is$"):
        play(replace(ANYTHING, login=SUBMISSION.login), [GREETING, ehlo("AUTH PLAIN")])


@pytest.mark.requirement("8689-4.2.1-18")
@pytest.mark.parametrize("code", [450, 451, 454, 421])
@pytest.mark.parametrize("step", range(5))
def test_a_temporary_reply_is_never_a_proof(code: int, step: int) -> None:
    """At no step of the talk does 4yz make a failure permanent."""
    script: list[Heard] = [GREETING, WITH_STARTTLS, GO, PROVED, WITH_KEYWORD]
    if step == 3:
        return  # that is the handshake
    _, end = play(REQUIRED, [*script[:step], reply(f"{code} later")])

    assert isinstance(end, Refusal)
    assert end.sureness is Sureness.NOT_JUDGED
