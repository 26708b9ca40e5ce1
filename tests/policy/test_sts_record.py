"""The `_mta-sts` TXT record, well-formed and not."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from requiretls_plugin.errors import InvalidSTSRecord
from requiretls_plugin.policy.sts_record import STSRecord, parse_sts_record


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        pytest.param(b"v=STSv1; id=1;", "1", id="the usual form"),
        pytest.param(b"v=STSv1;id=1", "1", id="no blanks, no last semicolon"),
        pytest.param(b"v=STSv1; id=20160831085700Z;", "20160831085700Z", id="a time as id"),
        pytest.param(b"v=STSv1;\t id=1 \t; ", "1", id="blanks and tabs around semicolons"),
        pytest.param(b"v=STSv1; id=" + b"a" * 32, "a" * 32, id="the longest id"),
        pytest.param(b"v=STSv1; foo=bar; id=1;", "1", id="the id after an extension"),
        pytest.param(b"v=STSv1; x-y=1; a.b=2; c_d=:/!~; id=1", "1", id="extensions of all characters"),
        pytest.param(b"v=STSv1; ID=9; id=1;", "1", id="an extension called ID"),
        pytest.param(b"v=STSv1; id=1; id=2;", "1", id="two ids, the first counts"),
    ],
)
@pytest.mark.requirement("8461-3.1-2", "8461-3.1-6", "8461-3.2-14", "8461-3.2-15")
def test_well_formed_record_gives_its_id(record: bytes, expected: str) -> None:
    """The grammar of section 3.1 is read in full."""
    assert parse_sts_record([record]) == STSRecord(expected)


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(b"v=STSv1;", id="no field"),
        pytest.param(b"v=STSv1; id=;", id="empty id"),
        pytest.param(b"v=STSv1; id=1; =x", id="field without name"),
        pytest.param(b"v=STSv1; id=1; x", id="field without value"),
        pytest.param(b"v=STSv1; id=1; x=", id="field with empty value"),
        pytest.param(b"v=STSv1; id=1; x=a=b", id="equals sign in a value"),
        pytest.param(b"v=STSv1; id=1; x=a b", id="blank in a value"),
        pytest.param(b"v=STSv1; id=1; -x=1", id="name begins with a hyphen"),
        pytest.param(b"v=STSv1; id=1; " + b"x" * 33 + b"=1", id="name of 33 characters"),
        pytest.param(b"v=STSv1; id=" + b"a" * 33, id="id of 33 characters"),
        pytest.param(b"v=STSv1; id=2016-08-31", id="id with hyphens"),
        pytest.param(b"v=STSv1; id=a_b", id="id with underscore"),
        pytest.param(b"v=STSv1; id = 1", id="blanks around the equals sign"),
        pytest.param(b"v=STSv1;; id=1", id="two semicolons"),
        pytest.param(b"v=STSv1; id=1;;", id="two semicolons at the end"),
        pytest.param(b"v=STSv1; id=1 ", id="blank at the end without a semicolon"),
        pytest.param(b"v=STSv1; id=1\n", id="line end"),
        pytest.param("v=STSv1; id=1; x=ü".encode(), id="octets outside US-ASCII"),
        pytest.param("v=STSv1; id=\N{ARABIC-INDIC DIGIT ONE}".encode(), id="a digit, but not ASCII"),
        pytest.param(b"v=STSv1; x=1", id="no id"),
    ],
)
@pytest.mark.requirement("8461-3.1-5", "8461-3.1-6")
def test_malformed_record_is_refused(record: bytes) -> None:
    """Nothing is guessed: a record outside the grammar means that there is no policy."""
    with pytest.raises(InvalidSTSRecord):
        parse_sts_record([record])


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(b"V=STSv1; id=1;", id="upper case V"),
        pytest.param(b"v=stsv1; id=1;", id="lower case version"),
        pytest.param(b"id=1; v=STSv1;", id="version not first"),
        pytest.param(b" v=STSv1; id=1;", id="blank before"),
        pytest.param(b"v=STSv1 ; id=1;", id="blank before the first semicolon"),
        pytest.param(b"v=STSv2; id=1;", id="another version"),
        pytest.param(b"v=STSv1", id="nothing but the version"),
        pytest.param(b"v=spf1 -all", id="SPF"),
        pytest.param(b"", id="empty"),
    ],
)
@pytest.mark.requirement("8461-3.1-2", "8461-3.1-3")
def test_record_that_begins_otherwise_is_no_mta_sts_record(record: bytes) -> None:
    """It is thrown away before counting, which is not the same as being invalid."""
    assert parse_sts_record([record]) is None
    assert parse_sts_record([record, b"v=STSv1; id=7"]) == STSRecord("7")


@pytest.mark.requirement("8461-3.1-4")
def test_two_records_are_as_bad_as_none() -> None:
    """Picking either would let whoever adds a record choose."""
    with pytest.raises(InvalidSTSRecord, match="2 MTA-STS records"):
        parse_sts_record([b"v=STSv1; id=1;", b"v=STSv1; id=2;"])


@pytest.mark.requirement("8461-3.1-4")
def test_equal_records_are_still_two() -> None:
    """The count decides, not what they say."""
    with pytest.raises(InvalidSTSRecord):
        parse_sts_record([b"v=STSv1; id=1;", b"v=STSv1; id=1;"])


def test_no_record_at_all_is_none() -> None:
    """An empty answer is no error."""
    assert parse_sts_record([]) is None


@pytest.mark.parametrize("filling", [b" ", b";", b"\t ;", b"a", b"=", b"a=1;"])
def test_attack_longest_record_is_read_in_no_time(filling: bytes) -> None:
    """A record may have 64 KB; reading it takes time in proportion, not in its square."""
    record = b"v=STSv1;" + filling * (65_000 // len(filling)) + b"\x00"
    begin = time.perf_counter()

    with pytest.raises(InvalidSTSRecord):
        parse_sts_record([record])

    assert time.perf_counter() - begin < 2.0


@settings(deadline=None)
@given(st.lists(st.binary() | st.binary().map(lambda tail: b"v=STSv1;" + tail), max_size=3))
def test_attack_any_octets_give_a_record_or_our_error(texts: list[bytes]) -> None:
    """A stranger's DNS cannot raise anything else."""
    try:
        record = parse_sts_record(texts)
    except InvalidSTSRecord:
        return
    assert record is None or (record.id.isascii() and record.id.isalnum() and len(record.id) <= 32)


@settings(deadline=None)
@given(st.from_regex(r"\A[A-Za-z0-9]{1,32}\Z"), st.from_regex(r"\A[ \t]{0,3}\Z"))
def test_any_id_in_the_grammar_is_read(policy_id: str, blanks: str) -> None:
    """What a domain may write comes out as written."""
    record = f"v=STSv1;{blanks}id={policy_id}{blanks};{blanks}"

    assert parse_sts_record([record.encode()]) == STSRecord(policy_id)
