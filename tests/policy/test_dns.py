"""The stub between several resolvers: what is final, what is believed, what is said."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import dns.flags
import dns.message
import pytest
from dns.rdatatype import NS, TXT

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.policy.answers import Absent, Answer, DNSSource, Found, LookupFailed
from requiretls_plugin.policy.dns import StubResolver
from requiretls_plugin.policy.dns_probe import Validation
from requiretls_plugin.policy.dns_query import Reply, Server, Unanswered
from requiretls_plugin.policy.dns_wire import parse_message
from requiretls_plugin.server_address import Nameserver
from requiretls_plugin.settings import DNSSettings
from tests.policy.dns_messages import reply_to
from tests.socketless import SocketlessLoop

NAME = DomainName("a.test")
FIRST = "127.0.0.1:53"
SECOND = "127.0.0.2:53"

T = TypeVar("T")

Script = Callable[[dns.message.Message], dns.message.Message | Unanswered | None]


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return what comes of *coroutine*; no time is waited for, so a busy machine changes nothing."""
    with asyncio.Runner(loop_factory=SocketlessLoop) as runner:
        return runner.run(coroutine)


class FakeServer:
    """A Server that answers out of *script*; None means that it never does."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.queries: list[dns.message.Message] = []
        self.closed = False

    async def ask(self, query: dns.message.Message) -> Reply:
        self.queries.append(query)
        await asyncio.sleep(0.001)  # no server answers in no time
        reply = self.script(query)
        if reply is None:
            await asyncio.Event().wait()
            raise AssertionError("unreachable")
        if isinstance(reply, Unanswered):
            return reply
        return parse_message(reply.to_wire(), query.question[0].rdtype)

    def close(self) -> None:
        self.closed = True


def secure(query: dns.message.Message) -> dns.message.Message:
    return reply_to(query, 'a.test. 60 TXT "validated"', ad=True)


def insecure(query: dns.message.Message) -> dns.message.Message:
    return reply_to(query, 'a.test. 60 TXT "not validated"')


def bogus(query: dns.message.Message) -> dns.message.Message:
    return reply_to(query, rcode="SERVFAIL", ede=6)


def bogus_unexplained(query: dns.message.Message) -> dns.message.Message:
    """As resolvers without RFC 8914 answer."""
    if query.flags & dns.flags.CD:
        return reply_to(query, 'a.test. 60 TXT "forged"')
    return reply_to(query, rcode="SERVFAIL")


def lame(query: dns.message.Message) -> dns.message.Message:
    return reply_to(query, rcode="SERVFAIL")


def refused(query: dns.message.Message) -> dns.message.Message:
    return reply_to(query, rcode="REFUSED")


def silent(query: dns.message.Message) -> None:
    return None


def closed_port(query: dns.message.Message) -> Unanswered:
    return Unanswered("Connection refused")


class Bed:
    """A StubResolver over fake servers."""

    def __init__(
        self, scripts: dict[str, Script], *, trust_ad: str = "loopback", timeout: float = 0.2
    ) -> None:
        self.servers = {Nameserver.parse(place): FakeServer(script) for place, script in scripts.items()}
        settings = DNSSettings.model_validate(
            {"nameservers": list(scripts), "trust_ad": trust_ad, "timeout": timeout}
        )
        self.stub = StubResolver(settings, connect=self._connect)

    def _connect(self, place: Nameserver, ca_file: Path | None) -> Server:
        return self.servers[place]

    def counts(self) -> list[int]:
        return [len(server.queries) for server in self.servers.values()]

    def txt(self) -> Answer[bytes]:
        return run(self.stub.txt(NAME))


def bed(first: Script, second: Script | None = None, *, trust_ad: str = "loopback") -> Bed:
    scripts = {FIRST: first} if second is None else {FIRST: first, SECOND: second}
    return Bed(scripts, trust_ad=trust_ad)


def test_the_stub_is_a_dns_source() -> None:
    """And mypy agrees."""
    source: DNSSource = bed(secure).stub

    assert run(source.txt(NAME)) == Found((b"validated",), True, NAME, 60.0)


@pytest.mark.requirement("7672-2.1.1-7", "7672-2.1.3-2")
@pytest.mark.parametrize("verdict", [bogus, bogus_unexplained, lame, refused])
def test_attack_non_validating_second_resolver_does_not_overrule_the_first(verdict: Script) -> None:
    """The first says that something is wrong; dnspython's own resolver would now ask the second."""
    both = bed(verdict, insecure)

    assert isinstance(both.txt(), LookupFailed)
    assert both.counts()[1] == 0


@pytest.mark.parametrize("nothing", [silent, closed_port])
def test_silence_leads_to_the_next_server(nothing: Script) -> None:
    """One resolver can be down."""
    both = bed(nothing, secure)

    assert both.txt() == Found((b"validated",), True, NAME, 60.0)


