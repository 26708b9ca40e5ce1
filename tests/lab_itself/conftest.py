"""A mail server to play with."""

from __future__ import annotations

import pytest

from requiretls_lab.destination import Destination
from requiretls_lab.laboratory import Laboratory


@pytest.fixture
def host(lab: Laboratory) -> Destination:
    """A mail server that every test here scripts anew."""
    return lab.destination("mx.dane-ee.test")
