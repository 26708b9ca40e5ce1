"""The laboratory's DNS, asked by a stub resolver."""

from __future__ import annotations

import subprocess
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.query
import pytest

from requiretls_lab.authority import Authority, Leaf
from requiretls_lab.dns_questions import ask, verdict
from requiretls_lab.domains import Domain, MailHost
from requiretls_lab.errors import LabError
from requiretls_lab.laboratory import Laboratory
from requiretls_lab.nameserver import Nameserver, Place
from requiretls_lab.resolver_proxy import Middlebox
from requiretls_lab.zones import ZoneKind, sign


@pytest.mark.parametrize(
    ("name", "rdtype", "expected"),
    [
        pytest.param("dane-ee.test", "MX", "NOERROR ad", id="signed records"),
        pytest.param("_{port}._tcp.mx.dane-ee.test", "TLSA", "NOERROR ad", id="signed TLSA"),
        pytest.param("null-mx.test", "MX", "NOERROR ad", id="null MX"),
        pytest.param("_{port}._tcp.mx.dnssec-pkix.test", "TLSA", "NXDOMAIN ad", id="proven absence"),
        pytest.param("no-such.test", "MX", "NXDOMAIN ad", id="absent zone"),
        pytest.param("sts.test", "MX", "NOERROR", id="unsigned records"),
        pytest.param("implicit.test", "MX", "NOERROR", id="unsigned absence"),
        pytest.param("half-dane.test", "MX", "NOERROR", id="unsigned MX of half-DANE"),
        pytest.param("mx.half-dane-host.test", "A", "NOERROR ad", id="signed host of half-DANE"),
        pytest.param("bogus.test", "MX", "SERVFAIL bogus", id="DS of another key"),
        pytest.param("elsewhere.example", "A", "REFUSED", id="outside the laboratory"),
    ],
)
def test_catalogue_answers_as_described(lab: Laboratory, name: str, rdtype: str, expected: str) -> None:
    """The validating resolver says of each domain what its meaning promises."""
    answer = ask(lab.resolver, name.format(port=lab.port), rdtype)

    assert verdict(answer) == expected


def test_broken_zones_fail_each_in_its_own_way() -> None:
    """Expired signatures are bogus, unserved zones are not, also below a good zone."""
    domains = [
        Domain("good.test", (MailHost(),)),
        Domain("expired.test", (MailHost(),), ZoneKind.EXPIRED),
        Domain("unserved.test", zone=ZoneKind.UNSERVED),
        Domain("_tcp.mx.good.test", zone=ZoneKind.UNSERVED),
    ]
    with Laboratory(domains) as lab:
        assert verdict(ask(lab.resolver, "good.test", "MX")) == "NOERROR ad"
        assert verdict(ask(lab.resolver, "expired.test", "MX")) == "SERVFAIL bogus"
        assert verdict(ask(lab.resolver, "unserved.test", "MX")) == "SERVFAIL"
        assert verdict(ask(lab.resolver, f"_{lab.port}._tcp.mx.good.test", "TLSA")) == "SERVFAIL"


def test_alias_into_an_unsigned_zone_is_secure_by_itself_only() -> None:
    """The CNAME record has AD, the address at its end has not (RFC 7672 section 2.2.2)."""
    domains = [
        Domain("signed.test", records=("alias CNAME mx.plain.test.",)),
        Domain("plain.test", (MailHost(),), ZoneKind.UNSIGNED),
    ]
    with Laboratory(domains) as lab:
        assert verdict(ask(lab.resolver, "alias.signed.test", "CNAME")) == "NOERROR ad"
        address = ask(lab.resolver, "alias.signed.test", "A")

    assert verdict(address) == "NOERROR"
    assert isinstance(address, dns.message.QueryMessage)
    assert address.resolve_chaining().canonical_name.to_text() == "mx.plain.test."


def test_dig_agrees_about_malformed_tlsa_data() -> None:
    """TLSA data of any length is signed and served, though dnspython would not read it."""
    with Laboratory([Domain("odd.test", records=("_{port}._tcp.mx TLSA 3 1 1 abcd",))]) as lab:
        address, port = lab.resolver.split(":")
        name = f"_{lab.port}._tcp.mx.odd.test"
        command = ["dig", f"@{address}", "-p", port, "+dnssec", name, "TLSA"]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert "3 1 1 ABCD" in said
    assert "flags: qr rd ra ad;" in said


