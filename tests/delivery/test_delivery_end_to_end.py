"""Every kind of destination, whatever the message asks: how it ends, and what the servers were told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from requiretls_lab.catalogue import CATALOGUE
from requiretls_lab.laboratory import Laboratory
from requiretls_lab.smtp_record import Connection
from requiretls_lab.smtp_script import Offer, Script
from requiretls_plugin.delivery.outcome import Disposition
from requiretls_plugin.requirement import Requirement
from tests.delivery.delivering import CONTENT, Watching, deliver, in_words, message

REQUIRED, UNSTATED, OPTIONAL = Requirement.REQUIRED, Requirement.UNSTATED, Requirement.OPTIONAL

ENCRYPTED, IN_THE_CLEAR = "delivered encrypted", "delivered cleartext"
NO_KEYWORD = "failed 550 5.7.30 requiretls-not-offered"
NULL_MX, NO_SUCH = "failed 556 5.1.10 null-mx", "failed 550 5.1.2 no-such-domain"
NO_HOST, BOGUS = "failed 550 5.4.4 host-unreachable", "deferred 451 4.4.3 dnssec-bogus"


def not_met(reason: str) -> str:
    return f"failed 550 5.7.10 {reason}"


# Domain: what becomes of a message that is REQUIRED, UNSTATED, OPTIONAL.
EXPECTED = {
    "sender.test": ("delivered dane requiretls", "delivered dane", ENCRYPTED),
    "return.test": ("delivered dane requiretls", "delivered dane", ENCRYPTED),
    "dane-ee.test": ("delivered dane requiretls", "delivered dane", ENCRYPTED),
    "dane-ta.test": ("delivered dane requiretls", "delivered dane", ENCRYPTED),
    "dnssec-pkix.test": ("delivered dnssec-pkix requiretls", ENCRYPTED, ENCRYPTED),
    "sts.test": ("delivered sts-pkix requiretls", "delivered sts-pkix", ENCRYPTED),
    "implicit.test": ("delivered implicit-pkix requiretls", ENCRYPTED, ENCRYPTED),
    "null-mx.test": (NULL_MX, NULL_MX, NULL_MX),
    "no-such.test": (NO_SUCH, NO_SUCH, NO_SUCH),
    "no-keyword.test": (NO_KEYWORD, "delivered dane", ENCRYPTED),
    "sticky-ehlo.test": (NO_KEYWORD, "delivered dane", ENCRYPTED),
    "no-starttls.test": (not_met("starttls-not-offered"), IN_THE_CLEAR, IN_THE_CLEAR),
    "wrong-tlsa.test": (not_met("dane-mismatch"), "deferred 451 4.7.5 dane-mismatch", ENCRYPTED),
    "wrong-name.test": (not_met("certificate-name-mismatch"), ENCRYPTED, ENCRYPTED),
    "expired.test": (not_met("certificate-expired"), ENCRYPTED, ENCRYPTED),
    "half-dane.test": (not_met("name-not-proven"), ENCRYPTED, ENCRYPTED),
    "half-dane-host.test": (NO_HOST, NO_HOST, NO_HOST),
    "unproven.test": (not_met("name-not-proven"), ENCRYPTED, ENCRYPTED),
    "sts-mismatch.test": (not_met("sts-mismatch"), "deferred 451 4.7.5 sts-mismatch", ENCRYPTED),
    "sts-testing.test": (not_met("name-not-proven"), ENCRYPTED, ENCRYPTED),
    "sts-down.test": ("deferred 451 4.7.10 sts-unavailable", ENCRYPTED, ENCRYPTED),
    "bogus.test": (BOGUS, BOGUS, BOGUS),
    "two-hosts.test": ("delivered dane requiretls", "delivered dane", ENCRYPTED),
    "mixed.test": (not_met("starttls-not-offered"), "delivered dane", ENCRYPTED),
    "down.test": ("deferred 451 4.4.1 host-unreachable", "delivered dane", ENCRYPTED),
}


CASES = [
    pytest.param(domain, requirement, expected, id=f"{domain} {requirement.value}")
    for domain, outcomes in EXPECTED.items()
    for requirement, expected in zip((REQUIRED, UNSTATED, OPTIONAL), outcomes, strict=True)
]


def test_every_destination_of_the_laboratory_is_in_the_table() -> None:
    """None is forgotten here when one is added there."""
    assert set(EXPECTED) == {domain.name for domain in CATALOGUE}


def connections(lab: Laboratory) -> list[tuple[str, Connection]]:
    """Return every connection that was made, with the name of its host."""
    lab.settle()
    names = [host.name(domain.name) for domain in CATALOGUE for host in domain.hosts]
    return [(name, connection) for name in names for connection in lab.destination(name).connections]


@pytest.mark.requirement(
    "8689-2-11", "8689-2-12", "8689-2-13", "8689-2-15", "8689-3-2", "8689-4.2.1-1",
    "8689-4.2.1-2", "8689-4.2.1-5", "8689-4.2.1-6", "8689-4.2.1-9", "8689-4.2.1-11", "8689-4.2.1-13",
    "8689-4.2.1-18", "8689-4.2.1-20", "8689-4.2.2-1", "8689-4.2.2-2", "8689-4.2.2-4", "8689-8.2-1",
    "3207-4-1", "3207-4.1-1", "5321-5.1-2", "5321-5.1-3", "5321-5.1-4",
    "7505-3-1", "7505-4.1-1", "7672-2.2-1", "7672-2.2-2", "7672-2.2.1-1", "7672-2.2.1-2", "7672-2.2.1-5",
    "7672-2.2.1-7", "7672-2.2.1-9", "7672-3.2-1", "7672-3.2-2", "7672-9.1-1", "8461-3.3-10",
    "8461-5-5", "8461-7.1-2",
)  # fmt: skip
@pytest.mark.parametrize(("domain", "requirement", "expected"), CASES)
def test_a_message_ends_as_the_table_of_verdicts_says(
    lab: Laboratory, domain: str, requirement: Requirement, expected: str
) -> None:
    """And no server was told more than it had earned."""
    [outcome] = deliver(lab.settings(), message(requirement), f"u@{domain}")

    assert in_words(outcome) == expected
    talks = connections(lab)
    for name, connection in talks:
        # After an alert of ours there is no session left to say QUIT in.
        assert connection.verbs[-1] == ("STARTTLS" if connection.tls_failure else "QUIT")
        assert connection.sni == (name if connection.tls else None)
        mails = [command for command in connection.commands if command.verb == "MAIL"]
        if requirement is REQUIRED:
            assert all(command.tls and command.line.endswith(" REQUIRETLS") for command in mails)
        else:
            assert not any("REQUIRETLS" in command.line for command in mails)
    accepted = [accepted for _, connection in talks for accepted in connection.messages]
    assert len(accepted) == (1 if outcome.disposition is Disposition.DELIVERED else 0)
    assert len([name for name, connection in talks if "MAIL" in connection.verbs]) == len(accepted)
    if accepted:
        assert outcome.host == talks[-1][0]
        assert accepted[0].content.endswith(CONTENT)


@pytest.mark.requirement("8689-4.2.1-22")
def test_each_destination_is_judged_alone(lab: Laboratory) -> None:
    """One message to every domain at once ends as it does for each alone."""
    to = [f"u@{domain}" for domain in EXPECTED]

    outcomes = deliver(lab.settings(), message(REQUIRED), *to)

    assert [str(outcome.recipient) for outcome in outcomes] == to
    assert [in_words(outcome) for outcome in outcomes] == [required for required, _, _ in EXPECTED.values()]


@pytest.mark.requirement("8689-2-14")
def test_the_operator_chooses_the_trust_anchors(lab: Laboratory) -> None:
    """With the system's instead of the laboratory's, the same certificate proves nothing."""
    settings = lab.settings(tls={"ca_file": None})

    [outcome] = deliver(settings, message(REQUIRED), "u@dnssec-pkix.test")

    assert in_words(outcome) == not_met("certificate-not-trusted")


@pytest.mark.requirement("8689-4.2.2-5")
def test_a_header_field_weakens_nothing_where_the_operator_says_so(lab: Laboratory) -> None:
    """With `tls_required_no.honor = false` the recipient's DANE holds."""
    settings = lab.settings(tls_required_no={"honor": False})

    [outcome] = deliver(settings, message(OPTIONAL), "u@wrong-tlsa.test")

    assert in_words(outcome) == "deferred 451 4.7.5 dane-mismatch"


