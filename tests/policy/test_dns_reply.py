"""What replies mean."""

from __future__ import annotations

import ipaddress
import struct
from typing import Any

import dns.exception
import dns.message
import pytest
from dns.rdatatype import MX, A, RdataType
from hypothesis import given
from hypothesis import strategies as st

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.policy.answers import Absent, Answer, Found, LookupFailed, MXRecord, TLSARecord
from requiretls_plugin.policy.dns_reply import read_reply
from requiretls_plugin.policy.dns_wire import MAX_LABELS, MAX_RECORDS, parse_message, read_message
from tests.policy.dns_messages import query_for, reply_to

SOA = "example.org. 900 SOA ns.example.org. hostmaster.example.org. 1 3600 600 86400 60"


def read(name: str, rdtype: str, *answer: str, **rest: Any) -> Answer[Any]:
    """Return what a reply means after it went over the wire."""
    query = query_for(name, rdtype)
    wire = reply_to(query, *answer, **rest).to_wire()
    return read_reply(read_message(wire, query), ad_counts=True)


@pytest.mark.parametrize(
    ("rdtype", "data", "record"),
    [
        ("A", "192.0.2.1", ipaddress.ip_address("192.0.2.1")),
        ("AAAA", "2001:db8::1", ipaddress.ip_address("2001:db8::1")),
        ("MX", "10 MX.example.org.", MXRecord(10, DomainName("mx.example.org"))),
        ("MX", "0 .", MXRecord(0, None)),
        ("MX", "10 192.0.2.1.", MXRecord(10, "192.0.2.1")),
        ("MX", r"10 a\010b.example.", MXRecord(10, r"a\010b.example")),
        ("TXT", '"v=STSv1; " "id=1;"', b"v=STSv1; id=1;"),
        ("TXT", r'"\255\000"', b"\xff\0"),
        ("CNAME", "Other.example.", DomainName("other.example")),
    ],
    ids=str,
)
def test_records_come_out_as_values(rdtype: str, data: str, record: object) -> None:
    """One of each type, and the odd ones."""
    answer = read("example.org", rdtype, f"example.org. 300 {rdtype} {data}", ad=True)

    assert answer == Found((record,), secure=True, canonical=DomainName("example.org"), ttl=300.0)


def test_the_root_can_be_asked_for_its_name_servers_but_is_no_alias() -> None:
    """They show who validates; a mail domain that is an alias of the root has no hosts."""
    servers = (DomainName("a.root-servers.net"),)

    answer = read(".", "NS", ". 300 NS A.root-servers.net.", ad=True)

    assert answer == Found(servers, secure=True, canonical=DomainName("."), ttl=300.0)
    alias = read("a.test", "A", "a.test. 9 CNAME .", ". 9 A 192.0.2.1", ad=True)
    assert alias == LookupFailed(bogus=False, why="an alias of what is no host name")


@pytest.mark.requirement("7672-2.1.1-5")
def test_secure_is_what_has_the_ad_bit() -> None:
    """No bit, no security."""
    answer = read("example.org", "A", "example.org. 300 A 192.0.2.1")

    assert isinstance(answer, Found)
    assert not answer.secure


@pytest.mark.requirement("7672-2.1.1-4", "6698-4.1-5")
def test_attack_ad_from_a_server_that_is_not_believed_is_ignored() -> None:
    """Anybody on the path could have set it."""
    query = query_for("example.org", "A")
    positive = reply_to(query, "example.org. 300 A 192.0.2.1", ad=True)
    negative = reply_to(query, rcode="NXDOMAIN", authority=[SOA], ad=True)

    answers = [read_reply(reply, ad_counts=False) for reply in (positive, negative)]

    assert [answer.secure for answer in answers if not isinstance(answer, LookupFailed)] == [False, False]


@pytest.mark.requirement("7672-2.1.1-6")
@pytest.mark.parametrize("secure", [True, False], ids=["secure", "insecure"])
@pytest.mark.parametrize("rcode", ["NOERROR", "NXDOMAIN"])
def test_absence_is_an_answer_with_a_status_of_its_own(rcode: str, secure: bool) -> None:
    """NODATA and NXDOMAIN stay apart, and so do proved and unproved."""
    answer = read("example.org", "TLSA", rcode=rcode, authority=[SOA], ad=secure)

    assert answer == Absent(secure, name_exists=rcode == "NOERROR", ttl=60.0)


def test_absence_without_soa_is_short_lived() -> None:
    """Nobody said how long it lasts (RFC 2308 section 5 says not to keep it at all)."""
    answer = read("example.org", "TXT")

    assert isinstance(answer, Absent)
    assert answer.ttl <= 300