def test_resolver_answers_over_tls_with_a_certificate_of_the_lab(lab: Laboratory) -> None:
    """DNS over TLS (RFC 7858) is verified against the laboratory's authority."""
    place = lab.nameserver.place
    query = dns.message.make_query("dane-ee.test", "MX", want_dnssec=True)

    answer = dns.query.tls(
        query,
        place.address,
        timeout=3,
        port=place.tls_port,
        server_hostname="resolver.test",
        verify=str(lab.authority.ca_file),
    )

    assert verdict(answer) == "NOERROR ad"


def test_non_validating_resolver_believes_everything(lab: Laboratory) -> None:
    """It never sets AD, and serves a bogus zone."""
    with lab.non_validating_resolver() as resolver:
        assert verdict(ask(resolver, "dane-ee.test", "MX")) == "NOERROR"
        assert verdict(ask(resolver, "bogus.test", "MX")) == "NOERROR"


def test_middlebox_strips_ad_delays_and_drops(lab: Laboratory) -> None:
    """What stands before the resolver can weaken or swallow its answers."""
    with lab.resolver_behind(Middlebox()) as proxy:
        assert verdict(ask(proxy.resolver, "dane-ee.test", "MX")) == "NOERROR ad"
        proxy.middlebox = Middlebox(strip_ad=True)
        assert verdict(ask(proxy.resolver, "dane-ee.test", "MX")) == "NOERROR"
        proxy.middlebox = Middlebox(delay=0.2)
        with pytest.raises(dns.exception.Timeout):
            ask(proxy.resolver, "dane-ee.test", "MX", timeout=0.05)
        proxy.middlebox = Middlebox(silent=True)
        with pytest.raises(dns.exception.Timeout):
            ask(proxy.resolver, "dane-ee.test", "MX", timeout=0.05)

        assert proxy.questions == 4


def test_middlebox_truncates_what_no_datagram_holds() -> None:
    """A large answer comes over TCP, through the middlebox as well."""
    many = tuple(f"@ TXT {'x' * 200}{number}" for number in range(20))
    query = dns.message.make_query("large.test", "TXT", want_dnssec=True)
    with Laboratory([Domain("large.test", records=many)]) as lab, lab.resolver_behind(Middlebox()) as proxy:
        datagram = dns.query.udp(query, proxy.address, port=proxy.port, timeout=3)
        answer = ask(proxy.resolver, "large.test", "TXT")

    assert datagram.flags & dns.flags.TC
    assert len(answer.answer[0]) == 20


def test_killed_resolver_answers_again_after_restart() -> None:
    """A test can take the resolver away and give it back."""
    with Laboratory([Domain("a.test", (MailHost(),))]) as lab:
        lab.nameserver.stop()
        with pytest.raises((dns.exception.Timeout, OSError)):
            ask(lab.resolver, "a.test", "MX", timeout=0.05)
        lab.nameserver.restart()
        assert verdict(ask(lab.resolver, "a.test", "MX")) == "NOERROR ad"


def test_missing_daemon_is_named_with_its_package(tmp_path: Path) -> None:
    """Without unbound the laboratory says what to install and does not pretend."""

    class WithoutDaemon(Nameserver):
        program = "unbound-that-nobody-installed"

    certificate = Authority(tmp_path).issue(Leaf(("resolver.test",)))
    server = WithoutDaemon(sign([]), Place("127.0.0.1", 1, 2, 3), certificate, tmp_path / "dns")

    with pytest.raises(LabError, match="apt-get install unbound"):
        server.start()


def test_daemon_that_fails_shows_what_it_said(tmp_path: Path) -> None:
    """A taken port or a broken zone is told in unbound's own words."""
    certificate = Authority(tmp_path).issue(Leaf(("resolver.test",)))
    nobodys_address = Place("192.0.2.1", 5301, 5302, 5303)
    server = Nameserver(sign([]), nobodys_address, certificate, tmp_path / "dns")

    with pytest.raises(LabError, match=r"192\.0\.2\.1"):
        server.start()
