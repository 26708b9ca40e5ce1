"""One engine for each settings file, shared by all receivers and relays of the process."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from requiretls_plugin.engine import Engine
from requiretls_plugin.errors import PluginError, SettingsError
from requiretls_plugin.settings import Settings

# As sysexits.h has it.
EX_CONFIG = 78

_engines: dict[Path | None, Engine] = {}
_lock = threading.Lock()


def shared_engine() -> Engine:
    """Return the engine of the file that the app's settings name, not necessarily running.

    That is `requiretls_config` in the app's settings module; without it
    `$REQUIRETLS_CONFIG` and /etc/requiretls.toml count. If they cannot be used
    the mistakes go to standard error and SystemExit (78) ends the start.
    """
    path = _named_path()
    with _lock:
        if path not in _engines:
            try:
                _engines[path] = Engine(Settings.load(path))
            except (SettingsError, PluginError) as error:
                print(error, file=sys.stderr)
                raise SystemExit(EX_CONFIG) from error
        return _engines[path]


def share_engine(engine: Engine) -> Callable[[], None]:
    """Let receivers and relays made from now on use *engine*, as with plugins of the app's own or in tests.

    Return a function that undoes it.
    """
    path = _named_path()
    with _lock:
        former = _engines.pop(path, None)
        _engines[path] = engine

    def undo() -> None:
        with _lock:
            _engines.pop(path)
            if former is not None:
                _engines[path] = former

    return undo


def running_engine() -> Engine:
    """Return the shared engine, started."""
    engine = shared_engine()
    engine.start()
    return engine


def _named_path() -> Path | None:
    named = getattr(_app_settings(), "requiretls_config", None)
    return Path(named).absolute() if named else None


def _app_settings() -> ModuleType | None:
    """Return the app's settings module; it is loaded by the time a boot module runs."""
    return sys.modules.get(os.environ.get("SALMON_SETTINGS_MODULE", "config.settings"))
