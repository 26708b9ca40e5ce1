"""Which TXT records ask for reports on TLS."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from requiretls_plugin.observe.tlsrpt_record import reporting_record

GOOD = b"v=TLSRPTv1; rua=mailto:a@example.com"


@pytest.mark.requirement("8460-3-2", "8460-3-5", "8460-3-6", "8460-3-10")
@pytest.mark.parametrize(
    "record",
    [
        pytest.param(GOOD, id="one mailbox"),
        pytest.param(GOOD + b";", id="a semicolon at the end"),
        pytest.param(b"v=TLSRPTv1;rua=https://r.example/v1", id="HTTPS, no blanks"),
        pytest.param(b"v=TLSRPTv1; rua=mailto:a@example.com , https://r.example/v1", id="two destinations"),
        pytest.param(b"v=TLSRPTv1; rua=mailto:a%2Cb@example.com", id="an encoded comma"),
        pytest.param(b"v=TLSRPTv1; x-y=1; rua=mailto:a@example.com;", id="a field nobody knows"),
    ],
)
def test_a_record_that_asks_for_reports_is_passed_on_as_it_is(record: bytes) -> None:
    """The collector, and later the writer of reports, get the record itself."""
    assert reporting_record([record]) == record.decode()


@pytest.mark.requirement("8460-3-2", "8460-3-3", "8460-3-4")
@pytest.mark.parametrize(
    "record",
    [
        pytest.param(b"v=tlsrptv1; rua=mailto:a@example.com", id="the version in lower case"),
        pytest.param(b"v=TLSRPTv2; rua=mailto:a@example.com", id="another version"),
        pytest.param(b"rua=mailto:a@example.com; v=TLSRPTv1", id="the version not first"),
        pytest.param(b"v=TLSRPTv1;", id="no destination"),
        pytest.param(b"v=TLSRPTv1; rua=;", id="an empty destination"),
        pytest.param(b"v=TLSRPTv1; rua=http://a.example/x,ftp://b.example", id="no scheme we know"),
        pytest.param(b"v=TLSRPTv1; ???; rua=mailto:a@example.com", id="a malformed field"),
        pytest.param(b"v=TLSRPTv1; rua=mailto:a@example.com\xff", id="not ASCII"),
        pytest.param(b"v=TLSRPTv1; rua=mailto:a@example.com\n", id="a line end"),
        pytest.param(GOOD + b"a" * 5_000, id="longer than any use needs"),
    ],
)
def test_everything_else_asks_for_nothing(record: bytes) -> None:
    """No record, no report: a doubt is decided for silence."""
    assert reporting_record([record]) is None


@pytest.mark.requirement("8460-3-7")
def test_other_txt_records_do_not_matter() -> None:
    """What does not begin with the version is dropped before counting."""
    assert reporting_record([b"hello", GOOD, b"v=spf1 -all"]) == GOOD.decode()


@pytest.mark.requirement("8460-3-8")
def test_two_records_count_as_none() -> None:
    """Nobody can say which of the two is meant."""
    assert reporting_record([GOOD, b"v=TLSRPTv1; rua=mailto:b@example.com"]) is None


@given(st.lists(st.binary(max_size=60)))
def test_attack_any_bytes_give_a_record_or_none(records: list[bytes]) -> None:
    """A stranger's TXT records raise nothing, and what is passed on is printable."""
    record = reporting_record(records)

    assert record is None or record.isprintable()
