"""Which presented names stand for which reference names."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from requiretls_plugin.certificate.name_match import PresentedNames, leaf_names, name_matches
from requiretls_plugin.domain_name import DomainName
from tests.certificate.forge import Issued, certificate, dns_names, ec_key, element, resigned
from tests.certificate.shapes import good

MAIL = DomainName("mail.example.com")


def leaf(*names: str, common_name: str | None = None) -> bytes:
    """Return a certificate with DNS-IDs *names*, without any if there are none."""
    return certificate(common_name, ec_key(9), None, [dns_names(*names)] if names else []).der


def with_names(*names: x509.GeneralName, common_name: str | None = None) -> bytes:
    return certificate(common_name, ec_key(9), None, [x509.SubjectAlternativeName(names)]).der


@pytest.mark.parametrize(
    ("presented", "reference", "matches"),
    [
        pytest.param("mail.example.com", "mail.example.com", True, id="the same name"),
        pytest.param("MAIL.Example.COM", "mail.example.com", True, id="in other case"),
        pytest.param("xn--bcher-kva.example", "bücher.example", True, id="U-label in the reference"),
        pytest.param("_mail.example.com", "_mail.example.com", True, id="underscore"),
        pytest.param("*.example.com", "mail.example.com", True, id="star for one label"),
        pytest.param("*.EXAMPLE.com", "mail.example.com", True, id="star in other case"),
        pytest.param("*.example.com", "xn--bcher-kva.example.com", True, id="star for an A-label"),
        pytest.param("*.example.com", "a.b.example.com", False, id="star for two labels"),
        pytest.param("*.example.com", "example.com", False, id="star for no label"),
        pytest.param("*.com", "example.com", False, id="star over a top-level domain"),
        pytest.param("*", "localhost", False, id="star alone"),
        pytest.param("a.*.example.com", "a.b.example.com", False, id="star inside"),
        pytest.param("*.*.example.com", "a.b.example.com", False, id="two stars"),
        pytest.param("mail*.example.com", "mail1.example.com", False, id="star behind part of a label"),
        pytest.param("*mail.example.com", "1mail.example.com", False, id="star before part of a label"),
        pytest.param("m*l.example.com", "mail.example.com", False, id="star in a label"),
        pytest.param("xn--b*-kva.example", "xn--bcher-kva.example", False, id="star in an A-label"),
        pytest.param("mail.example.com.", "mail.example.com", False, id="final dot"),
        pytest.param(".example.com", "mail.example.com", False, id="suffix as in a name constraint"),
        pytest.param("mail.example.com.evil.example", "mail.example.com", False, id="longer name"),
        pytest.param("example.com", "mail.example.com", False, id="shorter name"),
        pytest.param("mail.example.com\0.evil.example", "mail.example.com", False, id="NUL"),
        pytest.param("mail.example.com\n", "mail.example.com", False, id="line end"),
        pytest.param(" mail.example.com", "mail.example.com", False, id="blank"),
        pytest.param("", "mail.example.com", False, id="empty name"),
    ],
)
@pytest.mark.requirement(
    "6125-6.4.1-1", "6125-6.4.2-1", "6125-6.4.3-1", "6125-6.4.3-2", "7672-3.2.3-2", "7672-3.2.3-3"
)
def test_a_presented_name_stands_for(presented: str, reference: str, *, matches: bool) -> None:
    """A whole name, or a star for one whole left-most label."""
    name = DomainName.parse(reference)

    assert name_matches(leaf(presented), [name], common_name=False) == (name if matches else None)


@pytest.mark.requirement("9525-6.3-1")
def test_malformed_names_are_passed_over_and_the_others_count() -> None:
    """One bad name does not spoil a certificate."""
    presented = leaf("f*.example.com", "*.*.example.com", "mail.example.com")

    assert leaf_names(presented) == PresentedNames(dns_ids=("mail.example.com",))
    assert name_matches(presented, [DomainName("foo.example.com")], common_name=True) is None
    assert name_matches(presented, [MAIL], common_name=True) == MAIL


def test_a_common_name_that_is_no_host_name_counts_for_nothing() -> None:
    """CAs have put titles there as well."""
    assert leaf_names(leaf(common_name="Mail of Example, Inc.")) == PresentedNames()


def test_the_first_reference_name_that_fits_is_told() -> None:
    """The base domain stands first, so it is preferred."""
    references = [DomainName("other.example"), DomainName("b.example"), DomainName("a.example")]

    found = name_matches(leaf("a.example", "b.example"), references, common_name=False)

    assert found == DomainName("b.example")


@pytest.mark.requirement("6125-6.4.4-1", "7672-3.2.3-1")
def test_the_common_name_counts_only_where_it_is_allowed() -> None:
    """It is for RFC 7672 and RFC 8689, and not for MTA-STS."""
    presented = leaf(common_name="Mail.Example.com")

    assert name_matches(presented, [MAIL], common_name=True) == MAIL
    assert name_matches(presented, [MAIL], common_name=False) is None


SRV_ID = x509.OtherName(x509.ObjectIdentifier("1.3.6.1.5.5.7.8.7"), element(0x16, b"_mail.other.example"))


@pytest.mark.parametrize(
    "identifier",
    [
        pytest.param(x509.DNSName("other.example"), id="DNS-ID"),
        pytest.param(x509.DNSName("m*.example.com"), id="malformed DNS-ID"),
        pytest.param(SRV_ID, id="SRV-ID"),
        pytest.param(x509.UniformResourceIdentifier("sip:other.example"), id="URI-ID"),
    ],
)
@pytest.mark.requirement("6125-6.3-1", "7672-3.2.3-1")
def test_attack_the_common_name_does_not_count_beside_an_identifier(identifier: x509.GeneralName) -> None:
    """A CA that checks only the identifiers must not vouch for the common name."""
    presented = with_names(identifier, common_name="mail.example.com")

    assert name_matches(presented, [MAIL], common_name=True) is None


def test_a_mail_address_is_no_identifier_of_a_server() -> None:
    """RFC 6125 names DNS, SRV and URI alone."""
    presented = with_names(x509.RFC822Name("postmaster@example.com"), common_name="mail.example.com")

    assert name_matches(presented, [MAIL], common_name=True) == MAIL


def test_of_several_common_names_none_counts() -> None:
    """Which one a CA looked at, nobody knows."""
    several = x509.Name(
        x509.NameAttribute(x509.NameOID.COMMON_NAME, name) for name in ("other.example", "mail.example.com")
    )
    one = certificate(None, ec_key(9))
    der = _with_subject(one, several)

    assert leaf_names(der) == PresentedNames()


def _with_subject(issued: Issued, subject: x509.Name) -> bytes:
    builder = x509.CertificateBuilder(
        issued.certificate.issuer,
        subject,
        ec_key(9).public_key(),
        7,
        issued.certificate.not_valid_before_utc,
        issued.certificate.not_valid_after_utc,
    )
    return builder.sign(ec_key(9), hashes.SHA256()).public_bytes(Encoding.DER)


@pytest.mark.parametrize("octet", [0x00, 0x80, 0xE9, 0xFF])
def test_attack_octets_outside_host_names_never_match(octet: int) -> None:
    """Not even where the rest of the certificate is readable."""
    der = leaf("mail.example.com")
    changed = der.replace(b"mail.example.com", b"mail.example.co" + bytes([octet]))

    assert name_matches(changed, [MAIL], common_name=True) is None


@pytest.mark.filterwarnings("ignore:Parsed a serial number which wasn't positive")
def test_the_serial_number_zero_does_not_matter() -> None:
    """Old private CAs gave it; the library only warns of it, so far."""
    der = resigned(good(), ec_key(2), serial_number=b"\0")

    assert leaf_names(der).dns_ids == ("mx1.secure.test",)


def test_a_certificate_that_cannot_be_read_has_no_names() -> None:
    """Nor does it match any."""
    assert leaf_names(b"\x30\x00") == PresentedNames()
    assert name_matches(b"\x30\x00", [MAIL], common_name=True) is None


LEAF = leaf("mail.example.com", "*.example.org")


@given(st.binary(max_size=300))
def test_attack_any_octets_have_no_names(data: bytes) -> None:
    """And raise nothing."""
    assert leaf_names(data) == PresentedNames()


@given(st.lists(st.tuples(st.integers(0, len(LEAF) - 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_attack_a_broken_certificate_raises_nothing(changes: list[tuple[int, int]]) -> None:
    """Whatever is found is a name by form."""
    data = bytearray(LEAF)
    for place, octet in changes:
        data[place] = octet

    names = leaf_names(bytes(data))

    assert all(name.isascii() and name.isprintable() for name in names.dns_ids)


@given(st.from_regex(r"[a-z*.\-\x00A-Z]{1,30}", fullmatch=True))
def test_only_the_name_itself_or_its_star_form_matches(presented: str) -> None:
    """There is no third way."""
    matches = name_matches(leaf(presented), [MAIL], common_name=True) is not None

    assert matches == (presented.lower() in ("mail.example.com", "*.example.com"))
