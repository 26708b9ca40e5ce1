"""What several tests of policies need."""

from __future__ import annotations

import pytest

from tests.lab.authority import Authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A throwaway certificate authority."""
    return Authority(tmp_path_factory.mktemp("authority"))
