"""A domain name has one form: lower case, A-labels, no final dot."""

# ruff: noqa: RUF001 - letters that look alike are what is tested here

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from requiretls_plugin.domain_name import MAX_NAME, DomainName
from requiretls_plugin.errors import InvalidDomainName


@pytest.mark.parametrize(
    ("written", "text"),
    [
        pytest.param("example.org", "example.org", id="as it is"),
        pytest.param("Example.ORG", "example.org", id="upper case"),
        pytest.param("example.org.", "example.org", id="final dot"),
        pytest.param("localhost", "localhost", id="one label"),
        pytest.param("bücher.example", "xn--bcher-kva.example", id="U-label"),
        pytest.param("BÜCHER.example", "xn--bcher-kva.example", id="U-label in upper case"),
        pytest.param("xn--bcher-kva.example", "xn--bcher-kva.example", id="A-label"),
        pytest.param("_25._tcp.mx.example", "_25._tcp.mx.example", id="underscores"),
        pytest.param("3com.example", "3com.example", id="a digit first"),
        pytest.param("1.2.3.4.in-addr.arpa", "1.2.3.4.in-addr.arpa", id="labels of digits, but the last"),
        pytest.param("a" * 63 + ".example", "a" * 63 + ".example", id="the longest label"),
    ],
)
def test_a_name_is_parsed_to_its_one_form(written: str, text: str) -> None:
    """Whoever compares names compares this."""
    assert DomainName.parse(written).text == text


@pytest.mark.parametrize(
    "written",
    [
        pytest.param("", id="nothing"),
        pytest.param(".", id="the root"),
        pytest.param("a..example", id="an empty label"),
        pytest.param(".example", id="a dot first"),
        pytest.param("example..", id="two final dots"),
        pytest.param("-a.example", id="a hyphen first"),
        pytest.param("a-.example", id="a hyphen last"),
        pytest.param("a" * 64 + ".example", id="a label of 64"),
        pytest.param(".".join(["a" * 60] * 5), id="more than 253 characters"),
        pytest.param("192.0.2.1", id="an IPv4 address"),
        pytest.param("127.1", id="a short IPv4 address"),
        pytest.param("[192.0.2.1]", id="an address literal"),
        pytest.param("2001:db8::1", id="an IPv6 address"),
        pytest.param("*.example", id="a wildcard"),
        pytest.param("a b.example", id="a blank inside"),
        pytest.param(" example.org", id="a blank first"),
        pytest.param("user@example.org", id="an address"),
        pytest.param("example.org:25", id="a port"),
        pytest.param("a/b.example", id="a slash"),
    ],
)
def test_what_is_no_name_is_refused(written: str) -> None:
    """By our own error."""
    with pytest.raises(InvalidDomainName):
        DomainName.parse(written)


@pytest.mark.parametrize(
    "written",
    [
        pytest.param("example.org\r\nRCPT TO:<x@y.example>", id="CR LF"),
        pytest.param("example.org\n", id="a final LF"),
        pytest.param("example.org\0.evil.example", id="NUL"),
        pytest.param("example.org\u2028", id="a line separator"),
        pytest.param("a\ud800.example", id="a surrogate"),
        pytest.param("a\u202e.example", id="right-to-left override"),
        pytest.param("\uff05\uff10\uff10.example", id="%00 in full width"),
    ],
)
def test_attack_nothing_that_ends_a_line_or_hides_is_part_of_a_name(written: str) -> None:
    """Names go into commands, queries and log lines as they are."""
    with pytest.raises(InvalidDomainName):
        DomainName.parse(written)


@pytest.mark.parametrize(
    ("lookalike", "genuine"),
    [
        pytest.param("раураl.example", "paypal.example", id="Cyrillic letters"),
        pytest.param("exampIe.org", "example.org", id="capital I for l"),
        pytest.param("ехample.org", "example.org", id="two Cyrillic letters"),
        pytest.param("straße.example", "strasse.example", id="sharp s"),
    ],
)
def test_attack_a_lookalike_is_another_name(lookalike: str, genuine: str) -> None:
    """As A-labels the two look as different as they are."""
    parsed = DomainName.parse(lookalike)
    assert parsed != DomainName.parse(genuine)
    assert parsed.text.isascii()
    assert parsed.text == parsed.text.lower()


@pytest.mark.parametrize(
    "variant",
    [
        pytest.param("ｅｘａｍｐｌｅ.org", id="full-width letters"),
        pytest.param("example。org", id="ideographic full stop"),
        pytest.param("exam\u00adple.org", id="soft hyphen"),
        pytest.param("\u1d49xample.org", id="superscript letter"),
    ],
)
def test_attack_another_spelling_of_a_name_is_the_same_name(variant: str) -> None:
    """No level or list entry is evaded by it (UTS 46 maps them all)."""
    assert DomainName.parse(variant) == DomainName.parse("example.org")


def test_attack_a_huge_name_is_refused_at_once_and_shown_in_part() -> None:
    """IDNA takes quadratic time, and logs are no place for megabytes."""
    before = time.monotonic()
    with pytest.raises(InvalidDomainName) as raised:
        DomainName.parse("ü" * 1_000_000)
    assert time.monotonic() - before < 0.5
    assert len(str(raised.value)) < 500


@given(st.text() | st.text(alphabet="aA0-_.ü。\u00ad*@[]:", max_size=300))
def test_any_text_gives_a_name_or_our_error(text: str) -> None:
    """And a name parses to itself again."""
    try:
        name = DomainName.parse(text)
    except InvalidDomainName:
        return
    assert DomainName.parse(name.text) == name
    assert name.text.isascii()
    assert 0 < len(name.text) <= MAX_NAME
    assert not any(character.isspace() or character.isupper() for character in name.text)


def test_labels_are_read_from_the_left_and_children_go_before_them() -> None:
    """As DNS writes them."""
    name = DomainName.parse("mx.example.org")
    assert name.labels == ("mx", "example", "org")
    assert str(name.child("_25._tcp")) == "_25._tcp.mx.example.org"