@pytest.mark.requirement("7672-2.1.1-3", "7672-2.1.1-7")
@pytest.mark.parametrize("ede", [5, 6, 7, 8, 9, 10, 11, 12])
def test_servfail_with_a_word_on_dnssec_is_bogus(ede: int) -> None:
    """RFC 8914; "indeterminate" is no better than bogus."""
    answer = read("example.org", "A", rcode="SERVFAIL", ede=ede)

    assert isinstance(answer, LookupFailed)
    assert answer.bogus


@pytest.mark.requirement("7672-2.1.1-7")
@pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED", "FORMERR", "NOTIMP", "YXDOMAIN", "BADVERS"])
@pytest.mark.parametrize("ede", [None, 22], ids=["unexplained", "no reachable authority"])
def test_every_other_error_is_a_failed_lookup(rcode: str, ede: int | None) -> None:
    """Never an absence, even with AD on it."""
    answer = read("example.org", "A", rcode=rcode, ede=ede, ad=True)

    assert isinstance(answer, LookupFailed)
    assert not answer.bogus
    assert answer.why.startswith(rcode)


def test_attack_error_text_of_a_stranger_goes_nowhere() -> None:
    """EDE carries free text from afar, which could end a line in a log or a reply."""
    answer = read("example.org", "A", rcode="SERVFAIL", ede=6)

    assert isinstance(answer, LookupFailed)
    assert answer.why == "SERVFAIL (dnssec bogus)"


@pytest.mark.requirement("7672-2.1.3-1")
def test_aliases_are_followed_inside_the_reply() -> None:
    """The lowest TTL counts; what a DNAME made of the name is a CNAME like any other."""
    answer = read(
        "mx.example.org",
        "A",
        "example.org. 200 DNAME example.net.",
        "mx.example.org. 100 CNAME mx.example.net.",
        "mx.example.net. 300 CNAME Host.example.com.",
        "host.example.com. 300 A 192.0.2.1",
        ad=True,
    )

    assert answer == Found(
        (ipaddress.ip_address("192.0.2.1"),),
        secure=True,
        canonical=DomainName("host.example.com"),
        ttl=100.0,
    )


@pytest.mark.requirement("7672-2.1.3-2")
@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(["a.test. 9 CNAME b.test.", "b.test. 9 CNAME a.test."], id="loop of two"),
        pytest.param(["a.test. 9 CNAME a.test."], id="loop of one"),
        pytest.param(
            ["a.test. 9 CNAME n0.test.", *(f"n{n}.test. 9 CNAME n{n + 1}.test." for n in range(40))],
            id="forty links",
        ),
    ],
)
def test_attack_endless_chain_of_aliases_is_a_failed_lookup(answer: list[str]) -> None:
    """Neither an absence nor an endless loop."""
    outcome = read("a.test", "TLSA", *answer, ad=True)

    assert isinstance(outcome, LookupFailed)
    assert "too long" in outcome.why


@pytest.mark.parametrize("target", [".", "192.0.2.1.", r"a\010b.example.", "*.example."])
def test_an_alias_of_what_is_no_host_name_is_a_failed_lookup(target: str) -> None:
    """Such a name could not be asked, compared or shown."""
    chain = read("a.test", "A", f"a.test. 9 CNAME {target}", f"{target} 9 A 192.0.2.1")
    alone = read("a.test", "CNAME", f"a.test. 9 CNAME {target}")

    assert isinstance(chain, LookupFailed)
    assert isinstance(alone, LookupFailed)


def test_records_beside_the_question_are_ignored() -> None:
    """Records of other names or types do not answer."""
    answer = read(
        "a.test", "TLSA", f"b.test. 9 TLSA 3 1 1 {32 * 'ab'}", 'a.test. 9 TXT "x"', authority=[SOA], ad=True
    )

    assert isinstance(answer, Absent)


@pytest.mark.requirement("6698-4.1-3")
@pytest.mark.parametrize(
    ("data", "record"),
    [
        pytest.param(r"\# 35 030101" + 32 * "ab", TLSARecord(3, 1, 1, 32 * b"\xab"), id="good"),
        pytest.param(r"\# 34 030101" + 31 * "ab", TLSARecord(3, 1, 1, 31 * b"\xab"), id="one octet short"),
        pytest.param(r"\# 35 030102" + 32 * "ab", TLSARecord(3, 1, 2, 32 * b"\xab"), id="half a SHA-512"),
        pytest.param(r"\# 3 030100", TLSARecord(3, 1, 0, b""), id="no data"),
        pytest.param(r"\# 5 ffffff0102", TLSARecord(255, 255, 255, b"\1\2"), id="all unknown"),
        pytest.param(r"\# 1 03", TLSARecord(255, 255, 255, b"\3"), id="not even the numbers"),
    ],
)
def test_a_malformed_tlsa_record_is_given_back_as_found(data: str, record: TLSARecord) -> None:
    """Only that record is unusable; a failed lookup would keep mail from a domain that has a good one."""
    query = query_for("a.test", "TLSA")
    wire = tlsa_reply(query, data, r"\# 35 030101" + 32 * "cd")

    answer = read_reply(read_message(wire, query), ad_counts=True)

    assert isinstance(answer, Found)
    assert set(answer.records) == {record, TLSARecord(3, 1, 1, 32 * b"\xcd")}
    assert answer.secure
    assert answer.ttl == 9.0


