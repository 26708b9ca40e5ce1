"""Which host is connected to, and by which name it is known (RFC 5321 section 5.1, RFC 6125)."""

from __future__ import annotations

import pytest

from requiretls_lab.laboratory import Laboratory
from requiretls_plugin.requirement import Requirement
from tests.delivery.delivering import deliver, in_words, message


@pytest.mark.requirement("5321-5.1-5", "8689-4.2.1-1")
@pytest.mark.parametrize("requirement", list(Requirement), ids=lambda each: each.value)
def test_beside_an_mx_record_the_domains_own_address_is_nobody(
    lab: Laboratory, requirement: Requirement
) -> None:
    """Though its host is dead, and a server listens there."""
    [outcome] = deliver(lab.settings(), message(requirement), "u@dead-host.test")

    assert in_words(outcome) == "deferred 451 4.4.1 host-unreachable"
    assert lab.destination("dead-host.test").connections == []


@pytest.mark.requirement("5321-5.1-6")
def test_a_domain_whose_only_host_does_not_exist_is_a_failure(lab: Laboratory) -> None:
    """The sender hears at once."""
    [outcome] = deliver(lab.settings(), message(), "u@no-such-host.test")

    assert in_words(outcome) == "failed 550 5.4.4 host-unreachable"


@pytest.mark.requirement("6125-6.2.1-1")
def test_the_name_by_which_a_server_greets_is_no_name_to_look_for(lab: Laboratory) -> None:
    """Its certificate is for that name, and MX knows it by another."""
    [outcome] = deliver(lab.settings(), message(Requirement.REQUIRED), "u@greets-otherwise.test")

    assert in_words(outcome) == "failed 550 5.7.10 certificate-name-mismatch"
    assert lab.destination("mx.greets-otherwise.test").messages == []


@pytest.mark.requirement("6125-6.4.4-1", "8689-4.2.1-6")
def test_a_common_name_is_no_name(lab: Laboratory) -> None:
    """Not even where the certificate has no other (RFC 9525)."""
    [outcome] = deliver(lab.settings(), message(Requirement.REQUIRED), "u@common-name.test")

    assert in_words(outcome) == "failed 550 5.7.10 certificate-name-mismatch"
