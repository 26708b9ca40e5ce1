"""The MTA-STS policy sites, met by plain HTTPS clients."""

from __future__ import annotations

import dataclasses
import socket
import ssl
import time

import pytest

from requiretls_lab.authority import EXPIRED, Leaf
from requiretls_lab.dns_questions import ask
from requiretls_lab.domains import Domain, MailHost, Policy
from requiretls_lab.laboratory import Laboratory
from requiretls_lab.policy_host import PATH, PolicyAnswer, PolicySite, policy_text
from requiretls_lab.zones import ZoneKind

SITE = "mta-sts.sts.test"


@pytest.fixture
def site(lab: Laboratory) -> PolicySite:
    """The policy site of sts.test."""
    return lab.policy_site("sts.test")


def fetched(lab: Laboratory, address: str, name: str = SITE, path: str = PATH) -> bytes:
    """Return the whole HTTP answer of the policy host *name* at *address*, its certificate verified."""
    context = ssl.create_default_context(cafile=lab.authority.ca_file)
    request = f"GET {path} HTTP/1.1\r\nHost: {name}\r\n\r\n"
    with (
        socket.create_connection((address, lab.policy_port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=name) as client,
    ):
        client.sendall(request.encode())
        received = b""
        while part := client.recv(65_536):
            received += part
    return received


def test_policy_is_served_where_dns_says(lab: Laboratory) -> None:
    """The A record of mta-sts.DOMAIN leads to the policy, over a certificate for that name."""
    (address,) = ask(lab.resolver, SITE, "A").answer[0]

    answer = fetched(lab, address.to_text())

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"\r\nContent-Type: text/plain\r\n" in answer
    assert answer.endswith(policy_text("enforce", "mx.sts.test").encode())


def test_txt_record_announces_the_policy(lab: Laboratory) -> None:
    """The record is there, of the down site too."""
    for domain in ("sts.test", "sts-down.test"):
        (record,) = ask(lab.resolver, f"_mta-sts.{domain}", "TXT").answer[0]
        assert record.to_text() == '"v=STSv1; id=1;"'


def test_requests_are_counted(lab: Laboratory, site: PolicySite) -> None:
    """Handshakes and requests are counted apart, other paths not at all."""
    fetched(lab, site.address)
    assert fetched(lab, site.address, path="/robots.txt").startswith(b"HTTP/1.1 404 ")

    assert (site.handshakes, site.requests) == (2, 1)


def test_one_address_serves_several_domains(lab: Laboratory, site: PolicySite) -> None:
    """SNI chooses the certificate and Host the policy, whatever the address."""
    answer = fetched(lab, site.address, name="mta-sts.sts-testing.test")

    assert b"mode: testing" in answer
    assert site.requests == 0


def test_client_without_a_known_name_gets_a_strangers_certificate(lab: Laboratory, site: PolicySite) -> None:
    """A client that forgets SNI, or sends the wrong one, cannot succeed by accident."""
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        fetched(lab, site.address, name="mta-sts.elsewhere.test")

    assert caught.value.verify_code == 62


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(PolicyAnswer(status=404), b"HTTP/1.1 404 ", id="status"),
        pytest.param(
            PolicyAnswer(status=301, redirect="https://elsewhere.test/"),
            b"Location: https://elsewhere.test/\r\n",
            id="redirect",
        ),
        pytest.param(PolicyAnswer(content_type="text/html"), b"Content-Type: text/html\r\n", id="type"),
        pytest.param(PolicyAnswer("a\n", padding=100_000), b"x" * 100_000, id="huge"),
        pytest.param(PolicyAnswer(raw=b"SSH-2.0-x\r\n"), b"SSH-2.0-x\r\n", id="raw"),
    ],
)
def test_answer_is_scripted(lab: Laboratory, site: PolicySite, answer: PolicyAnswer, expected: bytes) -> None:
    """What the site answers can be replaced while it runs."""
    site.answer = answer

    assert expected in fetched(lab, site.address)


def test_answer_can_drip(lab: Laboratory, site: PolicySite) -> None:
    """Octets come one by one, so that no single read takes long and all of them do."""
    site.answer = PolicyAnswer(raw=b"0123456789", interval=0.01)
    begin = time.monotonic()

    assert fetched(lab, site.address) == b"0123456789"
    assert time.monotonic() - begin >= 0.09


def test_certificate_can_be_wrong(lab: Laboratory, site: PolicySite) -> None:
    """The site may show a certificate that expired."""
    site.certificate = lab.authority.issue(Leaf((SITE,), days=EXPIRED))
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        fetched(lab, site.address)

    assert caught.value.verify_code == 10


def test_site_can_be_down(lab: Laboratory, site: PolicySite) -> None:
    """Described as down or stopped by a test, a site refuses connections; a reset brings it back."""
    with pytest.raises(ConnectionRefusedError):
        fetched(lab, lab.policy_site("sts-down.test").address)
    lab.stop(site)
    with pytest.raises(ConnectionRefusedError):
        fetched(lab, site.address)
    lab.reset()
    assert fetched(lab, site.address)


def test_published_change_of_the_policy_id_is_seen() -> None:
    """A domain may get a new record while its servers stay."""
    policy = Policy.enforce("mx.a.test")
    domain = Domain("a.test", (MailHost(),), ZoneKind.UNSIGNED, policy)
    with Laboratory([domain]) as lab:
        address = lab.policy_site("a.test").address
        renewed = dataclasses.replace(policy, txt="v=STSv1; id=2;")
        lab.publish(dataclasses.replace(domain, policy=renewed))
        after = ask(lab.resolver, "_mta-sts.a.test", "TXT").answer[0].to_text()
        lab.reset()
        restored = ask(lab.resolver, "_mta-sts.a.test", "TXT").answer[0].to_text()

        assert "id=2" in after
        assert "id=1" in restored
        assert lab.policy_site("a.test").address == address
