"""Collect the plugins that answer the hooks. Importing this loads nothing."""

from __future__ import annotations

import importlib
import logging
import os
from collections import Counter
from collections.abc import Iterable
from importlib.metadata import entry_points

import pluggy

from requiretls_plugin import hookspecs
from requiretls_plugin.containment import Contained
from requiretls_plugin.errors import PluginError

ENTRY_POINT_GROUP = "requiretls"

# What this package's own plugins are called, beside its observers: `requiretls.log` and so on.
OWN_NAME = "rfc8689"

# Set to 1, it keeps installed plugins out: to find out whether one of them is to blame.
WITHOUT_INSTALLED = "REQUIRETLS_NO_PLUGINS"


def plugin_manager(names: Iterable[str] = (), *, installed: bool = True) -> pluggy.PluginManager:
    """Return a plugin manager with the hooks of this package specified.

    *names* are modules to import and register; with *installed*, plugins of
    the entry point group `requiretls` are loaded too, unless the environment
    has REQUIRETLS_NO_PLUGINS=1, which is logged. Raises PluginError if one
    cannot be loaded, has the name of another or of one of ours, implements a
    hook that does not exist, or none at all: a rule that is silently missing
    is worse than no start.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    for name in names:
        with Contained(f"plugin {name} cannot be loaded"):
            manager.register(importlib.import_module(name), name)
    if installed and os.environ.get(WITHOUT_INSTALLED) == "1":
        logging.getLogger(__name__).warning("%s=1: installed plugins are left out", WITHOUT_INSTALLED)
    elif installed:
        _load_installed(manager)
    for name, plugin in manager.list_name_plugin():
        if name == OWN_NAME or name.startswith(f"{hookspecs.PROJECT}."):
            raise PluginError(f"plugin {name} has a name of this package's own: give it another")
        if not manager.get_hookcallers(plugin):
            raise PluginError(f"plugin {name} implements no hook: are its functions marked with @hookimpl?")
    with Contained("a plugin cannot be used"):
        manager.check_pending()
    return manager


def _load_installed(manager: pluggy.PluginManager) -> None:
    installed = Counter(entry.name for entry in entry_points(group=ENTRY_POINT_GROUP))
    for name, count in sorted(installed.items()):
        if count > 1 or manager.has_plugin(name):
            raise PluginError(f"plugin {name} is installed more than once: uninstall one of that name")
        with Contained(f"plugin {name} cannot be loaded"):
            manager.load_setuptools_entrypoints(ENTRY_POINT_GROUP, name)
