"""The laboratory, for every test that asks for it."""

from __future__ import annotations

import importlib.util
import signal
import sys
from collections.abc import Iterator

import hypothesis
import pytest

from requiretls_lab.catalogue import CATALOGUE
from requiretls_lab.laboratory import Laboratory

# setup.cfg asks for Mailman only where a release of it runs.
WITHOUT_MAILMAN = sys.version_info >= (3, 13) and importlib.util.find_spec("mailman") is None
collect_ignore = ["hooks/mailman"] if WITHOUT_MAILMAN else []

# How long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile("requiretls", deadline=None)
hypothesis.settings.load_profile("requiretls")

# Programs that tests start and then end by these inherit that they are ignored, as under nohup or behind `&`.
for number, usual in ((signal.SIGHUP, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, usual)


def pytest_report_header() -> str | None:
    """Say what is not tested."""
    return "tests/hooks/mailman is left out: no Mailman for this Python" if WITHOUT_MAILMAN else None


@pytest.fixture(scope="session")
def laboratory() -> Iterator[Laboratory]:
    """The catalogue's domains, running once for all tests of a worker; tests take `lab`."""
    with Laboratory(CATALOGUE) as laboratory:
        yield laboratory


@pytest.fixture
def lab(laboratory: Laboratory) -> Laboratory:
    """The catalogue's domains with nothing recorded, every script as the catalogue says."""
    laboratory.reset()
    return laboratory
