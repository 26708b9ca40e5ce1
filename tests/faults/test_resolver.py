"""The resolver dies, hangs, is slow, stops validating, and comes back: mail waits, and nothing bounces."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from requiretls_lab.authority import Issuer, Leaf
from requiretls_lab.domains import Domain, MailHost
from requiretls_lab.laboratory import Laboratory
from requiretls_lab.resolver_proxy import Middlebox
from requiretls_plugin.delivery.outcome import Attempt
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.engine import Engine
from requiretls_plugin.explain import explain
from requiretls_plugin.findings import judge
from requiretls_plugin.findings_file import findings_as_json, findings_from_json
from requiretls_plugin.hookspecs import hookimpl
from requiretls_plugin.message import Recipient
from requiretls_plugin.policy import dns
from requiretls_plugin.preflight import Verdict
from requiretls_plugin.reason import Reason
from requiretls_plugin.requirement import Requirement
from requiretls_plugin.settings import Settings
from tests.delivery.delivering import deliver, delivered_by, in_words, message, plugins

REQUIRED, UNSTATED = Requirement.REQUIRED, Requirement.UNSTATED

DELIVERED = "delivered dane requiretls"
WAITS = "deferred 451 4.4.3 dns-failure"
OUR_FAULT = "deferred 451 4.3.5 configuration"
NOT_PROVEN = "failed 550 5.7.10 name-not-proven"

Try = Callable[[str], Awaitable[str]]


@contextlib.asynccontextmanager
async def engine_of(settings: Settings) -> AsyncIterator[Engine]:
    """Run an engine that sees by the laboratory's zone who validates: it has no root."""
    async with Engine(settings, plugins()) as engine:
        engine.watched.dns.signed_zone = "test."
        yield engine


def scene(settings: Settings, play: Callable[[Engine, Try], Awaitable[None]]) -> None:
    """Play with an engine, and a function that sends it a REQUIRED message for a domain."""

    async def run() -> None:
        async with engine_of(settings) as engine:

            async def attempt(domain: str) -> str:
                [outcome] = await delivered_by(engine, message(REQUIRED), f"u@{domain}")
                return in_words(outcome)

            await play(engine, attempt)

    asyncio.run(run())


# It is not there


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["dead", "hanging"])
def test_mail_waits_while_the_resolver_is_gone_and_goes_when_it_is_back(
    number: signal.Signals, lab: Laboratory
) -> None:
    """Whatever is asked of TLS; what was looked up before goes on for as long as it holds."""

    async def play(engine: Engine, attempt: Try) -> None:
        assert await attempt("dane-ee.test") == DELIVERED
        with gone(lab, number):
            assert await attempt("dane-ee.test") == DELIVERED
            for domain in ("dane-ta.test", "sts.test", "no-such.test", "unproven.test"):
                assert await attempt(domain) == WAITS
            [unstated] = await delivered_by(engine, message(UNSTATED), "u@no-starttls.test")
            assert in_words(unstated) == WAITS
        assert await attempt("dane-ta.test") == DELIVERED
        assert await attempt("sts.test") == "delivered sts-pkix requiretls"
        assert await attempt("no-such.test") == "failed 550 5.1.2 no-such-domain"
        assert await attempt("unproven.test") == NOT_PROVEN

    scene(lab.settings(dns={"timeout": 0.5}), play)


@contextlib.contextmanager
def gone(lab: Laboratory, number: signal.Signals) -> Iterator[None]:
    """Send the resolver a signal, and let it come back at the end."""
    lab.nameserver.signal(number)
    try:
        yield
    finally:
        if number is signal.SIGSTOP:
            lab.nameserver.signal(signal.SIGCONT)
        else:
            lab.nameserver.restart()


# It is slow


