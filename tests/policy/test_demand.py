"""What a session has to prove: the table of verdicts, row by row."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.level import Level
from requiretls_plugin.policy.demand import Demand, Rules, demand_for
from requiretls_plugin.policy.evidence import Evidence, NameProof
from requiretls_plugin.policy.next_hop import (
    DomainHop,
    Login,
    NamedHop,
    Protocol,
    UNIXSocket,
    Wrapping,
    parse_local_hop,
)
from requiretls_plugin.policy.refusal import Refusal, Sureness
from requiretls_plugin.policy.sts_policy import Mode
from requiretls_plugin.policy.tlsa_lookup import DANERecords, HostLookupFailed, HostUnknown
from requiretls_plugin.requirement import Requirement
from requiretls_plugin.security import Security
from requiretls_plugin.server_address import ServerAddress
from tests.policy.evidence_by_hand import (
    DOMAIN,
    ENFORCED,
    ENFORCED_ELSEWHERE,
    HOST,
    MATCHABLE,
    NO_TLSA,
    STS_DOWN,
    TESTED,
    TESTED_ELSEWHERE,
    TLSA_BOGUS,
    TLSA_TIMED_OUT,
    UNUSABLE,
    USABLE,
    USELESS,
    about,
    behind_mx,
    literal,
    named,
    smarthost,
    sts,
    without_mx,
)

REQUIRED, UNSTATED, OPTIONAL = Requirement.REQUIRED, Requirement.UNSTATED, Requirement.OPTIONAL

LMTP_SOCKET = UNIXSocket("/run/lmtp")
LMTP_PORT = ServerAddress.parse("127.0.0.1:24")
TRUSTING = Rules(trusted_local_hops=frozenset({LMTP_SOCKET, LMTP_PORT}))
LOGIN = Login("list", "secret")


def verdict(
    requirement: Requirement,
    evidence: Evidence,
    level: Level = Level.ENFORCE,
    rules: Rules | None = None,
) -> Demand | Refusal:
    return demand_for(requirement, evidence, evidence.hosts[0], level, rules or Rules())


def in_words(demand: Demand | Refusal) -> str:
    """`reason, sureness` of a refusal; else the security and everything that is demanded or allowed."""
    if isinstance(demand, Refusal):
        return f"{demand.reason.value}, {demand.sureness.value}"
    words = {
        "tls": demand.needs_tls,
        "dane": bool(demand.tlsa),
        "pkix": demand.pkix_name is not None,
        "requiretls": demand.requiretls,
        "passes-requiretls": demand.pass_requiretls,
        "else-cleartext": demand.cleartext_after_tls_failure,
        "login": demand.login is not None,
    }
    return f"{demand.security.value}: {' '.join(word for word, said in words.items() if said)}".rstrip(": ")


ALL_OF_IT = "requiretls passes-requiretls"

VERDICTS_REQUIRED = [
    pytest.param(
        behind_mx(secure=True, dane=MATCHABLE), f"dane: tls dane {ALL_OF_IT}", id="secure MX, usable TLSA"
    ),
    pytest.param(behind_mx(secure=True), f"dnssec-pkix: tls pkix {ALL_OF_IT}", id="secure MX, no TLSA"),
    pytest.param(
        behind_mx(secure=True, dane=USELESS),
        f"dnssec-pkix: tls pkix {ALL_OF_IT}",
        id="secure MX, no TLSA record usable",
    ),
    pytest.param(
        behind_mx(secure=True, dane=MATCHABLE, policy=ENFORCED),
        f"dane: tls dane pkix {ALL_OF_IT}",
        id="secure MX, usable TLSA and MTA-STS enforce: both",
    ),
    pytest.param(
        behind_mx(secure=True, dane=MATCHABLE, policy=ENFORCED_ELSEWHERE),
        "sts-mismatch, proved",
        id="secure MX, usable TLSA, but MTA-STS enforces other hosts",
    ),
    pytest.param(
        behind_mx(secure=True, policy=TESTED_ELSEWHERE),
        f"dnssec-pkix: tls pkix {ALL_OF_IT}",
        id="secure MX, MTA-STS testing for other hosts",
    ),
    pytest.param(
        behind_mx(secure=True, policy=STS_DOWN),
        f"dnssec-pkix: tls pkix {ALL_OF_IT}",
        id="secure MX, MTA-STS policy not to be had",
    ),
    pytest.param(
        behind_mx(secure=False, policy=ENFORCED),
        f"sts-pkix: tls pkix {ALL_OF_IT}",
        id="unsigned MX, MTA-STS enforce names the host",
    ),
    pytest.param(
        behind_mx(secure=False, policy=ENFORCED_ELSEWHERE),
        "sts-mismatch, proved",
        id="unsigned MX, MTA-STS enforce names other hosts",
    ),
    pytest.param(
        behind_mx(secure=False, policy=TESTED),
        "name-not-proven, proved",
        id="unsigned MX, MTA-STS testing names the host",
    ),
    pytest.param(
        behind_mx(secure=False, policy=STS_DOWN),
        "sts-unavailable, not-judged",
        id="unsigned MX, MTA-STS announced and not to be had",
    ),
    pytest.param(behind_mx(secure=False), "name-not-proven, proved", id="unsigned MX, nothing else"),
    pytest.param(
        behind_mx(secure=False, dane=MATCHABLE),
        "name-not-proven, proved",
        id="half-DANE: unsigned MX, signed host with a usable TLSA",
    ),
    pytest.param(
        behind_mx(secure=False, dane=MATCHABLE, policy=ENFORCED),
        f"sts-pkix: tls dane pkix {ALL_OF_IT}",
        id="half-DANE and MTA-STS enforce: both, and MTA-STS proves the name",
    ),
    pytest.param(
        without_mx(secure=False),
        f"implicit-pkix: tls pkix {ALL_OF_IT}",
        id="no MX: the domain itself",
    ),
    pytest.param(
        without_mx(secure=True, dane=DANERecords(DOMAIN, (USABLE,))),
        f"dane: tls dane {ALL_OF_IT}",
        id="no MX, signed, usable TLSA",
    ),
    pytest.param(
        without_mx(secure=False, policy=ENFORCED),
        "sts-mismatch, proved",
        id="no MX, MTA-STS enforces another host",
    ),
    pytest.param(
        behind_mx(secure=True, dane=TLSA_TIMED_OUT), "dns-failure, not-judged", id="TLSA lookup failed"
    ),
    pytest.param(
        behind_mx(secure=True, dane=TLSA_BOGUS, policy=ENFORCED),
        "dnssec-bogus, not-judged",
        id="TLSA bogus: MTA-STS does not rescue it",
    ),
    pytest.param(
        about(HostLookupFailed(bogus=False, why="timed out")),
        "dns-failure, not-judged",
        id="address lookup failed",
    ),
    pytest.param(
        about(HostLookupFailed(bogus=True, why="no signature")),
        "dnssec-bogus, not-judged",
        id="addresses bogus",
    ),
    pytest.param(
        about(HostUnknown(name_exists=True, secure=True)), "host-unreachable, not-judged", id="no address"
    ),
    pytest.param(literal(), "name-not-proven, proved", id="address literal"),
    pytest.param(named(smarthost()), f"named-pkix: tls pkix {ALL_OF_IT}", id="smarthost"),
    pytest.param(
        named(smarthost(), dane=MATCHABLE), f"dane: tls dane {ALL_OF_IT}", id="smarthost with usable TLSA"
    ),
    pytest.param(
        named(smarthost("192.0.2.1:587")),
        "configuration, our-fault",
        id="smarthost named by address: our mistake, nobody's bounce",
    ),
]


@pytest.mark.requirement(
    "8689-2-12", "8689-2-13", "8689-4.2.1-2", "8689-4.2.1-3", "8689-4.2.1-6", "8689-4.2.1-7",
    "8689-4.2.1-8", "8689-4.2.1-23", "7672-2.2-4", "7672-2.2.1-5", "7672-2.2.1-9", "7672-2.2-9",
)  # fmt: skip
@pytest.mark.parametrize(("evidence", "expected"), VERDICTS_REQUIRED)
def test_a_required_message_demands(evidence: Evidence, expected: str) -> None:
    """Every row that RFC 8689 section 4.2.1 has a say in."""
    assert in_words(verdict(REQUIRED, evidence)) == expected


VERDICTS_UNSTATED = [
    pytest.param(behind_mx(secure=True, dane=MATCHABLE), "dane: tls dane", id="secure MX, usable TLSA"),
    pytest.param(behind_mx(secure=True), "cleartext", id="secure MX, no TLSA: TLS if offered"),
    pytest.param(behind_mx(secure=False), "cleartext", id="unsigned, nothing published: TLS if offered"),
    pytest.param(
        behind_mx(secure=True, dane=USELESS), "encrypted: tls", id="no TLSA record usable: TLS, nobody proved"
    ),
    pytest.param(
        behind_mx(secure=True, dane=USELESS, policy=ENFORCED),
        "sts-pkix: tls pkix",
        id="no TLSA record usable, MTA-STS enforce: PKIX",
    ),
    pytest.param(
        behind_mx(secure=False, dane=MATCHABLE),
        "encrypted: tls dane",
        id="half-DANE: the host is held to it, and it counts as no more than encryption",
    ),
    pytest.param(
        behind_mx(secure=False, dane=MATCHABLE, policy=ENFORCED),
        "sts-pkix: tls dane pkix",
        id="half-DANE and MTA-STS enforce: both",
    ),
    pytest.param(
        behind_mx(secure=True, dane=MATCHABLE, policy=ENFORCED),
        "dane: tls dane pkix",
        id="usable TLSA and MTA-STS enforce: both",
    ),
    pytest.param(behind_mx(secure=False, policy=ENFORCED), "sts-pkix: tls pkix", id="MTA-STS enforce"),
    pytest.param(
        behind_mx(secure=False, policy=ENFORCED_ELSEWHERE),
        "sts-mismatch, not-judged",
        id="MTA-STS enforce for other hosts: refused, for now",
    ),
    pytest.param(behind_mx(secure=False, policy=TESTED), "cleartext", id="MTA-STS testing"),
    pytest.param(
        behind_mx(secure=False, policy=TESTED_ELSEWHERE), "cleartext", id="MTA-STS testing for other hosts"
    ),
    pytest.param(behind_mx(secure=False, policy=STS_DOWN), "cleartext", id="MTA-STS policy not to be had"),
    pytest.param(
        behind_mx(secure=True, dane=TLSA_TIMED_OUT), "dns-failure, not-judged", id="TLSA lookup failed"
    ),
    pytest.param(
        behind_mx(secure=True, dane=TLSA_TIMED_OUT, policy=ENFORCED),
        "dns-failure, not-judged",
        id="TLSA lookup failed: MTA-STS does not rescue it",
    ),
    pytest.param(behind_mx(secure=True, dane=TLSA_BOGUS), "dnssec-bogus, not-judged", id="TLSA bogus"),
    pytest.param(literal(), "cleartext", id="address literal"),
    pytest.param(named(smarthost()), "cleartext", id="smarthost: TLS if offered"),
    pytest.param(
        named(smarthost("mx.recipient.example:465")), "encrypted: tls", id="smarthost at 465: TLS at once"
    ),
    pytest.param(
        named(smarthost(), policy=ENFORCED), "sts-pkix: tls pkix", id="smarthost with MTA-STS of its own"
    ),
    pytest.param(named(smarthost("192.0.2.1:25")), "cleartext", id="smarthost named by address"),
]


@pytest.mark.requirement(
    "7672-2.2-1", "7672-2.2-3", "7672-2.2-5", "7672-2.2-7", "7672-2.1.2-4", "7672-2.1.2-5",
    "7672-2.2.1-7", "7672-3.2-1", "8461-3.3-10", "8461-4-1", "8461-5-2", "8461-5-5",
)  # fmt: skip
@pytest.mark.parametrize(("evidence", "expected"), VERDICTS_UNSTATED)
def test_a_message_that_asks_for_nothing_demands_what_is_published(evidence: Evidence, expected: str) -> None:
    """DANE and MTA-STS of the recipient domain, and opportunistic TLS without them."""
    assert in_words(verdict(UNSTATED, evidence)) == expected


WAIVED = [
    pytest.param(behind_mx(secure=True, dane=MATCHABLE), id="usable TLSA"),
    pytest.param(behind_mx(secure=True, dane=USELESS), id="unusable TLSA"),
    pytest.param(behind_mx(secure=True, dane=TLSA_BOGUS), id="bogus TLSA"),
    pytest.param(behind_mx(secure=True, dane=TLSA_TIMED_OUT), id="failed TLSA lookup"),
    pytest.param(behind_mx(secure=False, policy=ENFORCED), id="MTA-STS enforce"),
    pytest.param(behind_mx(secure=False, policy=ENFORCED_ELSEWHERE), id="MTA-STS enforce for other hosts"),
    pytest.param(without_mx(secure=True, policy=ENFORCED), id="no MX, MTA-STS enforce for another host"),
    pytest.param(literal(), id="address literal"),
]


@pytest.mark.requirement("8689-3-1", "8689-4.2.2-2", "8689-8.4-1", "7672-2.2-6")
@pytest.mark.parametrize("evidence", WAIVED)
def test_tls_required_no_waives_all_that_the_recipient_published(evidence: Evidence) -> None:
    """TLS if it works, cleartext if it does not."""
    assert in_words(verdict(OPTIONAL, evidence)) == "cleartext: else-cleartext"


@pytest.mark.parametrize("evidence", [case for case in VERDICTS_UNSTATED if "smarthost" in (case.id or "")])
@pytest.mark.requirement("8689-4.2.2-5")
def test_tls_required_no_never_touches_a_smarthost(evidence: object, expected: object = None) -> None:
    """What the operator chose is no policy of the recipient."""
