"""What a session has to prove: the table of verdicts, row by row."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.level import Level
from requiretls_plugin.policy.answers import TLSARecord
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
    ADDRESS,
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
ANCHOR = TLSARecord(2, 1, 1, bytes(32))


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


NAMED = [
    pytest.param(named(smarthost()), id="plain"),
    pytest.param(named(smarthost(), dane=MATCHABLE), id="usable TLSA"),
    pytest.param(named(smarthost(), dane=TLSA_BOGUS), id="bogus TLSA"),
    pytest.param(named(smarthost(), policy=ENFORCED), id="MTA-STS enforce"),
    pytest.param(named(smarthost("mx.recipient.example:465")), id="implicit TLS"),
    pytest.param(named(NamedHop(smarthost().server, login=LOGIN)), id="with a login"),
]


@pytest.mark.requirement("8689-4.2.2-5")
@pytest.mark.parametrize("evidence", NAMED)
def test_tls_required_no_never_touches_a_smarthost(evidence: Evidence) -> None:
    """What the operator chose is no policy of the recipient."""
    assert verdict(OPTIONAL, evidence) == verdict(UNSTATED, evidence)


@pytest.mark.requirement("8689-4.2.2-5")
@pytest.mark.parametrize("evidence", WAIVED)
def test_tls_required_no_means_nothing_where_the_operator_says_so(evidence: Evidence) -> None:
    """With `tls_required_no.honor = false` the header field is only a header field."""
    rules = Rules(honor_tls_required_no=False)

    assert verdict(OPTIONAL, evidence, rules=rules) == verdict(UNSTATED, evidence)


@pytest.mark.requirement("8689-4.2.1-3")
@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        pytest.param(
            behind_mx(secure=False, policy=TESTED), f"sts-pkix: tls pkix {ALL_OF_IT}", id="names the host"
        ),
        pytest.param(
            behind_mx(secure=False, policy=TESTED_ELSEWHERE),
            "name-not-proven, proved",
            id="names other hosts",
        ),
        pytest.param(
            behind_mx(secure=False, policy=sts(Mode.NONE, HOST.text)),
            "name-not-proven, proved",
            id="mode none proves nothing",
        ),
        pytest.param(
            behind_mx(secure=False, dane=MATCHABLE, policy=TESTED),
            f"sts-pkix: tls dane pkix {ALL_OF_IT}",
            id="half-DANE beside it: both",
        ),
    ],
)
def test_a_testing_policy_proves_names_only_if_the_operator_accepts_it(
    evidence: Evidence, expected: str
) -> None:
    """RFC 8689 leaves it open; the strict reading is the default, `accept_testing` the other."""
    assert in_words(verdict(REQUIRED, evidence, rules=Rules(accept_testing=True))) == expected
    assert in_words(verdict(REQUIRED, evidence)) == "name-not-proven, proved"


LEVELS = [
    pytest.param(behind_mx(secure=False), "cleartext: passes-requiretls", "encrypted: tls passes-requiretls"),
    pytest.param(behind_mx(secure=True, dane=MATCHABLE), *["dane: tls dane passes-requiretls"] * 2),
    pytest.param(behind_mx(secure=False, policy=ENFORCED), *["sts-pkix: tls pkix passes-requiretls"] * 2),
    pytest.param(behind_mx(secure=False, policy=ENFORCED_ELSEWHERE), *["sts-mismatch, not-judged"] * 2),
    pytest.param(behind_mx(secure=True, dane=TLSA_BOGUS), *["dnssec-bogus, not-judged"] * 2),
    pytest.param(named(smarthost()), "cleartext: passes-requiretls", "encrypted: tls passes-requiretls"),
]


@pytest.mark.parametrize(
    ("evidence", "opportunistic", "with_starttls"),
    LEVELS,
    ids=["nothing published", "usable TLSA", "MTA-STS", "STS mismatch", "bogus TLSA", "smarthost"],
)
def test_a_relaxed_level_lets_a_required_message_go_by_published_policy(
    evidence: Evidence, opportunistic: str, with_starttls: str
) -> None:
    """REQUIRETLS is passed on where it can be; what the recipient published still holds."""
    assert in_words(verdict(REQUIRED, evidence, Level.OPPORTUNISTIC)) == opportunistic
    assert in_words(verdict(REQUIRED, evidence, Level.OPPORTUNISTIC_STARTTLS)) == with_starttls


@pytest.mark.parametrize("level", Level)
@pytest.mark.parametrize("requirement", [UNSTATED, OPTIONAL])
@pytest.mark.parametrize("evidence", WAIVED)
def test_a_level_says_nothing_about_other_messages(
    requirement: Requirement, level: Level, evidence: Evidence
) -> None:
    """Levels are about REQUIRETLS."""
    assert verdict(requirement, evidence, level) == verdict(requirement, evidence)


def lmtp(server: UNIXSocket | ServerAddress = LMTP_SOCKET) -> Evidence:
    return named(NamedHop(server, protocol=Protocol.LMTP))


LOCAL = [
    pytest.param(lmtp(), "cleartext: passes-requiretls", "cleartext", id="LMTP at a trusted socket"),
    pytest.param(
        lmtp(LMTP_PORT), "cleartext: passes-requiretls", "cleartext", id="LMTP at a trusted address"
    ),
    pytest.param(
        lmtp(UNIXSocket("/run/other")),
        "name-not-proven, proved",
        "configuration, our-fault",
        id="LMTP at another socket",
    ),
    pytest.param(
        lmtp(ServerAddress.parse("127.0.0.1:25")),
        "name-not-proven, proved",
        "configuration, our-fault",
        id="LMTP at another port",
    ),
    pytest.param(
        lmtp(ServerAddress.parse("mx.recipient.example:24")),
        "name-not-proven, proved",
        "configuration, our-fault",
        id="LMTP at a host known by name",
    ),
    pytest.param(
        named(NamedHop(LMTP_SOCKET)),
        "name-not-proven, proved",
        "cleartext",
        id="SMTP at a trusted socket: it would travel on",
    ),
]


@pytest.mark.parametrize(("evidence", "required", "others"), LOCAL)
def test_lmtp_and_sockets_are_for_trusted_local_hops(evidence: Evidence, required: str, others: str) -> None:
    """Final delivery to a server the operator vouches for needs no TLS; nothing else is excused."""
    assert in_words(verdict(REQUIRED, evidence, rules=TRUSTING)) == required
    assert in_words(verdict(UNSTATED, evidence, rules=TRUSTING)) == others
    assert in_words(verdict(OPTIONAL, evidence, rules=TRUSTING)) == others


WHERE_AND_HOW = [
    pytest.param(behind_mx(secure=True), 25, (ADDRESS,), "", id="MX host"),
    pytest.param(named(smarthost()), 587, (ADDRESS,), "", id="smarthost"),
    pytest.param(named(smarthost("mx.recipient.example:465")), 465, (ADDRESS,), "TLS at once", id="465"),
    pytest.param(lmtp(LMTP_PORT), 24, (LMTP_PORT.host,), "LMTP", id="LMTP over TCP"),
    pytest.param(lmtp(), 0, (LMTP_SOCKET,), "LMTP", id="LMTP at a socket"),
    pytest.param(named(NamedHop(LMTP_SOCKET)), 0, (LMTP_SOCKET,), "", id="SMTP at a socket"),
]


@pytest.mark.parametrize(("evidence", "port", "addresses", "how"), WHERE_AND_HOW)
def test_a_demand_says_where_to_connect_and_what_is_spoken_there(
    evidence: Evidence, port: int, addresses: tuple[object, ...], how: str
) -> None:
    """The port of the hop, the host's addresses or the socket itself, and the operator's protocol."""
    demand = verdict(UNSTATED, evidence, rules=TRUSTING)

    assert isinstance(demand, Demand)
    assert demand.host == evidence.hosts[0].host
    assert (demand.port, demand.addresses) == (port, addresses)
    assert demand.implicit_tls == (how == "TLS at once")
    assert demand.lmtp == (how == "LMTP")


TRIALS = [
    pytest.param(behind_mx(secure=False, policy=TESTED), HOST, id="mode testing lists the host"),
    pytest.param(behind_mx(secure=True, dane=MATCHABLE, policy=TESTED), HOST, id="beside DANE"),
    pytest.param(behind_mx(secure=False, policy=TESTED_ELSEWHERE), None, id="lists other hosts"),
    pytest.param(behind_mx(secure=False, policy=ENFORCED), None, id="enforced: no trial any more"),
    pytest.param(behind_mx(secure=False, policy=sts(Mode.NONE, HOST.text)), None, id="mode none"),
    pytest.param(behind_mx(secure=False), None, id="no policy"),
    pytest.param(replace(literal(), sts=TESTED), None, id="an address matches no policy"),
]


@pytest.mark.parametrize(("evidence", "name"), TRIALS)
def test_a_testing_policy_is_tried_where_reports_are_made_and_decides_nothing(
    evidence: Evidence, name: DomainName | None
) -> None:
    """RFC 8461 section 5: what would have failed is reported, the message goes all the same."""
    demand = verdict(UNSTATED, evidence)
    tried = verdict(UNSTATED, evidence, rules=Rules(report_testing=True))

    assert isinstance(demand, Demand)
    assert demand.trial_name is None
    assert tried == replace(demand, trial_name=name)


def test_what_is_refused_is_not_tried() -> None:
    """A failed TLSA lookup refuses the host, whatever a policy in mode testing says."""
    evidence = behind_mx(secure=True, dane=TLSA_TIMED_OUT, policy=TESTED)

    assert (
        in_words(verdict(UNSTATED, evidence, rules=Rules(report_testing=True))) == "dns-failure, not-judged"
    )


REFUSED_BECAUSE = [
    pytest.param(
        REQUIRED, about(HostUnknown(name_exists=True, secure=True)), "has no address", id="no address"
    ),
    pytest.param(
        REQUIRED,
        about(HostLookupFailed(bogus=False, why="timed out")),
        "address lookup: timed out",
        id="address lookup failed",
    ),
    pytest.param(
        UNSTATED,
        behind_mx(secure=True, dane=TLSA_TIMED_OUT),
        "TLSA lookup: timed out",
        id="TLSA lookup failed",
    ),
    pytest.param(
        UNSTATED,
        behind_mx(secure=False, policy=ENFORCED_ELSEWHERE),
        "the domain's MTA-STS policy does not list the host",
        id="MTA-STS enforces other hosts",
    ),
    pytest.param(
        UNSTATED,
        replace(literal(), sts=ENFORCED),
        "the domain's MTA-STS policy does not list the host",
        id="an address matches no policy",
    ),
    pytest.param(
        REQUIRED,
        behind_mx(secure=False),
        "neither DNSSEC nor an MTA-STS policy vouches for the host name",
        id="name not proven",
    ),
    pytest.param(
        REQUIRED,
        behind_mx(secure=False, policy=STS_DOWN),
        "name not proven by DNSSEC, and the MTA-STS policy cannot be had: connection refused",
        id="MTA-STS announced and not to be had",
    ),
    pytest.param(REQUIRED, literal(), "an address has no name that could be proved", id="address literal"),
    pytest.param(
        REQUIRED,
        named(smarthost("192.0.2.1:587")),
        "a server named by its address cannot prove a name; name it by its host name",
        id="smarthost named by address",
    ),
    pytest.param(
        UNSTATED,
        named(NamedHop(ServerAddress.parse("192.0.2.1:587"), login=LOGIN)),
        "a password is not given to a server named by its address: name it by its host name",
        id="login at a server named by address",
    ),
    pytest.param(
        UNSTATED,
        named(NamedHop(LMTP_SOCKET, login=LOGIN)),
        "a password never goes to a server that proves no name",
        id="login at a socket",
    ),
    pytest.param(
        REQUIRED,
        lmtp(UNIXSocket("/run/other")),
        "REQUIRETLS mail may go to a local server only by LMTP, and if the settings trust it",
        id="REQUIRETLS mail for a server nobody vouches for",
    ),
    pytest.param(
        UNSTATED,
        lmtp(UNIXSocket("/run/other")),
        "LMTP and UNIX sockets are for servers listed in delivery.trusted_local_hops",
        id="a server nobody vouches for",
    ),
]


@pytest.mark.parametrize(("requirement", "evidence", "why"), REFUSED_BECAUSE)
def test_a_refusal_names_the_host_and_says_why_it_gets_nothing(
    requirement: Requirement, evidence: Evidence, why: str
) -> None:
    """The sentence that operators read in the log and senders in the notice."""
    refusal = verdict(requirement, evidence, rules=TRUSTING)

    assert isinstance(refusal, Refusal)
    assert refusal.host == str(evidence.hosts[0].host)
    assert refusal.why == why


@pytest.mark.parametrize(
    "text", ["unix:relative", "unix:", "mail.example:24", "localhost", "127.0.0.1:0", "", "[::1]:x"]
)
def test_a_trusted_local_hop_is_named_by_path_or_address(text: str) -> None:
    """A name could be made somebody else's by whoever forges DNS."""
    with pytest.raises(ValueError):  # noqa: PT011 - it is ours for settings, with several texts
        parse_local_hop(text)