def test_tlsa_records_beyond_an_alias_are_found() -> None:
    """The chain ends where the records are."""
    query = query_for("a.test", "TLSA")
    wire = tlsa_reply(query, r"\# 4 03010100", owner="b.test", alias="a.test. 5 CNAME b.test.")

    answer = read_reply(read_message(wire, query), ad_counts=True)

    assert answer == Found(
        (TLSARecord(3, 1, 1, b"\0"),), secure=True, canonical=DomainName("b.test"), ttl=5.0
    )


def test_attack_a_record_of_our_private_type_answers_nothing() -> None:
    """TLSA records have that type number only between the wire and us."""
    assert isinstance(read("a.test", "TXT", r"a.test. 9 TYPE65332 \# 4 03010100", ad=True), Absent)


def tlsa_reply(
    query: dns.message.Message, *data: str, owner: str = "a.test", alias: str | None = None
) -> bytes:
    """Return a reply with TLSA records that dnspython would not make, given as generic data."""
    stand_in = [f"{owner}. 9 TYPE999 {each}" for each in data]
    wire = reply_to(query, *([alias] if alias else []), *stand_in, ad=True).to_wire()
    return wire.replace((999).to_bytes(2, "big") + b"\0\1", (52).to_bytes(2, "big") + b"\0\1")


@pytest.mark.requirement("7671-10.1.1-1")
def test_a_truncated_reply_is_a_failed_lookup() -> None:
    """It may lack just the records that matter."""
    assert isinstance(read("a.test", "A", "a.test. 9 A 192.0.2.1", tc=True), LookupFailed)


def test_nxdomain_with_an_answer_contradicts_itself() -> None:
    """Neither half is believed."""
    outcome = read("a.test", "A", "a.test. 9 A 192.0.2.1", rcode="NXDOMAIN")

    assert outcome == LookupFailed(bogus=False, why="the reply contradicts itself")


@pytest.mark.parametrize("rdtype", ["A", "MX"])
def test_attack_records_of_another_class_than_the_internets_are_no_answer(rdtype: str) -> None:
    """Their data mean something else."""
    data = {"A": "192.0.2.1", "MX": "10 mx.a.test."}[rdtype]
    internet = b"\1a\4test\0" + RdataType.from_text(rdtype).to_bytes(2, "big") + b"\0\1"
    reply = reply_to(query_for("a.test", rdtype), f"a.test. 9 {rdtype} {data}", ad=True)
    record = b"\xc0\x0c" + internet[-4:]
    wire = reply.to_wire()
    assert (wire.count(internet), wire.count(record)) == (1, 1)
    for other in (b"\0\0", b"\0\4"):
        changed = wire.replace(internet, internet[:-2] + other).replace(record, record[:-2] + other)

        answer = read_reply(parse_message(changed, RdataType.from_text(rdtype)), ad_counts=True)

        assert answer == LookupFailed(bogus=False, why="the reply is malformed")


RDTYPES = st.sampled_from(["A", "AAAA", "MX", "TLSA", "TXT", "CNAME"])


@pytest.mark.requirement("7672-2.1.1-7")
@given(RDTYPES, st.binary(max_size=80), st.integers(0, 3), st.booleans())
def test_attack_arbitrary_octets_are_an_answer_or_passed_over(
    rdtype: str, junk: bytes, sections: int, truncated: bool
) -> None:
    """After a header and a question that fit; no other exception than those that mean malformed."""
    query = query_for("a.test", rdtype)
    wire = bytearray(query.to_wire()[: 12 + 8 + 4])
    wire[2] |= 0x80 | (0x02 if truncated else 0)
    wire[6:12] = bytes([0, sections, 0, sections, 0, sections])
    try:
        reply = read_message(bytes(wire) + junk, query)
    except (dns.exception.DNSException, ValueError):
        return

    assert isinstance(read_reply(reply, ad_counts=True), Found | Absent | LookupFailed)


