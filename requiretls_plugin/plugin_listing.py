"""Which plugins answer which hook, in the order they are asked."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass

import pluggy

from requiretls_plugin import hookspecs


@dataclass(frozen=True, slots=True)
class PluginListing:
    """One plugin's place at one hook.

    *order* counts from 1; wrappers come before all others. *source* is the
    distribution it was installed with, else the file it is in.
    """

    hook: str
    order: int
    plugin: str
    source: str
    wraps: bool


def listings(manager: pluggy.PluginManager) -> Iterator[PluginListing]:
    """Yield every implementation of every hook, hook by hook, in the order of asking."""
    installed = {
        id(plugin): f"{dist.project_name} {dist.version}" for plugin, dist in manager.list_plugin_distinfo()
    }
    for hook in _hooks():
        caller: pluggy.HookCaller = getattr(manager.hook, hook)
        # pluggy keeps them in the reverse order of calling, wrappers at the end.
        for order, found in enumerate(reversed(caller.get_hookimpls()), start=1):
            source = installed.get(id(found.plugin)) or _file_of(found.plugin)
            wraps = found.wrapper or found.hookwrapper
            yield PluginListing(hook, order, found.plugin_name, source, wraps)


def _hooks() -> list[str]:
    names = vars(hookspecs)
    return [name for name in names if name.startswith(f"{hookspecs.PROJECT}_") and callable(names[name])]


def _file_of(plugin: object) -> str:
    subject = plugin if inspect.ismodule(plugin) or inspect.isclass(plugin) else type(plugin)
    try:
        return inspect.getfile(subject)
    except (TypeError, OSError):  # made without a file
        return "unknown"
