"""Collect the plugins that answer the hooks. Importing this loads nothing."""

from __future__ import annotations

import importlib
from collections.abc import Iterable

import pluggy

from requiretls_plugin import hookspecs
from requiretls_plugin.errors import PluginError

ENTRY_POINT_GROUP = "requiretls"


def plugin_manager(names: Iterable[str] = (), *, installed: bool = True) -> pluggy.PluginManager:
    """Return a plugin manager with the hooks of this package specified.

    *names* are modules to import and register; with *installed*, plugins of
    the entry point group `requiretls` are loaded too. Raises PluginError if a
    plugin cannot be loaded or implements a hook that does not exist.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    try:
        for name in names:
            manager.register(importlib.import_module(name), name)
        if installed:
            manager.load_setuptools_entrypoints(ENTRY_POINT_GROUP)
        manager.check_pending()
    except (ImportError, AttributeError, ValueError, pluggy.PluginValidationError) as error:
        raise PluginError(f"a plugin cannot be loaded: {error}") from error
    return manager
