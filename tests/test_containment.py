"""Where a plugin's exception ends: as one error that names the plugin, or where it has to pass."""

from __future__ import annotations

import asyncio
import threading

import pytest

from requiretls_plugin.containment import Contained
from requiretls_plugin.errors import PluginError


class _OwnKind(BaseException):
    """Nobody who catches Exception catches it."""


class _MuteError(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


def _raise(error: BaseException) -> None:
    with Contained("plugin odd"):
        raise error


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("no"), "ValueError: no"),
        (SystemExit(0), "SystemExit: 0"),
        (_OwnKind("x"), "_OwnKind: x"),
        (asyncio.CancelledError("gave up"), "CancelledError: gave up"),
        (_MuteError(), "_MuteError: (it cannot say more)"),
    ],
    ids=lambda each: type(each).__name__,
)
def test_attack_whatever_a_plugin_raises_is_one_error(error: BaseException, text: str) -> None:
    """Also what ends a process, and what cannot be printed."""
    with pytest.raises(PluginError) as raised:
        _raise(error)

    assert str(raised.value) == f"plugin odd: {text}"
    assert raised.value.__cause__ is error


def test_a_users_interrupt_passes() -> None:
    """Ctrl-C comes in the main thread, whoever's code runs there."""
    with pytest.raises(KeyboardInterrupt):
        _raise(KeyboardInterrupt())


def test_attack_an_interrupt_in_another_thread_is_the_plugins() -> None:
    """The interpreter raises none there, and the engine's loop would die of it."""
    caught: list[BaseException] = []

    def work() -> None:
        try:
            _raise(KeyboardInterrupt())
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    [error] = caught
    assert isinstance(error, PluginError)


def test_the_end_of_our_own_coroutine_passes() -> None:
    """As when a loop is closed while a plugin waits for something."""

    async def waiting() -> None:
        with Contained("plugin slow"):
            await asyncio.Event().wait()

    async def begin_and_forget() -> None:
        coroutine = waiting()
        coroutine.send(None)
        coroutine.close()

    asyncio.run(begin_and_forget())


def test_an_error_that_names_its_plugin_keeps_the_name() -> None:
    """Around it another plugin may wrap."""
    with pytest.raises(PluginError, match=r"^plugin inner: x$"):
        _raise(PluginError("plugin inner: x"))