def test_attack_slow_servers_do_not_stretch_the_timeout() -> None:
    """It is the limit for all servers together, and all had their share."""
    both = Bed({FIRST: silent, SECOND: silent}, timeout=0.4)

    async def timed() -> tuple[Answer[bytes], float]:
        loop = asyncio.get_running_loop()
        started = loop.time()
        return await both.stub.txt(NAME), loop.time() - started

    answer, seconds = run(timed())

    assert isinstance(answer, LookupFailed)
    assert FIRST in answer.why
    assert SECOND in answer.why
    assert seconds == pytest.approx(0.4)
    assert both.counts() == [1, 1]


@pytest.mark.requirement("7672-2.1.1-3")
@pytest.mark.parametrize(
    ("script", "is_bogus", "questions"),
    [(bogus, True, 1), (bogus_unexplained, True, 2), (lame, False, 2), (refused, False, 1)],
)
def test_bogus_is_told_from_other_failures(script: Script, is_bogus: bool, questions: int) -> None:
    """By the extended error, or by asking once more without validation."""
    one = bed(script)

    answer = one.txt()

    assert isinstance(answer, LookupFailed)
    assert answer.bogus is is_bogus
    assert one.counts() == [questions]


def test_attack_the_unchecked_answer_is_never_used() -> None:
    """It only tells why there is no other."""
    assert "forged" not in str(bed(bogus_unexplained).txt())


def test_silence_after_servfail_is_still_servfail() -> None:
    """The second question is a courtesy."""

    def script(query: dns.message.Message) -> dns.message.Message | None:
        return None if query.flags & dns.flags.CD else lame(query)

    answer = bed(script).txt()

    assert answer == LookupFailed(bogus=False, why="SERVFAIL")


@pytest.mark.requirement("7672-2.1.1-1", "7672-2.1.1-4")
def test_ad_counts_only_if_the_server_that_answered_is_believed() -> None:
    """Under `never` nobody is."""
    answer = bed(secure, trust_ad="never").txt()

    assert isinstance(answer, Found)
    assert not answer.secure


def test_ad_of_a_resolver_on_the_network_is_not_believed() -> None:
    """192.0.2.53 says AD, but who says that it was 192.0.2.53?"""
    distant = Bed({"192.0.2.53:53": secure})

    answer = distant.txt()

    assert isinstance(answer, Found)
    assert not answer.secure


def test_ad_of_a_resolver_on_the_network_is_believed_if_the_operator_says_so() -> None:
    """He may know that the path is safe."""
    distant = Bed({"192.0.2.53:53": secure}, trust_ad="always")

    answer = distant.txt()

    assert isinstance(answer, Found)
    assert answer.secure


def test_queries_ask_for_validation_and_its_reasons() -> None:
    """RD and AD, never CD; EDNS for extended errors, no larger than what needs no fragments."""
    one = bed(secure)

    one.txt()

    (query,) = next(iter(one.servers.values())).queries
    assert query.flags == dns.flags.RD | dns.flags.AD
    assert query.edns == 0
    assert query.payload == 1232


def test_a_name_that_dns_has_no_room_for_is_a_failed_lookup() -> None:
    """`_25._tcp.` before the longest of names."""
    long = DomainName(".".join(4 * [62 * "a"])).child("_25._tcp")

    answer = run(bed(secure).stub.tlsa(long))

    assert isinstance(answer, LookupFailed)


def test_closing_closes_the_servers() -> None:
    """Connections do not outlive the resolver."""
    both = bed(secure, secure)

    both.stub.close()

    assert all(server.closed for server in both.servers.values())


def no_error(*, ad: bool, servers: str = "a.root-servers.net.") -> Script:
    return lambda query: reply_to(query, f". 60 NS {servers}", ad=ad)


def no_data(query: dns.message.Message) -> dns.message.Message:
    return reply_to(query)


PRIVATE = no_error(ad=False, servers="root-servers.net.example.")


@pytest.mark.requirement("7672-2.1.1-1")
@pytest.mark.parametrize(
    ("script", "trust_ad", "validation"),
    [
        pytest.param(no_error(ad=True), "loopback", Validation.VALIDATES, id="AD"),
        pytest.param(no_error(ad=True), "never", Validation.NOT_BELIEVED, id="AD, not believed"),
        pytest.param(no_error(ad=False), "loopback", Validation.DOES_NOT_VALIDATE, id="no AD"),
        pytest.param(PRIVATE, "loopback", Validation.UNSIGNED_ROOT, id="another root, no AD"),
        pytest.param(no_data, "loopback", Validation.UNSIGNED_ROOT, id="a root without name servers"),
        pytest.param(lame, "loopback", Validation.UNKNOWN, id="SERVFAIL"),
        pytest.param(silent, "loopback", Validation.UNKNOWN, id="silence"),
    ],
)
def test_a_probe_finds_out_whether_a_resolver_validates(
    script: Script, trust_ad: str, validation: Validation
) -> None:
    """One question for the root, as Postfix does."""
    one = bed(script, trust_ad=trust_ad)

    (probe,) = run(one.stub.probe())

    assert probe.server == FIRST
    assert probe.validation is validation
    assert probe.why


