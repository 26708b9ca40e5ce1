"""A mailbox is a local part and a domain, and nothing that could end a line."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.errors import InvalidMailAddress
from requiretls_plugin.mail_address import MAX_PATH_OCTETS, AddressLiteral, MailAddress


@pytest.mark.parametrize(
    ("written", "local_part", "domain"),
    [
        pytest.param("bob@example.org", "bob", "example.org", id="plain"),
        pytest.param("Bob@Example.ORG", "Bob", "example.org", id="case is kept in the local part only"),
        pytest.param("a.b+c=d@example.org", "a.b+c=d", "example.org", id="dots and signs"),
        pytest.param('"a b"@example.org', '"a b"', "example.org", id="quoted blank"),
        pytest.param('"a@b"@example.org', '"a@b"', "example.org", id="quoted @"),
        pytest.param(r'"a\"b"@example.org', r'"a\"b"', "example.org", id="quoted quote"),
        pytest.param(r'"a\\"@example.org', r'"a\\"', "example.org", id="quoted backslash"),
        pytest.param('""@example.org', '""', "example.org", id="empty quoted string"),
        pytest.param("grüße@bücher.example", "grüße", "xn--bcher-kva.example", id="SMTPUTF8"),
        pytest.param("a@[192.0.2.1]", "a", "[192.0.2.1]", id="IPv4 literal"),
        pytest.param("a@[IPv6:2001:DB8::1]", "a", "[IPv6:2001:db8::1]", id="IPv6 literal"),
    ],
)
def test_an_address_is_parsed(written: str, local_part: str, domain: str) -> None:
    """Its spelling is kept, its domain is compared."""
    address = MailAddress.parse(written)
    assert str(address) == written
    assert address.local_part == local_part
    assert str(address.domain) == domain


@pytest.mark.requirement("5321-6.1-1")
@pytest.mark.parametrize(
    "route",
    ["@relay.example:", "@one.example,@two.example:"],
    ids=["one host", "two hosts"],
)
def test_a_source_route_is_cut_off(route: str) -> None:
    """Mail goes straight to its mailbox (RFC 5321 section 4.1.1.3)."""
    assert MailAddress.parse(f"{route}bob@example.org") == MailAddress.parse("bob@example.org")


@pytest.mark.parametrize(
    "written",
    [
        pytest.param("", id="nothing"),
        pytest.param("bob", id="no @"),
        pytest.param("@example.org", id="no local part"),
        pytest.param("bob@", id="no domain"),
        pytest.param("<bob@example.org>", id="angle brackets"),
        pytest.param("a b@example.org", id="a blank"),
        pytest.param(".a@example.org", id="a dot first"),
        pytest.param("a.@example.org", id="a dot last"),
        pytest.param("a..b@example.org", id="two dots"),
        pytest.param("a@b@example.org", id="two @"),
        pytest.param('"a"b@example.org', id="text behind the quotes"),
        pytest.param('"a@example.org', id="an open quote"),
        pytest.param('"a"@"example.org"', id="a quoted domain"),
        pytest.param("a@192.0.2.1", id="an address without brackets"),
        pytest.param("a@[192.0.2.256]", id="no IPv4 address"),
        pytest.param("a@[::1]", id="IPv6 without its tag"),
        pytest.param("a@[IPv6:192.0.2.1]", id="IPv4 tagged as IPv6"),
        pytest.param("a@[x400:something]", id="another tag"),
        pytest.param("a@[192.0.2.1", id="an open bracket"),
        pytest.param("a@-example.org", id="a domain that is none"),
    ],
)
def test_what_is_no_mailbox_is_refused(written: str) -> None:
    """By our own error."""
    with pytest.raises(InvalidMailAddress):
        MailAddress.parse(written)


@pytest.mark.parametrize(
    "written",
    [
        pytest.param("a\r\nDATA@example.org", id="CR LF in the local part"),
        pytest.param('"a\r\nb"@example.org', id="CR LF in quotes"),
        pytest.param('"a\\\nb"@example.org', id="LF behind a backslash"),
        pytest.param('"a\\\r"@example.org', id="CR behind a backslash"),
        pytest.param("a@example.org\r\n", id="CR LF at the end"),
        pytest.param("a@example.org\n", id="LF at the end"),
        pytest.param("a\0@example.org", id="NUL"),
        pytest.param('"a\0"@example.org', id="NUL in quotes"),
        pytest.param("a@[IPv6:fe80::1%\r\nRCPT TO:<b]", id="CR LF in the zone of an IPv6 literal"),
        pytest.param("a@[IPv6:fe80::1%eth0]", id="a zone at all"),
        pytest.param("a@[192.0.2.1]\r\n", id="CR LF behind a literal"),
        pytest.param("a\x85b@example.org", id="next line, a C1 control"),
        pytest.param("a\u2028b@example.org", id="line separator"),
        pytest.param('"a\u2029b"@example.org', id="paragraph separator in quotes"),
        pytest.param("a\ud800@example.org", id="a surrogate"),
        pytest.param("a> SIZE=1@example.org", id="the end of the path"),
    ],
)
def test_attack_no_address_ends_a_line_early(written: str) -> None:
    """An address goes into MAIL, RCPT, notices and log lines as it is."""
    with pytest.raises(InvalidMailAddress):
        MailAddress.parse(written)


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(r'"a\"@evil.example', id="the closing quote is escaped"),
        pytest.param(r'"a\"@evil.example"', id="and there is another behind the domain"),
        pytest.param(r"a\@evil.example@example.org", id="a backslash outside quotes"),
        pytest.param('"a"@evil.example"@example.org', id="a quote inside, not escaped"),
    ],
)
def test_attack_backslashes_do_not_move_the_domain(written: str) -> None:
    """What another parser might take for the domain is not one here: it is refused."""
    with pytest.raises(InvalidMailAddress):
        MailAddress.parse(written)


def test_attack_an_escaped_quote_keeps_the_real_domain() -> None:
    """The last @ outside quotes counts."""
    assert str(MailAddress.parse(r'"a\"@evil.example"@example.org').domain) == "example.org"


def test_attack_a_source_route_brings_nothing_along() -> None:
    """Neither into the text nor past the length."""
    hostile = "@a\r\nRSET\r\n.example:bob@example.org"
    assert MailAddress.parse(hostile).text == "bob@example.org"
    with pytest.raises(InvalidMailAddress):
        MailAddress.parse("@a.example:@b.example:bob@example.org")


def test_a_long_local_part_is_taken() -> None:
    """Return paths that name a recipient (VERP) are longer than 64 octets."""
    local_part = "list-bounces+" + "a" * 60 + "=recipient.example"
    assert MailAddress.parse(f"{local_part}@lists.example").local_part == local_part


@pytest.mark.parametrize(
    ("octets", "letter"), [(1, "a"), (2, "ü"), (4, "\U0001f4e7")], ids=["ASCII", "two octets", "four octets"]
)
def test_attack_an_overlong_path_is_refused_by_its_octets(octets: int, letter: str) -> None:
    """RFC 5321 section 4.5.3.1.3: 256 octets with the angle brackets."""
    room = MAX_PATH_OCTETS - len("@example.org")
    longest = letter * (room // octets)
    assert MailAddress.parse(f"{longest}@example.org").local_part == longest
    with pytest.raises(InvalidMailAddress) as raised:
        MailAddress.parse(f"{longest}{letter}@example.org")
    assert len(str(raised.value)) < 500


_PIECES = st.sampled_from(
    ["a", "Ü", '"', "\\", "@", ".", "[", "]", "IPv6:", "::1", "%", ":", ",", "example.org", "\r\n", "\0", " "]
)


def test_attack_an_address_may_not_outgrow_the_limit_where_its_domain_is_passed_on_in_ascii() -> None:
    """The next server would have to refuse what we took."""
    room = MAX_PATH_OCTETS - len("@xn--bcher-kva.example")

    assert MailAddress.parse(room * "x" + "@bücher.example").domain == DomainName("xn--bcher-kva.example")
    with pytest.raises(InvalidMailAddress, match="longer than 254 octets"):
        MailAddress.parse((room + 1) * "x" + "@bücher.example")


@given(st.text() | st.lists(_PIECES, max_size=12).map("".join))
def test_any_text_gives_an_address_or_our_error(text: str) -> None:
    """And an address is one line of UTF-8 that parses to itself again."""
    try:
        address = MailAddress.parse(text)
    except InvalidMailAddress:
        return
    assert MailAddress.parse(str(address)) == address
    assert len(address.text.splitlines()) == 1
    assert "\0" not in address.text
    assert len(address.text.encode()) <= MAX_PATH_OCTETS


@given(st.ip_addresses())
def test_address_literals_round_trip(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    """What a literal prints is what it was parsed from."""
    literal = AddressLiteral(ip)
    assert MailAddress.parse(f"a@{literal}").domain == literal


def test_two_spellings_of_a_domain_are_one_destination() -> None:
    """Recipients are grouped by the parsed domain."""
    assert MailAddress.parse("a@BÜCHER.example").domain == DomainName("xn--bcher-kva.example")
