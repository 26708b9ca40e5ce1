"""`requiretls plugins`: who answers which hook, from where, in what order."""

from __future__ import annotations

from typing import Any

import pytest

from requiretls_plugin import hookspecs
from requiretls_plugin.engine import Engine
from requiretls_plugin.hookspecs import hookimpl
from requiretls_plugin.message import Message
from requiretls_plugin.plugin_listing import listings
from requiretls_plugin.plugins import plugin_manager
from requiretls_plugin.requirement import Requirement
from requiretls_plugin.settings import Settings
from tests.cli.running import CommandLine


class _Asked:
    @hookimpl
    def requiretls_receive(self, message: Message) -> Requirement | None:
        return None


class _AskedFirst:
    @hookimpl(tryfirst=True)
    def requiretls_receive(self, message: Message) -> Requirement | None:
        return None


class _Around:
    @hookimpl(wrapper=True)
    def requiretls_deliver(self, message: Message, recipients: Any) -> Any:
        return (yield)


def test_the_packages_own_plugins_are_listed_by_hook(
    requiretls: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 8689 is one plugin, the log another; each hook is answered by somebody."""
    monkeypatch.setenv("REQUIRETLS_NO_PLUGINS", "1")

    ran = requiretls("plugins", "--json")

    assert {(each["hook"], each["plugin"]) for each in ran.json()} == {
        ("requiretls_receive", "rfc8689"),
        ("requiretls_next_hop", "rfc8689"),
        ("requiretls_deliver", "rfc8689"),
        ("requiretls_attempted", "requiretls.log"),
        ("requiretls_concluded", "requiretls.log"),
    }
    assert ran.code == 0


def test_people_see_where_a_plugin_comes_from(requiretls: CommandLine) -> None:
    """Without a distribution it is the file; narrow terminals fold it and cut nothing off."""
    output = requiretls("plugins").output.replace("\n", "").replace(" ", "").replace("│", "")

    assert "requiretls_plugin/plugin.py" in output


def test_the_order_is_that_of_asking() -> None:
    """First those that ask to be, then later ones before earlier ones; wrappers before all."""
    manager = plugin_manager(installed=False)
    for name, plugin in (
        ("early", _Asked()),
        ("first", _AskedFirst()),
        ("late", _Asked()),
        ("outer", _Around()),
    ):
        manager.register(plugin, name)

    found = list(listings(Engine(Settings(), manager).plugins))

    receive = [each.plugin for each in found if each.hook == "requiretls_receive"]
    deliver = [(each.order, each.plugin, each.wraps) for each in found if each.hook == "requiretls_deliver"]
    assert receive == ["first", "rfc8689", "late", "early"]
    assert deliver == [(1, "outer", True), (2, "rfc8689", False)]


def test_every_hook_is_listed() -> None:
    """A sixth hook would show up by itself."""
    specified = {name for name in vars(hookspecs) if name.startswith("requiretls_")}

    assert {
        each.hook for each in listings(Engine(Settings(), plugin_manager(installed=False)).plugins)
    } == specified