def test_a_trusted_local_hop_reads_as_it_is_written() -> None:
    """What `str` shows is what settings take."""
    for text in ("unix:/run/lmtp", "127.0.0.1:24", "[::1]:24"):
        assert str(parse_local_hop(text)) == text


@pytest.mark.parametrize("requirement", Requirement)
@pytest.mark.parametrize("level", Level)
@pytest.mark.parametrize(
    "dane", [NO_TLSA, MATCHABLE, USELESS], ids=["no TLSA", "usable TLSA", "useless TLSA"]
)
@pytest.mark.parametrize("port", [25, 465, 587])
def test_a_password_is_only_for_a_server_that_proves_its_name(
    requirement: Requirement, level: Level, dane: DANERecords, port: int
) -> None:
    """Whatever the message asks for and however its destination is relaxed."""
    hop = NamedHop(ServerAddress(HOST, port), login=LOGIN)

    demand = verdict(requirement, named(hop, dane=dane), level)

    assert isinstance(demand, Demand)
    assert demand.login == LOGIN
    assert demand.authenticated
    assert demand.security is (Security.DANE if dane is MATCHABLE else Security.NAMED_PKIX)
    assert demand.needs_tls
    assert not demand.cleartext_after_tls_failure


@pytest.mark.parametrize("requirement", Requirement)
def test_a_server_named_by_address_gets_no_password(requirement: Requirement) -> None:
    """An address proves nothing, and the mistake is in our settings."""
    hop = NamedHop(ServerAddress.parse("192.0.2.1:587"), login=LOGIN)

    assert in_words(verdict(requirement, named(hop))) == "configuration, our-fault"


