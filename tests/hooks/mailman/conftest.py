"""Mailman, for every test that asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from requiretls_lab.laboratory import Laboratory
from tests.hooks.mailman.bed import Bed, start_mailman

# Mailman leaves the mailbox of a digest to the garbage collector.
LEFT_OPEN = r"ignore:.*digest\.\d*\.?\d*\.?mmdf:pytest.PytestUnraisableExceptionWarning"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave Mailman's own warnings about itself to its authors."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.filterwarnings("ignore::DeprecationWarning"))
            item.add_marker(pytest.mark.filterwarnings(LEFT_OPEN))


@pytest.fixture(scope="session")
def mailman_process(laboratory: Laboratory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """Mailman, initialized once for all tests of a worker; tests take `bed`."""
    bed = start_mailman(tmp_path_factory.mktemp("mailman"), laboratory)
    yield bed
    bed.adapter.engine.stop(1.0)


@pytest.fixture
def bed(mailman_process: Bed, lab: Laboratory) -> Bed:
    """Mailman without lists and messages, with the laboratory's settings."""
    mailman_process.reset()
    return mailman_process
