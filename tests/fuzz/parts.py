"""Several inputs in one: what fuzzers can take apart and put together."""

from __future__ import annotations

from collections.abc import Iterator

# More of them show nothing new, and take long.
MAX_PIECES = 100

SEPARATOR = b"\n--\n"


def parts(data: bytes, count: int) -> list[bytes]:
    """Return *count* parts of *data*, the last one with all that is left; missing ones are empty."""
    found = data.split(SEPARATOR, count - 1)
    return found + [b""] * (count - len(found))


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    """Yield *data* as it comes in pieces of *size* octets, or larger ones where that would be too many."""
    size = max(size, len(data) // MAX_PIECES, 1)
    for start in range(0, len(data), size):
        yield data[start : start + size]


def choice(data: bytes) -> tuple[int, bytes]:
    """Return a number made of the first octet, and the rest."""
    return (data[0], data[1:]) if data else (0, b"")