def test_a_password_shows_nowhere() -> None:
    """Neither in a hop nor in a demand that somebody logs."""
    evidence = named(NamedHop(smarthost().server, login=LOGIN))

    assert "secret" not in repr(evidence) + repr(verdict(UNSTATED, evidence))


@pytest.mark.requirement("7672-8.1-1", "8461-7.1-2", "7672-3.2.2-1", "7672-3.2.2-2", "7672-3.2.2-3")
def test_the_tlsa_base_domain_goes_into_sni_and_is_the_first_reference_name() -> None:
    """The domain itself and its alias target are names for DANE-TA too, behind a secure MX."""
    target = DomainName("host.provider.example")
    dane = DANERecords(target, (ANCHOR,))
    demand = verdict(REQUIRED, behind_mx(secure=True, dane=dane, policy=ENFORCED))

    assert isinstance(demand, Demand)
    assert demand.sni == target
    assert demand.tlsa_names == (target, DOMAIN)
    assert demand.pkix_name == HOST


@pytest.mark.requirement("7672-3.2.1-1")
def test_where_no_name_is_checked_domains_that_share_a_host_demand_the_same() -> None:
    """DANE-EE looks at no name, so a connection for one domain may serve another."""
    demand = verdict(REQUIRED, behind_mx(secure=True, dane=DANERecords(HOST, (USABLE,))))

    assert isinstance(demand, Demand)
    assert demand.tlsa_names == (HOST,)