@pytest.mark.requirement("7672-2.1.1-7")
@given(RDTYPES, st.data())
def test_attack_damaged_replies_are_an_answer_or_passed_over(rdtype: str, data: st.DataObject) -> None:
    """Any octets of a good reply changed."""
    query = query_for("a.test", rdtype)
    records = {
        "A": "192.0.2.1",
        "AAAA": "2001:db8::1",
        "MX": "10 mx.test.",
        "TLSA": "3 1 1 " + 32 * "ab",
        "TXT": '"v=STSv1; id=1"',
        "CNAME": "b.test.",
    }
    wire = bytearray(
        reply_to(
            query, "a.test. 9 CNAME b.test.", f"b.test. 9 {rdtype} {records[rdtype]}", authority=[SOA], ede=6
        ).to_wire()
    )
    for place, octet in data.draw(
        st.lists(st.tuples(st.integers(2, len(wire) - 1), st.integers(0, 255)), max_size=6)
    ):
        wire[place] = octet
    try:
        reply = read_message(bytes(wire), query)
    except (dns.exception.DNSException, ValueError):
        return

    assert isinstance(read_reply(reply, ad_counts=True), Found | Absent | LookupFailed)


def flood(rdtype: str, rdata: bytes, *, labels: int, records: int) -> bytes:
    """Return a reply with so many records alike but for a number, their names one label over the other."""
    name = b"\x01a" * labels + b"\0"
    record = struct.pack("!HHHIH", 0xC00C, RdataType.from_text(rdtype), 1, 9, len(rdata) + 2)
    header = struct.pack("!6H", 0, 0x8180, 1, records, 0, 0)
    question = name + struct.pack("!2H", RdataType.from_text(rdtype), 1)
    return header + question + b"".join(record + struct.pack("!H", n) + rdata for n in range(records))


@pytest.mark.parametrize(
    ("rdtype", "rdata", "labels", "records"),
    [
        pytest.param("MX", b"\xc0\x0c", 2, 4000, id="more hosts than any domain has"),
        pytest.param("MX", b"\xc0\x0c", 100, 20, id="names of a hundred labels"),
        pytest.param("A", b"\1\1", 2, 4000, id="more addresses than any host has"),
        pytest.param("A", b"\1\1", 100, 20, id="addresses of a name of a hundred labels"),
    ],
)
def test_attack_a_reply_that_takes_long_to_read_is_refused_before(
    rdtype: str, rdata: bytes, labels: int, records: int
) -> None:
    """All mail would wait meanwhile: 64 KB could take ten seconds."""
    wire = flood(rdtype, rdata, labels=labels, records=records)

    with pytest.raises(dns.exception.FormError, match="more than"):
        parse_message(wire, RdataType.from_text(rdtype))


def test_attack_options_that_take_long_to_read_are_refused_before() -> None:
    """Sixteen thousand of them, all empty."""
    wire = bytearray(reply_to(query_for("a.test", "A"), "a.test. 9 A 192.0.2.1", ede=6).to_wire())
    options = bytes(60_000)
    at = wire.rindex(b"\0\0\x29")
    wire[at + 9 :] = struct.pack("!H", len(options)) + options

    with pytest.raises(dns.exception.FormError, match="options"):
        parse_message(bytes(wire), A)


@pytest.mark.parametrize("labels", [2, MAX_LABELS])
def test_a_reply_within_the_limits_is_read(labels: int) -> None:
    """Names and numbers that no mail domain has, and still every record is there."""
    answer = read_reply(
        parse_message(flood("MX", b"\xc0\x0c", labels=labels, records=MAX_RECORDS - 1), MX), ad_counts=True
    )

    assert isinstance(answer, Found)
    assert len(answer.records) == MAX_RECORDS - 1


def test_texts_of_empty_strings_are_read_as_one() -> None:
    """However many; and a string that its record is too short for makes the reply malformed."""
    query = query_for("a.test", "TXT")
    wire = bytearray(reply_to(query, r"a.test. 9 TXT \# 5 0000000161").to_wire())

    assert read_reply(read_message(bytes(wire), query), ad_counts=True) == Found(
        (b"a",), secure=False, canonical=DomainName("a.test"), ttl=9.0
    )
    wire[wire.index(b"\0\0\0\1a") + 3] = 2
    assert isinstance(read_reply(read_message(bytes(wire), query), ad_counts=True), LookupFailed)


def test_records_that_answer_nothing_are_left_unread() -> None:
    """One that is malformed takes nothing from the answer beside it."""
    query = query_for("a.test", "A")
    wire = bytearray(reply_to(query, "a.test. 9 A 192.0.2.1", 'a.test. 9 TXT "abc"').to_wire())
    at = wire.index(b"\0\x10\0\1")
    wire[at : at + 2] = RdataType.from_text("SRV").to_bytes(2, "big")
    with pytest.raises(dns.exception.FormError):
        dns.message.from_wire(bytes(wire))

    answer = read_reply(read_message(bytes(wire), query), ad_counts=True)

    assert isinstance(answer, Found)
    assert answer.records == (ipaddress.ip_address("192.0.2.1"),)