@pytest.mark.requirement("7672-2.1.1-4")
def test_attack_a_resolver_that_does_not_validate_is_no_substitute_after_a_probe(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whoever makes the validating one time out gains nothing."""

    def validating(query: dns.message.Message) -> dns.message.Message | Unanswered | None:
        return None if query.question[0].rdtype == TXT else no_error(ad=True)(query)

    both = bed(no_error(ad=False), validating)

    with caplog.at_level(logging.WARNING):
        run(both.stub.probe())
        run(both.stub.probe())

    assert isinstance(both.txt(), LookupFailed)
    [told] = caplog.messages
    assert FIRST in told
    assert both.counts()[0] == 2


def test_attack_whoever_makes_the_validating_resolver_fall_silent_brings_no_other_back() -> None:
    """Not even if it is silent when looked at; once it says that it does not validate, all are asked."""
    says: dict[str, Script] = {SECOND: no_error(ad=True)}
    both = bed(no_text(ad=False), lambda query: says[SECOND](query))
    run(both.stub.probe())
    says[SECOND] = silent
    run(both.stub.probe())

    assert isinstance(both.txt(), LookupFailed)
    assert both.counts()[0] == 2

    says[SECOND] = no_text(ad=False)
    run(both.stub.probe())

    assert isinstance(both.txt(), Found)
    assert both.counts()[0] == 4


def test_where_no_resolver_validates_a_probe_changes_nothing() -> None:
    """Mail still flows, only nothing is proven."""
    one = bed(lambda query: insecure(query) if query.question[0].rdtype == TXT else no_error(ad=False)(query))

    run(one.stub.probe())

    assert isinstance(one.txt(), Found)


def no_text(ad: bool) -> Script:
    """Return the script of a resolver that has no records but the root's."""
    return lambda query: no_error(ad=ad)(query) if query.question[0].rdtype == NS else insecure(query)


def blindness(bed: Bed) -> str | None:
    return run(bed.stub.blindness(0.0))


@pytest.mark.parametrize(
    ("script", "trust_ad", "why"),
    [
        pytest.param(no_error(ad=True), "loopback", None, id="validates"),
        pytest.param(
            no_error(ad=False),
            "loopback",
            f"{FIRST} does not validate (no AD bit in the answer for .)",
            id="no AD",
        ),
        pytest.param(no_error(ad=False), "never", None, id="no AD, and none is wanted"),
        pytest.param(PRIVATE, "loopback", None, id="a closed network, whose root may not be signed"),
        pytest.param(no_data, "loopback", None, id="a root without name servers"),
        pytest.param(no_error(ad=True), "never", None, id="AD, and none is wanted"),
        pytest.param(lame, "loopback", None, id="not known: SERVFAIL"),
        pytest.param(silent, "loopback", None, id="not known: silence"),
    ],
)
def test_an_answer_without_dnssec_proves_nothing_if_nobody_validates(
    script: Script, trust_ad: str, why: str | None
) -> None:
    """Unless the operator wants it so."""
    assert blindness(bed(script, trust_ad=trust_ad)) == why


def test_a_resolver_whose_word_does_not_count_proves_nothing_by_its_silence() -> None:
    """Its AD bit would not count either."""
    elsewhere = Bed({"192.0.2.1:53": no_error(ad=True)})

    why = blindness(elsewhere)

    assert why is not None
    assert why.startswith("192.0.2.1:53 validates, but dns.trust_ad says not to believe it")


def test_one_of_two_that_stops_validating_makes_what_it_said_worthless_and_is_left_out() -> None:
    """Until the next look its answers are doubted, from then on the other is asked."""
    sees = {FIRST: True}
    both = bed(lambda query: no_text(sees[FIRST])(query), no_text(ad=True))
    assert blindness(both) is None
    both.txt()
    assert both.counts() == [2, 1]

    sees[FIRST] = False
    assert FIRST in (blindness(both) or "")
    assert blindness(both) is None
    both.txt()
    assert both.counts() == [4, 4]


def test_what_a_blind_resolver_said_is_forgotten_when_it_sees_again() -> None:
    """Else mail would go without DANE until the last TTL is over."""
    sees = {FIRST: False}
    one = bed(lambda query: no_text(sees[FIRST])(query))
    assert blindness(one) is not None
    one.txt()
    one.txt()
    assert one.counts() == [2]

    sees[FIRST] = True
    assert blindness(one) is None
    one.txt()
    assert one.counts() == [4]


def test_absence_is_final_too() -> None:
    """No second opinion on NXDOMAIN."""
    both = bed(lambda query: reply_to(query, rcode="NXDOMAIN", ad=True), secure)

    assert isinstance(both.txt(), Absent)
    assert both.counts()[1] == 0
