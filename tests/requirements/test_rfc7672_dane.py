"""DANE for SMTP (RFC 7672, with RFC 7671 section 10) against real servers and signed zones."""

from __future__ import annotations

import logging

import pytest

from requiretls_lab.authority import Leaf
from requiretls_lab.domains import Domain, MailHost
from requiretls_lab.laboratory import Laboratory
from requiretls_plugin.delivery.outcome import Disposition
from requiretls_plugin.observe.log import LOGGER
from requiretls_plugin.reason import Reason
from requiretls_plugin.requirement import Requirement
from requiretls_plugin.security import Security
from tests.delivery.delivering import Watching, deliver, in_words, message

REQUIRED, UNSTATED = Requirement.REQUIRED, Requirement.UNSTATED


USELESS = pytest.mark.parametrize("name", ["unknown-type", "unknown-usage", "pkix-ta", "pkix-ee"])


@pytest.mark.requirement("7671-10.3-2", "7671-14-1", "7671-4.1-1", "7671-4-2", "7672-2.2-3", "8689-4.2.1-8")
@USELESS
def test_without_a_usable_record_an_ordinary_message_goes_over_unauthenticated_tls(
    lab: Laboratory, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """Nobody vouches for the certificate, and the log does not pretend that anybody did."""
    with caplog.at_level(logging.INFO, LOGGER):
        [outcome] = deliver(lab.settings(), message(UNSTATED), f"u@{name}.test")

    assert in_words(outcome) == "delivered encrypted"
    [connection] = lab.destination(f"mx.{name}.test").connections
    assert connection.tls
    [line] = [text for text in caplog.messages if f"to=<u@{name}.test>" in text]
    assert ", tls=encrypted, " in line


@pytest.mark.requirement("7671-10.3-3", "7672-2.2-3", "7672-2.2.3-4")
@USELESS
def test_without_a_usable_record_and_without_tls_nothing_is_sent(lab: Laboratory, name: str) -> None:
    """The records say that there is TLS, so its absence is an attack."""
    [outcome] = deliver(lab.settings(), message(UNSTATED), f"u@{name}-plain.test")

    assert (outcome.disposition, outcome.reason) == (Disposition.DEFERRED, Reason.STARTTLS_NOT_OFFERED)
    [connection] = lab.destination(f"mx.{name}-plain.test").connections
    assert connection.verbs == ["EHLO", "QUIT"]


@pytest.mark.requirement("8689-4.2.1-8", "7672-2.2-4", "7672-2.2.1-9", "8689-2-13")
@USELESS
def test_without_a_usable_record_a_required_message_needs_a_certificate_of_a_trusted_ca(
    lab: Laboratory, name: str
) -> None:
    """That of the host is its own issuer."""
    [outcome] = deliver(lab.settings(), message(REQUIRED), f"u@{name}.test")

    assert in_words(outcome) == "failed 550 5.7.10 certificate-not-trusted"
    [connection] = lab.destination(f"mx.{name}.test").connections
    assert "MAIL" not in connection.verbs


@pytest.mark.requirement("7671-10.3-1")
def test_where_authentication_is_compulsory_and_nothing_can_give_it_nobody_connects(lab: Laboratory) -> None:
    """The MX record is unsigned, and its signed host has a PKIX usage only."""
    [outcome] = deliver(lab.settings(), message(REQUIRED), "u@unproven.test")

    assert (outcome.disposition, outcome.reason) == (Disposition.FAILED, Reason.NAME_NOT_PROVEN)
    assert lab.destination("mx.pkix-usage.test").connections == []


@pytest.mark.requirement("7672-2.2.1-6")
def test_the_log_has_the_mx_name_as_dns_gave_it(lab: Laboratory, caplog: pytest.LogCaptureFixture) -> None:
    """Not the name at the end of its alias, which the unsigned answer does not vouch for either."""
    with caplog.at_level(logging.INFO, LOGGER):
        [outcome] = deliver(lab.settings(), message(UNSTATED), "u@alias.test")

    assert outcome.disposition is Disposition.DELIVERED
    [line] = [text for text in caplog.messages if "to=<u@alias.test>" in text]
    assert "relay=alias.alias.test[" in line
    assert "mx.alias.test" not in line.replace("alias.alias.test", "")


@pytest.mark.requirement("7672-2.2.1-8", "7672-2.2-2")
def test_every_host_behind_a_secure_mx_record_has_its_own_tlsa_lookup(lab: Laboratory) -> None:
    """Two fail by theirs, and the third is proved by its own."""
    watching = Watching()

    [outcome] = deliver(lab.settings(), message(UNSTATED), "u@three.test", watching=[watching])

    assert [attempt.refusal for attempt in watching.attempts] == [Reason.DANE_MISMATCH] * 2 + [None]
    assert (outcome.host, outcome.security) == ("mx3.three.test", Security.DANE)


@pytest.mark.requirement("7672-4-1", "7671-8.1-1")
def test_during_a_change_of_keys_either_key_will_do(lab: Laboratory) -> None:
    """Records for both are published; the server changes when it likes, but not after the new one is gone."""
    server = lab.destination("mx.rollover.test")
    old_record = server.certificate.tlsa("3 1 1")
    new = lab.authority.issue(Leaf(("mx.rollover.test",)))
    lab.publish(Domain("rollover.test", (MailHost(tlsa=("3 1 1", new.tlsa("3 1 1"))),)))
    settings = lab.settings()

    [before] = deliver(settings, message(REQUIRED), "u@rollover.test")
    server.certificate = new
    [after] = deliver(settings, message(REQUIRED), "u@rollover.test")
    lab.publish(Domain("rollover.test", (MailHost(tlsa=(old_record,)),)))
    [too_early] = deliver(settings, message(REQUIRED), "u@rollover.test")

    assert in_words(before) == in_words(after) == "delivered dane requiretls"
    assert in_words(too_early) == "failed 550 5.7.10 dane-mismatch"


@pytest.mark.requirement("8689-4.2.1-7", "7672-3.1.1-1", "7672-3.1.1-2", "7672-3.2.1-1")
def test_a_matching_key_is_enough_under_requiretls(lab: Laboratory) -> None:
    """The certificate expired yesterday and is for another name."""
    [outcome] = deliver(lab.settings(), message(REQUIRED), "u@other-name.test")

    assert in_words(outcome) == "delivered dane requiretls"


@pytest.mark.requirement("7672-8.1-1", "7671-10.2-1", "7671-7-3", "8461-7.1-2")
@pytest.mark.parametrize("name", ["signed-alias", "signed-alias-ta"])
def test_the_tlsa_base_domain_is_in_sni_and_names_the_host(lab: Laboratory, name: str) -> None:
    """Behind a secure alias that is the name at its end."""
    [outcome] = deliver(lab.settings(), message(REQUIRED), f"u@{name}.test")

    assert (in_words(outcome), outcome.host) == ("delivered dane requiretls", f"alias.{name}.test")
    [accepted] = lab.destination(f"mx.{name}.test").messages
    assert accepted.sni == f"mx.{name}.test"


@pytest.mark.requirement("7672-2.1.2-5", "7672-2.2-7", "7672-10-1", "8689-8.4-1")
@pytest.mark.parametrize(
    ("domain", "told"),
    [
        pytest.param("tlsa-down.test", "deferred 451 4.4.3 dns-failure", id="SERVFAIL"),
        pytest.param("tlsa-bogus.test", "deferred 451 4.4.3 dnssec-bogus", id="bogus"),
    ],
)
def test_where_the_tlsa_lookup_fails_nobody_connects_unless_policy_is_waived(
    lab: Laboratory, domain: str, told: str
) -> None:
    """Who can suppress the answer must not be able to switch DANE off; `TLS-Required: No` never asked."""
    host = lab.destination(f"mx.{domain}")

    for requirement in (UNSTATED, REQUIRED):
        [outcome] = deliver(lab.settings(), message(requirement), f"u@{domain}")
        assert in_words(outcome) == told
    assert host.connections == []

    [outcome] = deliver(lab.settings(), message(Requirement.OPTIONAL), f"u@{domain}")
    assert in_words(outcome) == "delivered encrypted"


@pytest.mark.requirement("7672-2.1.2-2", "7672-2.1.2-4")
@pytest.mark.parametrize(
    ("domain", "host"),
    [
        pytest.param("second-good.test", "mx2.second-good.test", id="TLSA lookup fails"),
        pytest.param("address-down.test", "mx.address-down.test", id="address lookup fails"),
    ],
)
def test_a_host_that_cannot_be_judged_is_passed_over(lab: Laboratory, domain: str, host: str) -> None:
    """The next one gets the message, and the first is not connected to."""
    [outcome] = deliver(lab.settings(), message(UNSTATED), f"u@{domain}")

    assert (in_words(outcome), outcome.host) == ("delivered dane", host)
    assert lab.destination("mx1.second-good.test").connections == []


@pytest.mark.requirement("8461-2-1")
@pytest.mark.parametrize("requirement", [REQUIRED, UNSTATED], ids=lambda each: each.value)
def test_mta_sts_never_rescues_a_host_that_failed_dane(lab: Laboratory, requirement: Requirement) -> None:
    """The policy lists the host, and its certificate is one that MTA-STS takes."""
    [outcome] = deliver(lab.settings(), message(requirement), "u@sts-good-dane-bad.test")

    assert outcome.reason is Reason.DANE_MISMATCH
    server = lab.destination("mx.sts-good-dane-bad.test")
    assert ["MAIL" in connection.verbs for connection in server.connections] == [False]
