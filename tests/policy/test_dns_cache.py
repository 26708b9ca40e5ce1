"""How long answers are kept."""

from __future__ import annotations

import ipaddress

import pytest

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.policy.answers import Absent, Found, LookupFailed, TLSARecord
from requiretls_plugin.policy.dns_cache import MAX_NEGATIVE_TTL, MAX_TTL, AnswerCache
from requiretls_plugin.server_address import IPAddress

ADDRESS = ipaddress.ip_address("192.0.2.1")


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def found(ttl: float, count: int = 1) -> Found[IPAddress]:
    return Found(count * (ADDRESS,), secure=True, canonical=DomainName("a.test"), ttl=ttl)


@pytest.mark.requirement("6698-8.2-1")
@pytest.mark.parametrize("answer", [found(60.0), Absent(True, True, 60.0)], ids=["found", "absent"])
def test_an_answer_is_kept_for_its_ttl_and_no_longer(answer: Found[IPAddress] | Absent) -> None:
    """What is left of the TTL comes with it, so that nobody keeps it twice as long."""
    clock = Clock()
    cache = AnswerCache(clock)
    cache.put("question", answer)

    clock.now += 59.0
    kept = cache.get("question")
    clock.now += 1.0

    assert kept is not None
    assert kept.ttl == 1.0
    assert kept.secure
    assert cache.get("question") is None


@pytest.mark.parametrize(
    ("answer", "limit"),
    [(found(2.0**31), MAX_TTL), (Absent(True, False, 2.0**31), MAX_NEGATIVE_TTL)],
    ids=["found", "absent"],
)
def test_attack_absurd_ttl_is_capped(answer: Found[IPAddress] | Absent, limit: float) -> None:
    """Nobody can make us remember an absence for 68 years."""
    clock = Clock()
    cache = AnswerCache(clock)
    cache.put("question", answer)

    clock.now += limit

    assert cache.get("question") is None


@pytest.mark.parametrize("answer", [LookupFailed(True, "bogus"), found(0.0)], ids=["failure", "ttl 0"])
def test_failures_and_ttl_0_are_not_kept(answer: Found[IPAddress] | LookupFailed) -> None:
    """The next question is a new one."""
    cache = AnswerCache(Clock())

    cache.put("question", answer)

    assert cache.get("question") is None


def test_the_longest_unused_goes_first() -> None:
    """Room is counted in records."""
    cache = AnswerCache(Clock(), max_records=6)
    for question in "abc":
        cache.put(question, found(60.0))
    cache.get("a")

    cache.put("d", found(60.0))

    assert [question for question in "abcd" if cache.get(question)] == ["a", "c", "d"]


def test_attack_huge_answers_do_not_fill_the_memory() -> None:
    """One that is larger than the whole room is not kept at all."""
    cache = AnswerCache(Clock(), max_records=100)
    cache.put("small", found(60.0))

    cache.put("huge", found(60.0, count=3000))

    assert cache.get("huge") is None
    cache.put("next", found(60.0))
    assert cache.get("next") is not None


@pytest.mark.parametrize("record", [bytes(60_000), TLSARecord(3, 1, 0, bytes(60_000))], ids=["TXT", "TLSA"])
def test_attack_few_but_long_records_do_not_fill_the_memory(record: bytes | TLSARecord) -> None:
    """One of 64 KB takes the room of hundreds."""
    cache = AnswerCache(Clock(), max_records=1000)
    for number in range(10):
        cache.put(number, Found((record,), secure=True, canonical=DomainName("a.test"), ttl=60.0))

    assert sum(cache.get(number) is not None for number in range(10)) == 2


def test_replacing_an_answer_frees_its_room() -> None:
    """The count does not creep."""
    cache = AnswerCache(Clock(), max_records=4)
    cache.put("other", found(60.0))
    for _ in range(10):
        cache.put("question", found(60.0))

    assert cache.get("other") is not None