@pytest.mark.requirement("8689-4.2.1-3")
def test_a_testing_policy_can_be_accepted(lab: Laboratory) -> None:
    """`mta_sts.accept_testing` lets it prove names, and holds the certificate to it."""
    settings = lab.settings(mta_sts={"accept_testing": True})

    [outcome] = deliver(settings, message(REQUIRED), "u@sts-testing.test")

    assert in_words(outcome) == "delivered sts-pkix requiretls"


LEVELS = [
    pytest.param("opportunistic+starttls", "no-keyword.test", "delivered dane", id="no keyword"),
    pytest.param("opportunistic+starttls", "unproven.test", "delivered encrypted requiretls", id="unproven"),
    pytest.param(
        "opportunistic+starttls",
        "no-starttls.test",
        "failed 550 5.7.10 starttls-not-offered",
        id="no STARTTLS, but demanded",
    ),
    pytest.param("opportunistic", "no-starttls.test", "delivered cleartext", id="no STARTTLS"),
    pytest.param("opportunistic", "dane-ee.test", "delivered dane requiretls", id="could do it all"),
    pytest.param("opportunistic", "wrong-tlsa.test", "deferred 451 4.7.5 dane-mismatch", id="wrong TLSA"),
]


@pytest.mark.parametrize(("level", "domain", "expected"), LEVELS)
def test_a_relaxed_destination_gets_required_messages(
    lab: Laboratory, level: str, domain: str, expected: str
) -> None:
    """As its own policy allows; REQUIRETLS goes along where it can, RET=HDRS where it cannot."""
    [outcome] = deliver(lab.settings(levels={domain: level}), message(REQUIRED), f"u@{domain}")

    assert in_words(outcome) == expected
    for accepted in lab.destination(f"mx.{domain}").messages:
        assert accepted.requiretls == outcome.requiretls
        assert ("RET=HDRS" in accepted.mail_parameters) != outcome.requiretls