@pytest.mark.requirement("7672-3.2.2-4")
def test_behind_an_unsigned_mx_only_the_host_is_a_reference_name() -> None:
    """Whoever forged the MX would choose the domain's name otherwise."""
    demand = verdict(UNSTATED, behind_mx(secure=False, dane=DANERecords(HOST, (ANCHOR,))))

    assert isinstance(demand, Demand)
    assert demand.tlsa_names == (HOST,)


@pytest.mark.requirement("7672-3.2.2-5")
def test_a_domain_without_mx_is_a_reference_name_at_its_alias_target() -> None:
    """The domain is its own host there, whatever signs its address record."""
    target = DomainName("host.provider.example")
    demand = verdict(UNSTATED, without_mx(secure=False, dane=DANERecords(target, (ANCHOR,))))

    assert isinstance(demand, Demand)
    assert demand.tlsa_names == (target, DOMAIN)


def test_a_named_server_is_its_own_only_reference_name() -> None:
    """No MX led to it, so there is no domain whose name its certificate could carry instead."""
    demand = verdict(UNSTATED, named(smarthost(), dane=DANERecords(HOST, (ANCHOR,))))

    assert isinstance(demand, Demand)
    assert demand.tlsa_names == (HOST,)


@pytest.mark.requirement("8461-7.1-2", "7672-2.2-9")
def test_sni_is_the_host_where_there_is_no_dane_and_nothing_for_an_address() -> None:
    """RFC 8461 section 7.1; an address has no name to send."""
    by_name, by_address = verdict(UNSTATED, behind_mx(secure=True)), verdict(UNSTATED, literal())

    assert isinstance(by_name, Demand)
    assert isinstance(by_address, Demand)
    assert by_name.sni == HOST
    assert by_address.sni is None


@pytest.mark.requirement("7672-5-1")
def test_only_usable_records_are_demanded() -> None:
    """A record that cannot be used beside one that can changes nothing."""
    demand = verdict(UNSTATED, behind_mx(secure=True, dane=DANERecords(HOST, (UNUSABLE, USABLE))))

    assert isinstance(demand, Demand)
    assert demand.tlsa == (USABLE,)