def test_a_slow_resolver_slows_mail_down_and_stops_none(lab: Laboratory) -> None:
    """Each of the few lookups that follow one another takes its time, and others are not kept waiting."""
    with lab.resolver_behind(Middlebox(delay=0.3)) as proxy:
        place = f"{proxy.address}:{proxy.port}"

        async def play(engine: Engine, attempt: Try) -> None:
            before = time.monotonic()
            domains = ("dane-ee.test", "dane-ta.test", "two-hosts.test") * 10
            assert set(await asyncio.gather(*map(attempt, domains))) == {DELIVERED}
            assert time.monotonic() - before >= 3 * 0.3
            assert proxy.questions < 60

        scene(lab.settings(dns={"nameservers": [place], "timeout": 20.0}), play)


def test_a_resolver_that_is_slower_than_we_wait_defers(lab: Laboratory) -> None:
    """And what comes too late does no harm: the next lookup has its own answer."""
    with lab.resolver_behind(Middlebox(delay=0.4)) as proxy:
        place = f"{proxy.address}:{proxy.port}"

        async def play(engine: Engine, attempt: Try) -> None:
            for domain in ("dane-ee.test", "unproven.test", "no-such.test", "sts.test"):
                assert await attempt(domain) == WAITS
            proxy.middlebox = Middlebox()
            assert await attempt("dane-ee.test") == DELIVERED
            assert await attempt("unproven.test") == NOT_PROVEN

        scene(lab.settings(dns={"nameservers": [place], "timeout": 0.2}), play)


def test_a_failure_that_cannot_be_made_sure_of_in_time_is_none(lab: Laboratory) -> None:
    """The resolver falls silent between the verdict and the second look."""
    with lab.resolver_behind(Middlebox()) as proxy:

        class Silencing:
            @hookimpl
            def requiretls_attempted(self, attempt: Attempt) -> None:
                proxy.middlebox = Middlebox(silent=True)

        settings = lab.settings(
            dns={"nameservers": [f"{proxy.address}:{proxy.port}"], "timeout": 20.0},
            delivery={"total_timeout": 2.0},
        )
        [outcome] = deliver(settings, message(REQUIRED), "u@unproven.test", watching=[Silencing()])
        assert in_words(outcome) == "deferred 451 4.4.1 host-unreachable"


# It does not validate any more


@contextlib.contextmanager
def blind(lab: Laboratory) -> Iterator[None]:
    """Run the laboratory's own resolver without validation, with the same zones."""
    lab.nameserver.validating = False
    try:
        lab.publish()
        yield
    finally:
        lab.nameserver.validating = True
        lab.publish()


@pytest.mark.requirement("8689-4.2.1-18")
def test_where_the_resolver_stopped_validating_mail_waits(lab: Laboratory) -> None:
    """A name that is not proven because nothing can be is our fault, not the recipient's."""

    async def play(engine: Engine, attempt: Try) -> None:
        assert await attempt("dane-ee.test") == DELIVERED
        assert await attempt("unproven.test") == NOT_PROVEN
        with blind(lab):
            for domain in ("dane-ta.test", "unproven.test", "dnssec-pkix.test", "half-dane.test"):
                assert await attempt(domain) == OUR_FAULT
            # What needs no DNSSEC goes on, and so does what fails for another reason.
            assert await attempt("sts.test") == "delivered sts-pkix requiretls"
            assert await attempt("implicit.test") == "delivered implicit-pkix requiretls"
            assert await attempt("null-mx.test") == "failed 556 5.1.10 null-mx"
            [unstated] = await delivered_by(engine, message(UNSTATED), "u@two-hosts.test")
            assert in_words(unstated) == "delivered encrypted"
        assert await attempt("dane-ta.test") == DELIVERED
        assert await attempt("dnssec-pkix.test") == "delivered dnssec-pkix requiretls"
        assert await attempt("unproven.test") == NOT_PROVEN

    scene(lab.settings(), play)


@pytest.mark.requirement("8689-4.2.1-18")
def test_answers_of_the_blind_time_let_nothing_fail_later(lab: Laboratory) -> None:
    """They are in the cache for minutes: before a message fails for want of DNSSEC, all is asked anew."""
    with lab.resolver_behind(Middlebox(strip_ad=True)) as proxy:

        async def play(engine: Engine, attempt: Try) -> None:
            # Looked up for mail that asks for nothing, while nobody has noticed.
            [unstated] = await delivered_by(engine, message(UNSTATED), "u@dane-ee.test")
            assert in_words(unstated) == "delivered encrypted"
            proxy.middlebox = Middlebox()
            assert await attempt("dane-ee.test") == DELIVERED

        place = f"{proxy.address}:{proxy.port}"
        scene(lab.settings(dns={"nameservers": [place]}), play)