@pytest.mark.requirement("8689-2-11")
def test_attack_the_keyword_in_cleartext_is_never_answered(lab: Laboratory) -> None:
    """Not even at a relaxed destination is REQUIRETLS said outside TLS, whatever the server lists there."""
    host = lab.destination("mx.no-starttls.test")
    host.script = Script(starttls=False, requiretls=Offer.ALWAYS)

    [outcome] = deliver(lab.settings(levels={"*": "opportunistic"}), message(REQUIRED), "u@no-starttls.test")

    assert in_words(outcome) == "delivered cleartext"
    assert not host.messages[0].requiretls


def test_trust_anchors_that_cannot_be_read_are_our_mistake(lab: Laboratory, tmp_path: Path) -> None:
    """The settings were right when they were read; nobody's message bounces because a file is gone."""
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(lab.authority.ca_file.read_bytes())
    settings = lab.settings(tls={"ca_file": str(ca_file)})
    ca_file.unlink()

    [outcome] = deliver(settings, message(REQUIRED), "u@dnssec-pkix.test")

    assert in_words(outcome) == "deferred 451 4.3.5 configuration"


@pytest.mark.requirement("3461-5.2.1-1")
def test_an_enforced_hop_gets_no_ret_that_nobody_asked_for(lab: Laboratory) -> None:
    """Its own bounce is under REQUIRETLS too."""
    deliver(lab.settings(), message(REQUIRED), "u@dane-ee.test")

    [accepted] = lab.destination("mx.dane-ee.test").messages
    assert [word for word in accepted.mail_parameters if not word.startswith("SIZE=")] == ["REQUIRETLS"]


def test_the_levels_of_one_domain_are_not_those_of_another(lab: Laboratory) -> None:
    """One message, two domains, one of them relaxed."""
    settings = lab.settings(levels={"no-keyword.test": "opportunistic"})

    outcomes = deliver(settings, message(REQUIRED), "u@no-keyword.test", "u@sticky-ehlo.test")

    assert [in_words(outcome) for outcome in outcomes] == ["delivered dane", NO_KEYWORD]


@pytest.mark.requirement("8689-5-6", "8689-4.2.1-1")
def test_a_notice_is_not_lost_for_want_of_requiretls(lab: Laboratory) -> None:
    """With a null return path the keyword is left out rather than the message given up."""
    notice = replace(message(REQUIRED), return_path=None)

    [outcome] = deliver(lab.settings(), notice, "u@no-keyword.test")

    assert in_words(outcome) == "delivered dane"


def test_observers_see_every_host_that_was_tried(lab: Laboratory) -> None:
    """In order, with what stood in the way."""
    watching = Watching()

    deliver(lab.settings(), message(REQUIRED), "u@two-hosts.test", watching=[watching])

    seen = [(attempt.host, attempt.refusal and attempt.refusal.value) for attempt in watching.attempts]
    assert seen == [("mx1.two-hosts.test", "requiretls-not-offered"), ("mx2.two-hosts.test", None)]
    assert watching.attempts[1].requiretls_sent


def test_a_receipt_says_what_was_proved(lab: Laboratory) -> None:
    """TLS version, certificate, the TLSA record or the policy."""
    by_dane, by_sts = deliver(lab.settings(), message(REQUIRED), "u@dane-ee.test", "u@sts.test")

    assert by_dane.receipt is not None
    assert by_dane.receipt.tls_version == "TLSv1.3"
    assert by_dane.receipt.tlsa is not None
    assert by_dane.receipt.tlsa.startswith("3 1 1 ")
    assert by_dane.receipt.sts_policy_id is None
    assert by_sts.receipt is not None
    assert by_sts.receipt.tlsa is None
    assert by_sts.receipt.sts_policy_id == "1"
