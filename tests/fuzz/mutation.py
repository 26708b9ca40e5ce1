"""Inputs made of seeds without knowing what they reach."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

# What parsers look at: ends of lines and strings, signs, digits, the ends of ranges.
_TELLING = b'\0\t\n\r "%+,-./0:;<=>@A[\\]_az\x7f\x80\xff'


def mutations(seeds: Sequence[bytes], rng: random.Random) -> Iterator[bytes]:
    """Yield, without end, inputs that have one to six small differences from one of *seeds*."""
    while True:
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.randint(1, 6)):
            rng.choice(_CHANGES)(data, seeds, rng)
        yield bytes(data)


def _place(data: Sequence[int], rng: random.Random) -> slice:
    """Return some octets of *data*, mostly few."""
    start = rng.randint(0, len(data))
    return slice(start, start + rng.choice((0, 1, 1, 2, 4, 16, 64)))


def _flip(data: bytearray, seeds: Sequence[bytes], rng: random.Random) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _overwrite(data: bytearray, seeds: Sequence[bytes], rng: random.Random) -> None:
    data[_place(data, rng)] = bytes([rng.choice(_TELLING)])


def _remove(data: bytearray, seeds: Sequence[bytes], rng: random.Random) -> None:
    del data[_place(data, rng)]


def _insert(data: bytearray, seeds: Sequence[bytes], rng: random.Random) -> None:
    start = rng.randint(0, len(data))
    data[start:start] = rng.randbytes(rng.randint(1, 4))


def _repeat(data: bytearray, seeds: Sequence[bytes], rng: random.Random) -> None:
    place = _place(data, rng)
    data[place.start : place.start] = data[place] * rng.choice((1, 2, 8))


def _borrow(data: bytearray, seeds: Sequence[bytes], rng: random.Random) -> None:
    other = rng.choice(seeds)
    data[_place(data, rng)] = other[_place(other, rng)]


def _cross(data: bytearray, seeds: Sequence[bytes], rng: random.Random) -> None:
    other = rng.choice(seeds)
    data[rng.randint(0, len(data)) :] = other[rng.randint(0, len(other)) :]


_CHANGES: tuple[Callable[[bytearray, Sequence[bytes], random.Random], None], ...] = (
    *(_flip, _overwrite, _remove, _insert, _repeat, _borrow, _cross),
)


class Stretched:
    """A seed of which some octets are repeated until it has any size wanted."""

    def __init__(self, seed: bytes, rng: random.Random) -> None:
        start = rng.randint(0, len(seed))
        end = min(len(seed), start + rng.choice((1, 1, 2, 3, 5, 9, 17, 33, len(seed))))
        self._before, self._repeated, self._after = seed[:start], seed[start:end] or b" ", seed[end:]

    def to(self, size: int) -> bytes:
        """Return it with *size* octets, give or take one repetition, unless the seed is larger."""
        room = size - len(self._before) - len(self._after)
        return self._before + self._repeated * max(1, room // len(self._repeated)) + self._after