def test_a_certificate_that_only_dane_would_prove_is_no_failure_of_the_blind(lab: Laboratory) -> None:
    """The MX list is still known as secure, the host's addresses are not any more."""
    leaf = Leaf(("self-signed.test",), issuer=Issuer.SELF)
    lab.publish(Domain("self-signed.test", (MailHost("@", None, ("3 1 1",), leaf),)))
    with lab.resolver_behind(Middlebox(strip_ad=True)) as proxy:

        async def play(engine: Engine, attempt: Try) -> None:
            assert await attempt("self-signed.test") == OUR_FAULT
            proxy.middlebox = Middlebox()
            assert await attempt("self-signed.test") == DELIVERED

        place = f"{proxy.address}:{proxy.port}"
        scene(lab.settings(dns={"nameservers": [place]}), play)


def test_no_mail_waits_for_a_resolver_that_says_nothing_about_the_root(
    lab: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a closed network; only before a failure is final it is given a moment, and decides nothing."""
    with lab.resolver_behind(Middlebox(rootless=True)) as proxy:
        settings = lab.settings(dns={"nameservers": [f"{proxy.address}:{proxy.port}"], "timeout": 60.0})

        async def attempt(engine: Engine, domain: str) -> str:
            [outcome] = await delivered_by(engine, message(REQUIRED), f"u@{domain}")
            return in_words(outcome)

        async def patiently() -> None:
            monkeypatch.setattr(dns, "LOOK_SECONDS", 60.0)
            async with Engine(settings, plugins()) as engine, asyncio.timeout(30):
                assert await attempt(engine, "sts.test") == "delivered sts-pkix requiretls"
                [unstated] = await delivered_by(engine, message(UNSTATED), "u@no-starttls.test")
                assert in_words(unstated) == "delivered cleartext"

        async def briefly() -> None:
            monkeypatch.setattr(dns, "LOOK_SECONDS", 0.2)
            async with Engine(settings, plugins()) as engine:
                assert await attempt(engine, "unproven.test") == NOT_PROVEN

        asyncio.run(patiently())
        asyncio.run(briefly())


@pytest.mark.requirement("7672-2.1.1-4")
def test_whoever_wants_no_dnssec_gets_failures(lab: Laboratory) -> None:
    """With `trust_ad = "never"` only MTA-STS proves names, and what it does not prove is not proven."""

    async def play(engine: Engine, attempt: Try) -> None:
        assert await attempt("dane-ee.test") == NOT_PROVEN
        assert await attempt("sts.test") == "delivered sts-pkix requiretls"

    scene(lab.settings(dns={"trust_ad": "never"}), play)
    with blind(lab):
        scene(lab.settings(dns={"trust_ad": "never"}), play)


def test_check_and_explain_say_what_a_delivery_does(lab: Laboratory) -> None:
    """They find our fault, too, and the domain is not told to change anything."""

    async def play(engine: Engine, attempt: Try) -> None:
        with blind(lab):
            readiness = await engine.check(DomainName("dane-ee.test"))
            assert (readiness.verdict, readiness.reason) == (Verdict.UNKNOWN, Reason.CONFIGURATION)
            [host] = readiness.hosts
            assert "does not validate" in host.why
            findings = await engine.findings(Recipient.parse("u@dane-ee.test"))
            assert judge(findings, REQUIRED).reason is Reason.CONFIGURATION
            assert judge(findings, UNSTATED).reason is None
            explained = explain(findings_from_json(findings_as_json(findings).encode()))
            [step] = [each for each in explained.steps if each.subject == "DNSSEC on this machine"]
            assert "does not validate" in step.found[0]
            assert all("requiretls doctor" in advice.what for advice in explained.advice)

    scene(lab.settings(), play)
