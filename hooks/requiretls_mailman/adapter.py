"""What the runners, the delivery and the commands of one Mailman process share: settings and engine."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from mailman.config import config

from requiretls_mailman.errors import NotInstalledError
from requiretls_mailman.kept import REDACTED_KEY, kept_tag
from requiretls_plugin.engine import Engine
from requiretls_plugin.list_policy import ListPolicy
from requiretls_plugin.requirement import Tag
from requiretls_plugin.settings import Settings

T = TypeVar("T")

# A delivery ends by itself after `delivery.total_timeout`; a runner waits this much longer for it.
GRACE_SECONDS = 30.0


class Adapter:
    """Settings, and the engine that every runner starts for itself: they are separate processes."""

    def __init__(self, settings: Settings) -> None:
        """Make an engine that does nothing yet; raises PluginError."""
        self.settings = settings
        self.engine = Engine(settings)

    def started_engine(self) -> Engine:
        """Return the engine, started in this process; raises SettingsError if it cannot be."""
        self.engine.start()
        return self.engine

    def run(self, work: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Return the result of *work*, done on the engine, which is started if need be.

        Raises SettingsError if it cannot be, TimeoutError after *timeout*
        seconds, EngineStopped, and what *work* raises.
        """
        return self.started_engine().run(work, timeout)

    @property
    def patience(self) -> float:
        """How many seconds a delivery can take."""
        return self.settings.delivery.total_timeout + GRACE_SECONDS

    def policy_of(self, mlist: Any) -> ListPolicy:
        """Return what the list does; what it does by default if *mlist* is None."""
        return self.settings.mailman.policy_of(mlist.posting_address if mlist is not None else "")

    def tag_for_leaving(self, mlist: Any, msg: Any, msgdata: Any) -> Tag:
        """Return the tag with which a message leaves: its own, as the list's policy changes it."""
        if msgdata.get(REDACTED_KEY):
            return Tag()
        return self.policy_of(mlist).tag_of(kept_tag(msg, msgdata))


def load_settings(plugin_name: str) -> Settings:
    """Return the settings named by `configuration:` in the section [plugin.*plugin_name*].

    Raises SettingsError. Without the key the default file counts.
    """
    section = dict(config.plugin_configs)[plugin_name]
    named = section["configuration"].strip()
    return Settings.load(Path(named) if named else None)


def installed() -> Adapter:
    """Return the adapter of this process; raises NotInstalledError if the plugin is not up."""
    for plugin in config.plugins.values():
        adapter = getattr(plugin, "adapter", None)
        if isinstance(adapter, Adapter):
            return adapter
    raise NotInstalledError(
        "the plugin requiretls_mailman.RequireTLSPlugin is not enabled or could not start:"
        " see its section in mailman.cfg and Mailman's log `plugins`; nothing is sent without it"
    )
