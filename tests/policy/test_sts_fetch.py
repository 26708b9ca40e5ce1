"""Policies fetched from a real HTTPS server on loopback."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence

import pytest

from requiretls_lab.authority import EXPIRED, NOT_YET_VALID, Authority, Issuer, Leaf
from requiretls_lab.policy_host import PolicyAnswer
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.errors import PolicyFetchError
from requiretls_plugin.policy.sts_fetch import fetch_policy
from requiretls_plugin.policy.sts_policy import STSPolicy, parse_sts_policy
from requiretls_plugin.server_address import IPAddress
from tests.policy.sts_site import DOMAIN, GOOD, Place, policy_site

NAME = f"mta-sts.{DOMAIN}"


async def fetch_from(
    place: Place,
    addresses: Sequence[IPAddress] | None = None,
    *,
    domain: str = DOMAIN,
    timeout: float = 5.0,
) -> STSPolicy:
    return await fetch_policy(
        DomainName(domain),
        [place.address] if addresses is None else addresses,
        port=place.host.port,
        context=place.context,
        timeout=timeout,
    )


def fetched(
    authority: Authority,
    answer: PolicyAnswer | None = None,
    leaf: Leaf | None = None,
    work: Callable[[Place], Awaitable[STSPolicy]] = fetch_from,
) -> tuple[STSPolicy | PolicyFetchError, Place]:
    """Return the policy or the error, and the site with what it counted."""

    async def run() -> tuple[STSPolicy | PolicyFetchError, Place]:
        certificate = authority.issue(leaf) if leaf else None
        async with policy_site(authority, answer, certificate) as place:
            try:
                return await work(place), place
            except PolicyFetchError as error:
                return error, place

    return asyncio.run(run())


def result_type(outcome: STSPolicy | PolicyFetchError) -> str:
    assert isinstance(outcome, PolicyFetchError)
    return outcome.result_type


@pytest.mark.requirement("8461-3.2-1", "8461-7.1-1")
def test_policy_is_fetched_with_the_policy_host_as_sni(authority: Authority) -> None:
    """The site counts handshakes by SNI, and requests by method, path and Host."""
    outcome, place = fetched(authority)

    assert outcome == parse_sts_policy(GOOD.encode())
    assert (place.site.handshakes, place.site.requests) == (1, 1)


@pytest.mark.parametrize(
    "names",
    [
        pytest.param((NAME,), id="the name"),
        pytest.param(("*.example.org",), id="a star for the first label"),
        pytest.param(("www.example.org", NAME), id="one of several names"),
    ],
)
@pytest.mark.requirement("8461-3.3-1", "8461-3.3-3")
def test_certificate_has_to_carry_the_policy_host_as_dns_id(
    authority: Authority, names: tuple[str, ...]
) -> None:
    """A star may stand for the whole first label."""
    outcome, _ = fetched(authority, leaf=Leaf(names))

    assert outcome == parse_sts_policy(GOOD.encode())


@pytest.mark.parametrize(
    "leaf",
    [
        pytest.param(Leaf(("example.org",)), id="the domain's name"),
        pytest.param(
            Leaf(("mta-sts.provider.example",)), id="the provider's name, where the host is an alias"
        ),
        pytest.param(Leaf(("*.mta-sts.example.org",)), id="a star below the name"),
        pytest.param(Leaf(("mta*.example.org",)), id="a star within the label"),
        pytest.param(Leaf(common_name=NAME), id="common name only"),
        pytest.param(Leaf(("www.example.org",), common_name=NAME), id="common name beside another DNS-ID"),
        pytest.param(Leaf((NAME,), days=EXPIRED), id="expired"),
        pytest.param(Leaf((NAME,), days=NOT_YET_VALID), id="not yet valid"),
        pytest.param(Leaf((NAME,), issuer=Issuer.SELF), id="self-signed"),
        pytest.param(Leaf((NAME,), issuer=Issuer.UNTRUSTED), id="unknown authority"),
    ],
)
@pytest.mark.requirement("8461-3.3-1", "8461-3.3-2", "8461-3.3-3", "8461-8.2-1")
def test_attack_certificate_that_does_not_prove_the_name(authority: Authority, leaf: Leaf) -> None:
    """No request is even sent, and no other address is tried instead."""

    async def twice(place: Place) -> STSPolicy:
        return await fetch_from(place, [place.address, place.address])

    outcome, place = fetched(authority, leaf=leaf, work=twice)

    assert result_type(outcome) == "sts-webpki-invalid"
    assert (place.site.handshakes, place.site.requests) == (1, 0)


@pytest.mark.requirement("8461-7.2-1")
def test_tls_below_1_2_is_a_failed_fetch(authority: Authority) -> None:
    """Not the certificate is at fault, so the report must not say so."""

    async def with_old_tls(place: Place) -> STSPolicy:
        old = place.site.certificate.server_context(maximum=ssl.TLSVersion.TLSv1_1)
        server = await asyncio.start_server(
            place.host.connected, str(place.unused_address), place.host.port, ssl=old
        )
        async with server:
            return await fetch_from(place, [place.unused_address])

    outcome, _ = fetched(authority, work=with_old_tls)

    assert result_type(outcome) == "sts-policy-fetch-error"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(PolicyAnswer(GOOD, status=404), id="status"),
        pytest.param(PolicyAnswer(GOOD, content_type="text/html"), id="content type"),
        pytest.param(PolicyAnswer(GOOD, padding=66_000), id="too large"),
        pytest.param(
            PolicyAnswer(raw=b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000), id="header without end"
        ),
        pytest.param(PolicyAnswer(raw=b"220 ESMTP\r\n"), id="not HTTP"),
        pytest.param(PolicyAnswer(raw=b""), id="nothing"),
    ],
)
@pytest.mark.requirement("8461-3.3-5", "8461-3.2-2", "8461-3.3-9")
def test_answer_that_is_no_policy_file_is_a_failed_fetch(authority: Authority, answer: PolicyAnswer) -> None:
    """The details are in test_sts_http; here they come over the wire."""
    outcome, place = fetched(authority, answer)

    assert result_type(outcome) == "sts-policy-fetch-error"
    assert place.site.requests == 1


@pytest.mark.requirement("8461-3.3-6")
def test_attack_redirect_to_a_valid_policy_is_not_followed(authority: Authority) -> None:
    """Even a redirect to the very same place is the end."""
    redirect = PolicyAnswer(GOOD, status=302, redirect=f"https://{NAME}/.well-known/mta-sts.txt")

    outcome, place = fetched(authority, redirect)

    assert result_type(outcome) == "sts-policy-fetch-error"
    assert place.site.requests == 1


@pytest.mark.requirement("8461-3.3-12")
def test_file_that_does_not_parse_is_an_invalid_policy(authority: Authority) -> None:
    """RFC 8460 has a word of its own for this."""
    outcome, _ = fetched(authority, PolicyAnswer("version: STSv1\n"))

    assert result_type(outcome) == "sts-policy-invalid"


@pytest.mark.requirement("8461-3.3-9")
def test_attack_slow_drip_does_not_stretch_the_deadline(authority: Authority) -> None:
    """Each octet comes in time, all of them would take 40 seconds; the limit is for all."""
    begin = time.monotonic()

    outcome, _ = fetched(
        authority,
        PolicyAnswer(GOOD, interval=0.2),
        work=lambda place: fetch_from(place, timeout=0.5),
    )

    assert result_type(outcome) == "sts-policy-fetch-error"
    assert time.monotonic() - begin < 2.0


@pytest.mark.requirement("8461-3.3-9")
def test_attack_server_that_never_shakes_hands(authority: Authority) -> None:
    """A TCP connection is no TLS session; waiting for one ends with the deadline."""

    async def silent(place: Place) -> STSPolicy:
        with socket.create_server((str(place.unused_address), place.host.port)):
            return await fetch_from(place, [place.unused_address], timeout=0.3)

    begin = time.monotonic()
    outcome, _ = fetched(authority, work=silent)

    assert result_type(outcome) == "sts-policy-fetch-error"
    assert time.monotonic() - begin < 2.0


def test_next_address_is_tried_if_one_refuses(authority: Authority) -> None:
    """One dead address is no failed fetch."""
    outcome, _ = fetched(
        authority, work=lambda place: fetch_from(place, [place.unused_address, place.address])
    )

    assert isinstance(outcome, STSPolicy)


def test_silent_address_leaves_time_for_the_next(authority: Authority) -> None:
    """An address that accepts and says nothing costs its share of the time, not all of it."""

    async def half_silent(place: Place) -> STSPolicy:
        with socket.create_server((str(place.unused_address), place.host.port)):
            return await fetch_from(place, [place.unused_address, place.address], timeout=1.0)

    outcome, _ = fetched(authority, work=half_silent)

    assert isinstance(outcome, STSPolicy)


def test_ipv6_is_tried_first(authority: Authority) -> None:
    """The order is ours, not that of the answer: the address tried last is the one in the reason."""

    async def dead(place: Place) -> STSPolicy:
        return await fetch_from(place, [place.unused_address, ipaddress.ip_address("::1")])

    failure, place = fetched(authority, work=dead)

    assert isinstance(failure, PolicyFetchError)
    assert failure.why.startswith(f"{place.unused_address}: cannot be reached")


def test_no_address_is_a_failed_fetch(authority: Authority) -> None:
    """There is nothing to wait for."""
    outcome, _ = fetched(authority, work=lambda place: fetch_from(place, []))

    assert result_type(outcome) == "sts-policy-fetch-error"


def test_fetch_that_is_cancelled_leaves_no_connection_behind(authority: Authority) -> None:
    """Stopping the engine while a server drips ends the session at once."""

    async def cancelled(place: Place) -> STSPolicy:
        task = asyncio.ensure_future(fetch_from(place))
        await asyncio.wait([task], timeout=0.3)
        assert place.site.requests == 1
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        return parse_sts_policy(GOOD.encode())

    begin = time.monotonic()
    fetched(authority, PolicyAnswer(GOOD, interval=0.2), work=cancelled)

    assert time.monotonic() - begin < 2.0
