"""conftest.py of Salmon's own test-suite while our receivers and our relay take the place of its own.

Deliveries go by smtplib, as its tests expect, through a plugin as anybody may write one.
"""

from __future__ import annotations

import os
import smtplib
from collections.abc import Sequence

import pytest

import requiretls_salmon
from requiretls_plugin.delivery.outcome import Disposition, Outcome
from requiretls_plugin.engine import Engine
from requiretls_plugin.hookspecs import hookimpl
from requiretls_plugin.message import Message, Recipient
from requiretls_plugin.plugins import plugin_manager
from requiretls_plugin.policy.next_hop import NamedHop, Protocol
from requiretls_plugin.reply import Reply
from requiretls_plugin.settings import Settings
from requiretls_salmon.shared_engine import share_engine


class BySmtplib:
    """Deliver with the standard library."""

    @hookimpl
    def requiretls_deliver(self, message: Message, recipients: Sequence[Recipient]) -> list[Outcome]:
        """Deliver *message* to the named server, or to localhost."""
        hop = message.next_hop
        host, port = "localhost", 0
        lmtp = implicit_tls = False
        if isinstance(hop, NamedHop):
            host, _, _ = str(hop.server).partition(":")
            port = getattr(hop.server, "port", 0)
            lmtp, implicit_tls = hop.protocol is Protocol.LMTP, hop.implicit_tls
        kind = smtplib.LMTP if lmtp else smtplib.SMTP_SSL if implicit_tls else smtplib.SMTP
        client = kind(host, port)
        client.sendmail(str(message.return_path or ""), [str(one) for one in recipients], message.content)
        client.quit()
        return [Outcome(one, Disposition.DELIVERED, Reply(250, "2.0.0", "OK")) for one in recipients]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out the tests that cannot be run."""
    items[:] = [item for item in items if item.nodeid not in os.environ["NOT_RUN"].split()]


_manager = plugin_manager(installed=False)
_manager.register(BySmtplib())
share_engine(Engine(Settings(), _manager))
requiretls_salmon.install()
