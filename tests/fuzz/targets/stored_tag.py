"""The tag that a host server keeps in the header of a message."""

from __future__ import annotations

from datetime import UTC, datetime

from requiretls_plugin.errors import InvalidStoredTag
from requiretls_plugin.message_tag import read_stored_tag, store_tag, strip_private_fields
from requiretls_salmon.kept import Accepted, stored_or_none


def target(data: bytes) -> None:
    """A tag, none, or our error; written again it is read as the same, and what leaves has none."""
    assert read_stored_tag(strip_private_fields(data)) is None
    try:
        stored = read_stored_tag(data)
    except InvalidStoredTag:
        assert stored_or_none(data) is None
        return
    if stored is None:
        return
    assert datetime.fromtimestamp(stored.arrived, UTC)
    again = store_tag(data, stored)
    assert read_stored_tag(again) == stored
    accepted = Accepted.from_data(data)
    assert accepted is not None
    assert Accepted.from_data(accepted.salmon_data()) is not None
    assert read_stored_tag(accepted.message.content) is None


def arrive(data: bytes) -> None:
    """Only read."""
    stored_or_none(data)
