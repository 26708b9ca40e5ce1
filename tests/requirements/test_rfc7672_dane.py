"""DANE for SMTP (RFC 7672, with RFC 7671 section 10) against real servers and signed zones."""

from __future__ import annotations

import logging

import pytest

from requiretls_plugin.delivery.outcome import Disposition
from requiretls_plugin.observe.log import LOGGER
from requiretls_plugin.reason import Reason
from requiretls_plugin.requirement import Requirement
from requiretls_plugin.security import Security
from tests.delivery.delivering import Watching, deliver, in_words, message
from tests.lab.authority import Leaf
from tests.lab.domains import Domain, MailHost
from tests.lab.laboratory import Laboratory

REQUIRED, UNSTATED = Requirement.REQUIRED, Requirement.UNSTATED


@pytest.mark.requirement("7671-10.3-2")
def test_without_a_usable_record_an_ordinary_message_goes_over_unauthenticated_tls(lab: Laboratory) -> None:
    """The certificate is for another name, and nobody looks at it."""
    [outcome] = deliver(lab.settings(), message(UNSTATED), "u@unusable.test")

    assert in_words(outcome) == "delivered encrypted"
    [connection] = lab.destination("mx.unusable.test").connections
    assert connection.tls


@pytest.mark.requirement("7671-10.3-3")
def test_without_a_usable_record_and_without_tls_nothing_is_sent(lab: Laboratory) -> None:
    """The records say that there is TLS, so its absence is an attack."""
    [outcome] = deliver(lab.settings(), message(UNSTATED), "u@unusable-plain.test")

    assert (outcome.disposition, outcome.reason) == (Disposition.DEFERRED, Reason.STARTTLS_NOT_OFFERED)
    [connection] = lab.destination("mx.unusable-plain.test").connections
    assert connection.verbs == ["EHLO", "QUIT"]


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


@pytest.mark.requirement("7672-2.2.1-8")
def test_every_host_behind_a_secure_mx_record_has_its_own_tlsa_lookup(lab: Laboratory) -> None:
    """Two fail by theirs, and the third is proved by its own."""
    watching = Watching()

    [outcome] = deliver(lab.settings(), message(UNSTATED), "u@three.test", watching=[watching])

    assert [attempt.refusal for attempt in watching.attempts] == [Reason.DANE_MISMATCH] * 2 + [None]
    assert (outcome.host, outcome.security) == ("mx3.three.test", Security.DANE)


@pytest.mark.requirement("7672-4-1")
def test_during_a_change_of_keys_either_key_will_do(lab: Laboratory) -> None:
    """Records for both are published; the server changes when it likes."""
    server = lab.destination("mx.rollover.test")
    new = lab.authority.issue(Leaf(("mx.rollover.test",)))
    lab.publish(Domain("rollover.test", (MailHost(tlsa=("3 1 1", new.tlsa("3 1 1"))),)))

    [before] = deliver(lab.settings(), message(REQUIRED), "u@rollover.test")
    server.certificate = new
    [after] = deliver(lab.settings(), message(REQUIRED), "u@rollover.test")

    assert in_words(before) == in_words(after) == "delivered dane requiretls"


@pytest.mark.requirement("8461-2-1")
@pytest.mark.parametrize("requirement", [REQUIRED, UNSTATED], ids=lambda each: each.value)
def test_mta_sts_never_rescues_a_host_that_failed_dane(lab: Laboratory, requirement: Requirement) -> None:
    """The policy lists the host, and its certificate is one that MTA-STS takes."""
    [outcome] = deliver(lab.settings(), message(requirement), "u@sts-good-dane-bad.test")

    assert outcome.reason is Reason.DANE_MISMATCH
    server = lab.destination("mx.sts-good-dane-bad.test")
    assert ["MAIL" in connection.verbs for connection in server.connections] == [False]
