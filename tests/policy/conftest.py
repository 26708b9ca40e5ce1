"""What several tests of policies need."""

from __future__ import annotations

import functools

import pytest

from requiretls_lab.authority import Authority
from tests.policy.sts_world import Play, play_in


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A throwaway certificate authority."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def play(authority: Authority) -> Play:
    """Run a scene in a fresh world."""
    return functools.partial(play_in, authority)
