"""When an answer without DNSSEC proves nothing, and how often that is looked at."""

from __future__ import annotations

import asyncio
import logging

import pytest

from requiretls_plugin.policy.dns_probe import Look, Probe, Sight, Validation, why_blind

A, B = "127.0.0.1:53", "127.0.0.2:53"
SEES, BLIND = Validation.VALIDATES, Validation.DOES_NOT_VALIDATE
DOUBTED, UNKNOWN = Validation.NOT_BELIEVED, Validation.UNKNOWN
PRIVATE = Validation.UNSIGNED_ROOT


@pytest.mark.parametrize(
    ("found", "asked", "blind"),
    [
        pytest.param({A: SEES}, {A}, set(), id="it validates"),
        pytest.param({A: BLIND}, {A}, {A}, id="it does not"),
        pytest.param({A: UNKNOWN}, {A}, set(), id="not known"),
        pytest.param({A: DOUBTED}, {A}, {A}, id="not believed"),
        pytest.param({A: PRIVATE}, {A}, set(), id="a closed network, whose root may not be signed"),
        pytest.param({A: SEES, B: BLIND}, {A, B}, {B}, id="one of two does not any more"),
        pytest.param({A: SEES, B: BLIND}, {A}, set(), id="the other was left out before"),
        pytest.param({A: UNKNOWN, B: BLIND}, {A, B}, {B}, id="the one that did says nothing now"),
        pytest.param({A: SEES, B: DOUBTED}, {A, B}, set(), id="one counts, a spare one does not"),
        pytest.param({A: BLIND, B: BLIND}, {A, B}, {A, B}, id="neither does"),
        pytest.param({A: BLIND, B: DOUBTED}, {A, B}, {A, B}, id="neither counts"),
        pytest.param({}, set(), set(), id="nobody was asked"),
    ],
)
def test_whose_silence_about_dnssec_proves_nothing(
    found: dict[str, Validation], asked: set[str], blind: set[str]
) -> None:
    """Named, so that the operator knows whom to look at."""
    why = why_blind([Probe(server, validation, "a reason") for server, validation in found.items()], asked)

    assert {server for server in (A, B) if server in (why or "")} == blind
    assert (why is None) is (not blind)


class Watched:
    """A Sight with a clock, and what it looks at."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.blindness: str | None = None
        self.answered = True
        self.takes = 0.0
        self.looks = self.changes = 0
        self.sight = Sight(self.look, self.changed, lambda: self.now)

    async def look(self) -> Look:
        self.looks += 1
        found = Look(self.blindness, self.answered)
        await asyncio.sleep(0)
        self.now += self.takes
        return found

    def changed(self) -> None:
        self.changes += 1


def test_a_look_counts_for_as_long_as_the_caller_says() -> None:
    """From when it began: what came before it may be about somebody who saw."""

    async def inside() -> None:
        watched = Watched()
        assert await watched.sight.blindness(60) is None
        watched.blindness = "blind"
        watched.now += 60
        assert await watched.sight.blindness(60) is None
        watched.now += 1
        assert await watched.sight.blindness(60) == "blind"
        assert watched.looks == 2

    asyncio.run(inside())


def test_those_who_ask_at_once_share_a_look_that_began_after_they_asked() -> None:
    """A burst of messages costs one question, or two."""

    async def inside() -> None:
        watched = Watched()
        first = asyncio.create_task(watched.sight.blindness(0))
        await asyncio.sleep(0)  # it looks
        watched.blindness = "blind"
        watched.now += 1
        others = [asyncio.create_task(watched.sight.blindness(0)) for _ in range(50)]
        assert await first is None
        assert set(await asyncio.gather(*others)) == {"blind"}
        assert watched.looks == 2

    asyncio.run(inside())


def test_whoever_waits_for_silence_does_not_wait_twice() -> None:
    """Nobody there can say anything about the root; asking once more would come to the same."""

    async def inside() -> None:
        watched = Watched()
        watched.answered, watched.takes = False, 2.0
        first = asyncio.create_task(watched.sight.blindness(60))
        await asyncio.sleep(0)  # it looks
        assert await watched.sight.blindness(0) is None
        assert await first is None
        assert watched.looks == 1
        watched.now += 1
        await watched.sight.blindness(0)
        assert watched.looks == 2

    asyncio.run(inside())


def test_silence_changes_nothing() -> None:
    """Who was seen to be blind may still be."""

    async def inside() -> None:
        watched = Watched()
        watched.blindness = "A blind"
        assert await watched.sight.blindness(0) == "A blind"
        watched.blindness, watched.answered = None, False
        watched.now += 1
        assert await watched.sight.blindness(0) == "A blind"
        assert watched.changes == 1

    asyncio.run(inside())


def test_a_change_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """To the log, and to whoever keeps answers."""

    async def inside() -> None:
        watched = Watched()
        for blindness in (None, "A blind", "A blind", "A and B blind", None, None):
            watched.blindness = blindness
            await watched.sight.blindness(0)
            watched.now += 1
        assert watched.changes == 2

    with caplog.at_level(logging.INFO):
        asyncio.run(inside())

    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "A blind" in caplog.messages[0]
