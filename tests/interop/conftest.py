"""A laboratory whose domains have foreign mail servers, each started when a test first asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from requiretls_lab.domains import Domain, MailHost
from requiretls_lab.laboratory import Laboratory
from tests.interop.clients import ca_file
from tests.interop.exim import Exim, exim
from tests.interop.next_hop import NextHop, Place
from tests.interop.postfix import Postfix, postfix
from tests.interop.smtp_server import SMTPServer, smtp_server

# Something of ours would be in the way where the foreign server is to listen.
_ELSEWHERE = MailHost(tlsa=("3 1 1",), listening=False)

DOMAINS = (
    *(Domain(f"{name}.test", (_ELSEWHERE,)) for name in ("smtp-server", "no-keyword", "postfix", "exim")),
    Domain("sender.test", (MailHost(tlsa=("3 1 1",)),)),
    Domain(
        "three.test",
        records=("@ MX 1 mx.exim.test.", "@ MX 2 mx.postfix.test.", "@ MX 3 mx.smtp-server.test."),
    ),
)


@pytest.fixture(scope="session")
def foreign_lab() -> Iterator[Laboratory]:
    """DNS for the foreign servers' domains, with TLSA records for their certificates."""
    with Laboratory(DOMAINS) as lab:
        yield lab


def place_of(lab: Laboratory, name: str) -> Place:
    """Return where the server of NAME.test is to listen."""
    host = lab.destination(f"mx.{name}.test")
    return Place(host.name, host.address, host.port, host.certificate)


@pytest.fixture(scope="session")
def smtp_server_on(foreign_lab: Laboratory) -> Iterator[SMTPServer]:
    """npm smtp-server with REQUIRETLS at smtp-server.test."""
    with smtp_server(place_of(foreign_lab, "smtp-server"), requiretls=True) as server:
        yield server


@pytest.fixture(scope="session")
def smtp_server_off(foreign_lab: Laboratory) -> Iterator[SMTPServer]:
    """npm smtp-server without REQUIRETLS at no-keyword.test."""
    with smtp_server(place_of(foreign_lab, "no-keyword"), requiretls=False) as server:
        yield server


@pytest.fixture(scope="session")
def postfix_server(foreign_lab: Laboratory) -> Iterator[Postfix]:
    """Debian's Postfix at postfix.test."""
    with postfix(place_of(foreign_lab, "postfix")) as server:
        yield server


@pytest.fixture(scope="session")
def exim_server(foreign_lab: Laboratory) -> Iterator[Exim]:
    """Debian's Exim at exim.test."""
    with exim(place_of(foreign_lab, "exim")) as server:
        yield server


@pytest.fixture(params=["smtp_server_off", "postfix_server", "exim_server"])
def hop_without_requiretls(request: pytest.FixtureRequest) -> NextHop:
    """Each foreign server that does not list REQUIRETLS."""
    server: NextHop = request.getfixturevalue(request.param)
    return server


@pytest.fixture(params=["postfix_server", "exim_server"])
def relay(request: pytest.FixtureRequest) -> Postfix | Exim:
    """Each foreign server that passes mail on."""
    server: Postfix | Exim = request.getfixturevalue(request.param)
    return server


@pytest.fixture
def trust(tmp_path: Path) -> str:
    """The file by which clients verify our receivers."""
    return ca_file(tmp_path)
