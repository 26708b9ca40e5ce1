"""A plugin of pytest for `mutmut run`: first the tests without the laboratory, which most mutants fail."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort *items*, leaving everything else as it is."""
    items.sort(key=lambda item: isinstance(item, pytest.Function) and "lab" in item.fixturenames)
