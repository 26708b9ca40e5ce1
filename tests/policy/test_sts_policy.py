"""The MTA-STS policy file, well-formed and not, and the hosts it names."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.errors import InvalidSTSPolicy
from requiretls_plugin.policy.sts_policy import MAX_AGE_LIMIT, Mode, MXPattern, STSPolicy, parse_sts_policy

GOOD = "version: STSv1\nmode: enforce\nmx: mx.example.org\nmax_age: 604800\n"


def pattern(text: str) -> MXPattern:
    return MXPattern.parse(text)


def policy(text: str) -> STSPolicy:
    return parse_sts_policy(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(GOOD, id="LF"),
        pytest.param(GOOD.replace("\n", "\r\n"), id="CRLF"),
        pytest.param(GOOD.replace("\n", "\r\n", 1), id="CRLF and LF mixed"),
        pytest.param(GOOD.removesuffix("\n"), id="no final line end"),
        pytest.param(GOOD.replace(": ", ":"), id="no blank after the colon"),
        pytest.param(GOOD.replace(": ", ": \t  "), id="many blanks after the colon"),
        pytest.param(GOOD.replace("\n", " \t \n"), id="blanks at the end of lines"),
        pytest.param("\n".join(reversed(GOOD.split("\n"))), id="version on the last line"),
        pytest.param(GOOD + "foo: bär\n", id="unknown field in UTF-8"),
        pytest.param(GOOD + "x-y_z.1: a : b = c\n", id="unknown field with a colon in its value"),
        pytest.param(GOOD + "Mode: none\n", id="unknown field called Mode"),
        pytest.param(GOOD + "\n \n\n", id="empty lines at the end"),
        pytest.param(
            GOOD + "mode: none\nmax_age: 1\nversion: STSv9\n", id="repeated fields, the first counts"
        ),
    ],
)
@pytest.mark.requirement("8461-3.2-10", "8461-3.2-13", "8461-3.2-14", "8461-3.2-15")
def test_well_formed_policy_is_read(text: str) -> None:
    """However it is written, the policy is the same."""
    assert policy(text) == STSPolicy(Mode.ENFORCE, (pattern("mx.example.org"),), 604_800, text)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("version: STSv1\n", "", id="no version"),
        pytest.param("STSv1", "STSv2", id="another version"),
        pytest.param("STSv1", "stsv1", id="version in lower case"),
        pytest.param("version", "Version", id="Version with a capital"),
        pytest.param("mode: enforce\n", "", id="no mode"),
        pytest.param("enforce", "Enforce", id="mode with a capital"),
        pytest.param("enforce", "report", id="unknown mode"),
        pytest.param("mode:", "Mode:", id="field name with a capital"),
        pytest.param("mode:", "mode :", id="blank before the colon"),
        pytest.param("mode: enforce", "mode enforce", id="no colon"),
        pytest.param("mode: enforce", "mode:", id="no value"),
        pytest.param("mode: enforce", " mode: enforce", id="blank before the name"),
        pytest.param("mx: mx.example.org\n", "", id="no mx in enforce"),
        pytest.param("max_age: 604800\n", "", id="no max_age"),
        pytest.param("604800", "-1", id="negative max_age"),
        pytest.param("604800", "+5", id="max_age with a sign"),
        pytest.param("604800", "1.5", id="fractional max_age"),
        pytest.param("604800", "1e3", id="max_age with an exponent"),
        pytest.param("604800", "12345678901", id="max_age of eleven digits"),
        pytest.param("604800", "١٢", id="max_age in digits that are not ASCII"),
        pytest.param("604800", "6 48", id="blank within max_age"),
        pytest.param("mx.example.org", "a.example, b.example", id="two names on a line"),
        pytest.param("mx.example.org", "a.example b.example", id="two names on a line without a comma"),
        pytest.param("mx.example.org", "*", id="a star alone"),
        pytest.param("mx.example.org", "*.", id="a star and a dot"),
        pytest.param("mx.example.org", "mx*.example.org", id="a star within a label"),
        pytest.param("mx.example.org", "*.*.example.org", id="two stars"),
        pytest.param("mx.example.org", "mail.*.example.org", id="a star in the middle"),
        pytest.param("mx.example.org", ".example.org", id="a dot first"),
        pytest.param("mx.example.org", "mx.example.org.", id="a final dot"),
        pytest.param("mx.example.org", "bücher.example", id="a U-label"),
        pytest.param("mx.example.org", "[192.0.2.1]", id="an address literal"),
        pytest.param("mx.example.org", "192.0.2.1", id="an address"),
        pytest.param("mx: mx.example.org", "mx: mx.example.org\nmx: *", id="one bad mx of two"),
        pytest.param("mode: enforce\n", "mode: enforce\r", id="a lone CR"),
        pytest.param("enforce", "enforce\x00", id="a NUL"),
        pytest.param("enforce", "enforce\x85", id="a control character of C1"),
        pytest.param("version", "\ufeffversion", id="a byte order mark"),
    ],
)
@pytest.mark.requirement(
    "8461-3.2-5", "8461-3.2-7", "8461-3.2-8", "8461-3.2-9", "8461-3.2-10", "8461-3.2-11", "8461-3.2-12"
)
def test_malformed_policy_is_refused(old: str, new: str) -> None:
    """One thing wrong makes the whole file invalid; no mode and no host is made up."""
    assert old in GOOD

    with pytest.raises(InvalidSTSPolicy):
        policy(GOOD.replace(old, new, 1))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\n\n", id="empty lines"),
        pytest.param(GOOD.encode() + b"x: \xff\n", id="no UTF-8"),
        pytest.param(GOOD.encode("utf-16"), id="UTF-16"),
        pytest.param(b"<!DOCTYPE html><title>404</title>", id="HTML"),
    ],
)
def test_other_files_are_refused(body: bytes) -> None:
    """What a careless web server sends instead is no policy."""
    with pytest.raises(InvalidSTSPolicy):
        parse_sts_policy(body)


@pytest.mark.requirement("8461-3.2-12")
def test_mode_none_needs_no_mx() -> None:
    """A domain that gives MTA-STS up need not name hosts."""
    assert policy("version: STSv1\nmode: none\nmax_age: 86400\n").mx == ()


@pytest.mark.parametrize(
    ("written", "counted"),
    [
        ("0", 0),
        ("00000086400", None),
        ("0000086400", 86_400),
        ("31557600", MAX_AGE_LIMIT),
        ("31557601", MAX_AGE_LIMIT),
        ("9999999999", MAX_AGE_LIMIT),
    ],
)
@pytest.mark.requirement("8461-3.2-5", "8461-3.2-6")
def test_max_age_is_cut_down_to_a_year(written: str, counted: int | None) -> None:
    """A domain that overdoes it still gets protection, for no longer than the RFC allows."""
    text = GOOD.replace("604800", written)

    if counted is None:
        with pytest.raises(InvalidSTSPolicy):
            policy(text)
    else:
        assert policy(text).max_age == counted


@pytest.mark.requirement("8461-3.2-15")
def test_attack_second_mode_does_not_count() -> None:
    """Whoever can append to the file cannot switch it off."""
    assert policy(GOOD + "mode: none\n").mode is Mode.ENFORCE


@pytest.mark.parametrize(
    ("mx", "host", "expected"),
    [
        pytest.param("mx.example.org", "mx.example.org", True, id="equal"),
        pytest.param("mx.example.org", "MX.Example.ORG.", True, id="case and final dot do not matter"),
        pytest.param("MX.example.org", "mx.example.org", True, id="nor does case in the policy"),
        pytest.param("mx.example.org", "mx2.example.org", False, id="another host"),
        pytest.param("mx.example.org", "a.mx.example.org", False, id="below the name"),
        pytest.param("*.example.org", "mx.example.org", True, id="star is one label"),
        pytest.param("*.example.org", "example.org", False, id="star is not nothing"),
        pytest.param("*.example.org", "a.b.example.org", False, id="star is not two labels"),
        pytest.param("*.example.org", "mx.notexample.org", False, id="star is not part of a label"),
        pytest.param("*.example.org", "mx.example.org.evil.example", False, id="the name has to end there"),
        pytest.param("xn--bcher-kva.example", "xn--bcher-kva.example", True, id="A-labels"),
        pytest.param("xn--bcher-kva.example", "bücher.example", True, id="host was a U-label"),
        pytest.param("*.xn--bcher-kva.example", "mx.bücher.example", True, id="star before A-labels"),
    ],
)
@pytest.mark.requirement("8461-4.1-1", "8461-4.1-2", "8461-3.2-8", "8461-3.2-9")
def test_host_matches_what_the_policy_names(mx: str, host: str, expected: bool) -> None:
    """Section 4.1: whole labels, one star, no case."""
    found = policy(GOOD.replace("mx.example.org", mx))

    assert found.matches(DomainName.parse(host)) is expected


@pytest.mark.requirement("8461-3.2-7")
def test_any_of_several_patterns_will_do() -> None:
    """Each mx line adds a host."""
    found = policy(GOOD + "mx: *.example.net\n")

    assert [str(each) for each in found.mx] == ["mx.example.org", "*.example.net"]
    assert found.matches(DomainName("a.example.net"))
    assert found.matches(DomainName("mx.example.org"))


@pytest.mark.requirement("8461-4.1-3")
def test_domain_itself_needs_a_pattern_too() -> None:
    """Where there is no MX, the domain is the host; the policy has to name it."""
    assert not policy(GOOD).matches(DomainName("example.org"))


@pytest.mark.parametrize(
    "line", ["x: a" + " " * 65_000 + "\0", " " * 65_000 + "x", ":" * 65_000, "\r" * 65_000]
)
def test_attack_longest_line_is_read_in_no_time(line: str) -> None:
    """Time grows with the size of the file, not with its square."""
    begin = time.perf_counter()

    with pytest.raises(InvalidSTSPolicy) as caught:
        policy(GOOD + line)

    assert len(str(caught.value)) < 500, "what is quoted is cut"
    assert time.perf_counter() - begin < 2.0


LINES = st.sampled_from(
    [*GOOD.splitlines(), "mode: none", "mx: *.a.example", "max_age: 0", "mx: *", "x: ü", ""]
)


@settings(deadline=None)
@given(st.binary() | st.lists(LINES).map(lambda lines: "\n".join(lines).encode()))
def test_attack_any_octets_give_a_policy_or_our_error(body: bytes) -> None:
    """A stranger's file cannot raise anything else, and what is accepted is within bounds."""
    try:
        found = parse_sts_policy(body)
    except InvalidSTSPolicy:
        return
    assert 0 <= found.max_age <= MAX_AGE_LIMIT
    assert found.mx or found.mode is Mode.NONE
    assert parse_sts_policy(found.text.encode()) == found
