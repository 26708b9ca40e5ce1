"""The log: Postfix's grammar, nothing of the message, and no line a stranger could write."""

from __future__ import annotations

import asyncio
import datetime
import json
import logging
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from requiretls_lab.laboratory import Laboratory
from requiretls_plugin.bounce import notices_for, send_notice
from requiretls_plugin.delivery.outcome import Attempt, Disposition, Notice, Outcome, Receipt
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.engine import Engine
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message, Recipient
from requiretls_plugin.observe.log import LOGGER, Log, attempt_line, outcome_line, remark, shown
from requiretls_plugin.plugins import plugin_manager
from requiretls_plugin.policy.next_hop import DomainHop
from requiretls_plugin.reason import Reason
from requiretls_plugin.reply import Reply
from requiretls_plugin.requirement import Requirement, Tag
from requiretls_plugin.security import Security
from tests.observe.sending import message, send
from tests.plugin_objects import Concluded, manager_of

_PAGE = Path(__file__).parents[2] / "docs" / "log.md"


def _documented(name: str) -> re.Pattern[str]:
    """Return the regular expression that docs/log.md gives operators under *name*."""
    blocks = re.findall(r"```text\n(# .*?)```", _PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return next(re.compile(block, re.VERBOSE) for block in blocks if f"# {name}" in block)


OUTCOME, ATTEMPT = _documented("outcome"), _documented("attempt")

_AT_NO_KEYWORD = MailAddress.parse("alice@no-keyword.test")


def _message(requirement: Requirement = Requirement.UNSTATED, sender: str | None = "a@s.test") -> Message:
    return Message(
        MailAddress.parse(sender) if sender else None, b"Subject: secret\r\n\r\nx", tag=Tag(requirement)
    )


def _outcome(to: str = "b@r.test", text: str = "OK") -> Outcome:
    return Outcome(
        Recipient.parse(to),
        Disposition.DELIVERED,
        Reply(250, "2.0.0", text),
        host="mx.r.test",
        security=Security.DANE,
        requiretls=True,
        receipt=Receipt("192.0.2.1"),
    )


def _refused(reason: Reason, disposition: Disposition = Disposition.FAILED) -> Outcome:
    reply = Reply(550, "5.7.10", "no") if disposition is Disposition.FAILED else Reply(451, "4.7.10", "no")
    return Outcome(Recipient.parse("b@r.test"), disposition, reply, host="mx.r.test", reason=reason)


def test_a_delivered_message_has_one_line_in_postfixs_grammar() -> None:
    """The line of the design, to the letter."""
    assert outcome_line(_message(Requirement.REQUIRED), _outcome()) == (
        "from=<a@s.test>, to=<b@r.test>, relay=mx.r.test[192.0.2.1], tls=dane/requiretls, "
        "dsn=2.0.0, status=sent (250 2.0.0 OK)"
    )


@pytest.mark.parametrize(
    ("requirement", "outcome", "tls", "status"),
    [
        pytest.param(Requirement.UNSTATED, _outcome(), "dane/requiretls", "sent", id="delivered"),
        pytest.param(
            Requirement.REQUIRED,
            _refused(Reason.DANE_MISMATCH),
            "none/!requiretls:dane-mismatch",
            "bounced",
            id="REQUIRETLS not given, and why",
        ),
        pytest.param(
            Requirement.REQUIRED,
            _refused(Reason.DNS_FAILURE, Disposition.DEFERRED),
            "none/!requiretls:dns-failure",
            "deferred",
            id="not judged",
        ),
        pytest.param(
            Requirement.UNSTATED,
            _refused(Reason.STS_MISMATCH, Disposition.DEFERRED),
            "none:sts-mismatch",
            "deferred",
            id="the recipient's own policy",
        ),
    ],
)
def test_the_tls_field_tells_what_was_proved_and_what_was_missing(
    requirement: Requirement, outcome: Outcome, tls: str, status: str
) -> None:
    """LEVEL/requiretls[:why], read back with the documented expression."""
    match = OUTCOME.fullmatch(outcome_line(_message(requirement), outcome))

    assert match is not None
    assert (match["tls"], match["status"]) == (tls, status)


def test_a_message_without_a_host_or_a_sender_has_a_line_too() -> None:
    """A null MX: nobody was asked, and the return path is null."""
    outcome = Outcome(
        Recipient.parse("b@r.test"), Disposition.FAILED, Reply(556, "5.1.10", "no"), reason=Reason.NULL_MX
    )
    match = OUTCOME.fullmatch(outcome_line(_message(sender=None), outcome))

    assert match is not None
    assert (match["from"], match["relay"]) == ("", "none")


_HOSTILE = [
    pytest.param('"x>, relay=evil, status=sent ("@r.test', id="what structures a line"),
    pytest.param('"\\\\"@r.test', id="a backslash"),
    pytest.param("b\u202eb@r.test", id="a character that turns the line round"),
]


@pytest.mark.parametrize("address", _HOSTILE)
def test_attack_an_address_cannot_write_fields(address: str) -> None:
    """Whatever stands in a quoted local part, the line has one recipient, one relay and one status."""
    line = outcome_line(_message(sender=address), _outcome(address))
    match = OUTCOME.fullmatch(line)

    assert match is not None
    assert (match["relay"], match["status"], match["dsn"]) == ("mx.r.test[192.0.2.1]", "sent", "2.0.0")
    assert line.isprintable()


@given(st.text())
def test_attack_no_text_gets_a_delimiter_or_a_control_character_into_a_value(text: str) -> None:
    """For every text; and what was harmless is left as it is."""
    value = shown(text)

    assert value.isprintable()
    assert not set(value) & set(" ,<>=()")
    assert remark(text).isprintable()


def test_attack_a_servers_reply_cannot_start_a_line() -> None:
    """A reply with a line end, as a plugin could hand it on, stays inside the parentheses."""
    attempt = Attempt(
        DomainHop(DomainName("r.test")), "mx.r.test", None, "dane", refusal=Reason.REJECTED, why="no\nto=<x>"
    )
    line = attempt_line(attempt)

    assert "\n" not in line
    match = ATTEMPT.fullmatch(line)
    assert match is not None
    assert match["why"] == "no\\x0ato=<x>"


@pytest.mark.parametrize(
    ("reason", "tls"),
    [
        (Reason.DANE_MISMATCH, "!dane/!requiretls:dane-mismatch"),
        (Reason.REQUIRETLS_NOT_OFFERED, "dane/!requiretls:requiretls-not-offered"),
        (Reason.HOST_UNREACHABLE, "dane?/!requiretls:host-unreachable"),
    ],
)
def test_an_attempt_tells_whether_its_level_was_missed_or_not_judged(reason: Reason, tls: str) -> None:
    """`!` for a host that failed, `?` for one that could not be asked, neither if only the keyword lacks."""
    hop = DomainHop(DomainName("r.test"))
    attempt = Attempt(hop, "mx.r.test", None, "dane", refusal=reason, message=_message(Requirement.REQUIRED))
    match = ATTEMPT.fullmatch(attempt_line(attempt))

    assert match is not None
    assert match["tls"] == tls


def test_each_session_and_each_recipient_leave_a_line_and_nothing_of_the_message(
    lab: Laboratory, caplog: pytest.LogCaptureFixture
) -> None:
    """Two hosts, the first without REQUIRETLS: two attempts and one outcome, all parseable."""
    caplog.set_level(logging.DEBUG)

    send(lab.settings(), "two-hosts.test", message(Requirement.REQUIRED))

    lines = [record.getMessage() for record in caplog.records if record.name == LOGGER]
    attempts = [match for line in lines if (match := ATTEMPT.fullmatch(line))]
    outcomes = [match for line in lines if (match := OUTCOME.fullmatch(line))]
    assert [match["tls"] for match in attempts] == [
        "dane/!requiretls:requiretls-not-offered",
        "dane/requiretls",
    ]
    assert [match["to"] for match in outcomes] == ["bob@two-hosts.test"]
    assert len(attempts) + len(outcomes) == len(lines)
    assert "secret plan" not in caplog.text
    assert "burn this" not in caplog.text


def test_notices_leave_lines_as_every_message_does(lab: Laboratory, caplog: pytest.LogCaptureFixture) -> None:
    """One for each session and each outcome, also of a notice that could not go before its fallback did."""
    caplog.set_level(logging.INFO, LOGGER)
    about = replace(message(Requirement.REQUIRED), tag=Tag(Requirement.REQUIRED), return_path=_AT_NO_KEYWORD)

    async def bounce() -> None:
        async with Engine(lab.settings(), plugin_manager(installed=False)) as engine:
            outcomes = [_refused(Reason.REQUIRETLS_NOT_OFFERED)]
            now = datetime.datetime.now(datetime.UTC)
            [notice] = notices_for(about, outcomes, hostname=DomainName("relay.test"), now=now)
            await send_notice(engine.deliver_as_it_is, notice)

    asyncio.run(bounce())

    lines = [record.getMessage() for record in caplog.records if record.name == LOGGER]
    outcomes = [match for line in lines if (match := OUTCOME.fullmatch(line))]
    assert [(match["from"], match["to"], match["status"]) for match in outcomes] == [
        ("", "alice@no-keyword.test", "bounced"),
        ("", "alice@no-keyword.test", "sent"),
    ]
    assert len([line for line in lines if ATTEMPT.fullmatch(line)]) == len(lines) - len(outcomes) == 2


def test_a_plugins_notice_leaves_its_lines_and_causes_nothing_more(
    lab: Laboratory, caplog: pytest.LogCaptureFixture
) -> None:
    """Observers hear of it like of every message; what they answer to that is not sent."""
    caplog.set_level(logging.INFO, LOGGER)
    telling = Concluded([Notice(_message(sender=None), MailAddress.parse("alice@sender.test"))])

    async def deliver() -> None:
        async with Engine(lab.settings(), manager_of(telling=telling)) as engine:
            await engine.deliver(message(Requirement.UNSTATED), [Recipient.parse("bob@dane-ee.test")])

    asyncio.run(deliver())

    lines = [record.getMessage() for record in caplog.records if record.name == LOGGER]
    found = [(match["from"], match["to"]) for line in lines if (match := OUTCOME.fullmatch(line))]
    assert found == [("alice@sender.test", "bob@dane-ee.test"), ("", "alice@sender.test")]
    assert [told.return_path is None for told, _ in telling.calls] == [False, True]
    assert len(lab.destination("mx.sender.test").messages) == 1


def test_json_lines_have_the_same_facts(lab: Laboratory, caplog: pytest.LogCaptureFixture) -> None:
    """By `log.format = "json"`."""
    caplog.set_level(logging.INFO, LOGGER)

    send(lab.settings(log={"format": "json"}), "wrong-tlsa.test", message(Requirement.REQUIRED))

    attempt, outcome = (json.loads(record.getMessage()) for record in caplog.records if record.name == LOGGER)
    assert (attempt["event"], attempt["demanded"], attempt["reason"]) == ("attempt", "dane", "dane-mismatch")
    assert (outcome["event"], outcome["status"], outcome["dsn"]) == ("outcome", "bounced", "5.7.10")
    assert outcome["from"] == "alice@sender.test"
    row = re.search(r"^\| (`requirement`, `next_hop`.*) \| (.*) \|$", _PAGE.read_text("utf-8"), re.MULTILINE)
    assert row is not None
    for line, keys in zip((attempt, outcome), row.groups(), strict=True):
        assert ["event", *re.findall(r"`(\w+)`", keys)] == list(line)


def test_the_logger_is_fetched_when_it_is_used(caplog: pytest.LogCaptureFixture) -> None:
    """A host that disables existing loggers at its own set-up must not silence a log made before it."""
    log = Log("text")
    logger = logging.getLogger(LOGGER)
    logging.Logger.manager.loggerDict.pop(LOGGER)
    logger.disabled = True
    caplog.set_level(logging.INFO)

    log.requiretls_concluded(_message(), [_outcome()])

    assert "status=sent" in caplog.text
