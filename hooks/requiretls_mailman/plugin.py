"""The plugin that Mailman starts in every process, before and after everything else is up."""

from __future__ import annotations

import logging

from mailman.interfaces.plugin import IPlugin
from zope.interface import implementer

from requiretls_mailman.adapter import Adapter, load_settings
from requiretls_mailman.digests import keep_tags_in_digests
from requiretls_mailman.known_mailman import check_mailman
from requiretls_mailman.moderation import inherit_from_held_messages, return_headers_only
from requiretls_mailman.outgoing import send_through_engine
from requiretls_mailman.switchboard import tag_all_queues

log = logging.getLogger("mailman.plugins")


@implementer(IPlugin)
class RequireTLSPlugin:
    """REQUIRETLS for Mailman. *adapter* is None until everything is in its place."""

    name = "requiretls"
    resource = None

    def __init__(self) -> None:
        self.adapter: Adapter | None = None
        self._prepared: Adapter | None = None

    def pre_hook(self) -> None:
        """Check Mailman and the settings, and wrap what Mailman's other modules are about to import.

        Raises UnknownMailmanError, SettingsError or PluginError; Mailman disables the plugin
        then, and with it all runners and the delivery.
        """
        check_mailman()
        self._prepared = Adapter(load_settings(self.name))
        tag_all_queues()
        inherit_from_held_messages()
        return_headers_only()
        send_through_engine()

    def post_hook(self) -> None:
        """Wrap the rest. From here on runners start and mail leaves."""
        keep_tags_in_digests()
        self.adapter = self._prepared
        log.info("REQUIRETLS is on")
