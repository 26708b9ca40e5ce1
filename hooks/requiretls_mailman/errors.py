"""The errors of this adapter."""

from __future__ import annotations

from requiretls_plugin.errors import RequireTLSError


class NotInstalledError(RequireTLSError):
    """The plugin is not enabled in mailman.cfg, or failed to start; nothing may be sent without it."""


class UnknownMailmanError(RequireTLSError):
    """This Mailman is not the one that the adapter knows."""