def test_demands_that_differ_in_the_order_of_addresses_are_equal() -> None:
    """DNS gives addresses in turn; sessions are reused all the same."""
    demand = verdict(UNSTATED, behind_mx(secure=True))
    assert isinstance(demand, Demand)
    other = Demand(demand.host, demand.port, (ipaddress.ip_address("192.0.2.2"),), demand.security)

    assert demand == other
    assert hash(demand) == hash(other)


hops = st.sampled_from(
    [
        behind_mx(secure=secure, dane=dane, policy=policy)
        for secure in (True, False)
        for dane in (NO_TLSA, MATCHABLE, USELESS, TLSA_BOGUS, TLSA_TIMED_OUT)
        for policy in (None, ENFORCED, ENFORCED_ELSEWHERE, TESTED, TESTED_ELSEWHERE, STS_DOWN)
    ]
    + [
        without_mx(secure=secure, dane=dane, policy=policy)
        for secure in (True, False)
        for dane in (NO_TLSA, DANERecords(DOMAIN, (USABLE,)), TLSA_BOGUS)
        for policy in (None, sts(Mode.ENFORCE, DOMAIN.text), ENFORCED)
    ]
    + [
        named(NamedHop(ServerAddress.parse(server), wrapping, protocol, login))
        for server in ("mx.recipient.example:25", "mx.recipient.example:465", "127.0.0.1:24")
        for wrapping in Wrapping
        for protocol in Protocol
        for login in (None, LOGIN)
    ]
    + [literal(), lmtp(), named(NamedHop(LMTP_SOCKET))]
)
rules = st.builds(
    Rules,
    accept_testing=st.booleans(),
    honor_tls_required_no=st.booleans(),
    trusted_local_hops=st.sampled_from([frozenset(), TRUSTING.trusted_local_hops]),
)


@pytest.mark.requirement("8689-2-11", "8689-2-12", "8689-2-13", "8689-4.2.1-9", "8689-8.2-1")
@given(evidence=hops, rules=rules)
def test_a_required_message_is_never_let_off(evidence: Evidence, rules: Rules) -> None:
    """For any evidence: authentication, TLS and REQUIRETLS at a proven name, or a refusal.

    Final delivery to a trusted local hop is where RFC 8689 ends.
    """
    demand = verdict(REQUIRED, evidence, rules=rules)

    hop = evidence.next_hop
    final = (
        isinstance(hop, NamedHop) and hop.protocol is Protocol.LMTP and hop.server in rules.trusted_local_hops
    )
    if isinstance(demand, Refusal) or final:
        return
    assert demand.authenticated
    assert demand.needs_tls
    assert demand.requiretls
    assert demand.pass_requiretls
    assert not demand.cleartext_after_tls_failure
    proof = evidence.name_proof(demand.host, accept_testing=rules.accept_testing)
    assert proof is not NameProof.NONE
    if proof is NameProof.MTA_STS:
        assert demand.pkix_name == demand.host


@given(evidence=hops, rules=rules, level=st.sampled_from(Level), requirement=st.sampled_from(Requirement))
def test_every_demand_says_of_itself_what_it_demands(
    evidence: Evidence, rules: Rules, level: Level, requirement: Requirement
) -> None:
    """`security` never promises more than the rest of the demand makes sure of."""
    demand = verdict(requirement, evidence, level, rules)

    if isinstance(demand, Refusal):
        assert demand.why
        return
    if demand.security is Security.CLEARTEXT:
        assert not demand.needs_tls
    elif demand.security is Security.ENCRYPTED:
        assert demand.needs_tls
    elif demand.security is Security.DANE:
        assert demand.tlsa
    else:
        assert demand.pkix_name is not None
    if demand.cleartext_after_tls_failure:
        assert requirement is Requirement.OPTIONAL
        assert isinstance(evidence.next_hop, DomainHop)
    if demand.login is not None:
        assert demand.authenticated


@given(evidence=hops, rules=rules)
def test_the_verdict_depends_on_how_sure_we_are(evidence: Evidence, rules: Rules) -> None:
    """A lookup that failed is never taken for a proof, and our own mistake never for theirs."""
    refusal = verdict(REQUIRED, evidence, rules=rules)

    if isinstance(refusal, Refusal) and refusal.reason.value in ("dns-failure", "dnssec-bogus"):
        assert refusal.sureness is Sureness.NOT_JUDGED
    if isinstance(refusal, Refusal) and refusal.reason.value == "configuration":
        assert refusal.sureness is Sureness.OUR_FAULT
