"""Certificates and TLSA records of the laboratory, judged by OpenSSL."""

from __future__ import annotations

import contextlib
import ssl
import subprocess
from pathlib import Path

import pytest

from requiretls_lab.authority import EXPIRED, NOT_YET_VALID, Authority, Certificate, Issuer, Leaf
from requiretls_lab.domains import Domain, MailHost
from requiretls_lab.laboratory import Laboratory

NAME = "mx.a.test"


def handshake(authority: Authority, certificate: Certificate, *, common_name_counts: bool = True) -> int:
    """Return OpenSSL's verification code for *certificate* as the server *NAME*; 0 is good."""
    context = ssl.create_default_context(cafile=authority.ca_file)
    context.hostname_checks_common_name = common_name_counts
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(to_client, to_server, server_hostname=NAME)
    server = certificate.server_context().wrap_bio(to_server, to_client, server_side=True)
    try:
        for _ in range(3):
            for side in (client, server):
                with contextlib.suppress(ssl.SSLWantReadError):
                    side.do_handshake()
    except ssl.SSLCertVerificationError as error:
        return error.verify_code
    return 0


@pytest.mark.parametrize(
    ("leaf", "code"),
    [
        pytest.param(Leaf((NAME,)), 0, id="good"),
        pytest.param(Leaf(("other.test", NAME)), 0, id="good, second name"),
        pytest.param(Leaf(common_name=NAME), 0, id="common name only"),
        pytest.param(Leaf(("other.test",), common_name=NAME), 62, id="common name beside other DNS-IDs"),
        pytest.param(Leaf(("other.test",)), 62, id="other name"),
        pytest.param(Leaf((NAME,), days=EXPIRED), 10, id="expired"),
        pytest.param(Leaf((NAME,), days=NOT_YET_VALID), 9, id="not yet valid"),
        pytest.param(Leaf((NAME,), issuer=Issuer.SELF), 18, id="self-signed"),
        pytest.param(Leaf((NAME,), issuer=Issuer.UNTRUSTED), 19, id="untrusted authority"),
        pytest.param(
            Leaf((NAME,), issuer=Issuer.UNTRUSTED, send_issuer=False), 20, id="untrusted, issuer not sent"
        ),
    ],
)
def test_certificate_is_good_or_bad_as_asked_for(tmp_path: Path, leaf: Leaf, code: int) -> None:
    """OpenSSL finds the fault that the leaf was made with, and no other."""
    authority = Authority(tmp_path)

    assert handshake(authority, authority.issue(leaf)) == code


def test_common_name_does_not_count_for_mta_sts_clients(tmp_path: Path) -> None:
    """Where only DNS-IDs count (RFC 8461 section 4.2) a certificate with a common name only is refused."""
    authority = Authority(tmp_path)
    certificate = authority.issue(Leaf(common_name=NAME))

    assert handshake(authority, certificate, common_name_counts=False) == 62


@pytest.mark.parametrize(
    "form", ["3 1 1", "3 1 2", "3 1 0", "3 0 1", "3 0 0", "2 1 1", "2 0 1", "2 0 2", "2 0 0"]
)
def test_openssl_authenticates_by_tlsa(form: str) -> None:
    """`openssl s_client` accepts a mail server by each form of record, and by none that is wrong."""
    domain = Domain("a.test", (MailHost(tlsa=(form,)),))
    with Laboratory([domain]) as lab:
        server = lab.destination("mx.a.test")
        accepted = openssl_says(lab, server.certificate.tlsa(form))
        refused = openssl_says(lab, server.certificate.tlsa(f"{form} wrong")) if form[-1] != "0" else ""

    assert "Verification: OK" in accepted
    assert "DANE TLSA" in accepted
    assert "Verification: OK" not in refused


def openssl_says(lab: Laboratory, record: str) -> str:
    """Return what s_client says about mx.a.test with that TLSA record alone."""
    address = lab.destination("mx.a.test").address
    command = ["openssl", "s_client", "-connect", f"{address}:{lab.port}", "-starttls", "smtp", "-brief"]
    dane = ["-dane_tlsa_domain", "mx.a.test", "-dane_tlsa_rrdata", record]
    told = subprocess.run([*command, *dane], input="QUIT\n", capture_output=True, text=True, timeout=10)
    return told.stdout + told.stderr
