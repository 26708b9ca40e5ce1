"""Small plugins for tests, and what they are given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pluggy

from requiretls_plugin.delivery.outcome import Disposition, Outcome
from requiretls_plugin.hookspecs import hookimpl
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message, Recipient
from requiretls_plugin.plugins import plugin_manager
from requiretls_plugin.reply import Reply

MESSAGE = Message(MailAddress.parse("alice@sender.example"), b"Subject: hello\r\n\r\nhello\r\n")
BOB, CAROL = Recipient.parse("bob@recipient.example"), Recipient.parse("carol@recipient.example")


def delivered(recipient: Recipient, text: str = "OK") -> Outcome:
    """Return the outcome of a recipient who has the message."""
    return Outcome(recipient, Disposition.DELIVERED, Reply(250, "2.0.0", text))


class Answering:
    """A plugin that gives one answer, or raises it, at one hook; *calls* has what it was told.

    *later* makes it answer with an awaitable.
    """

    def __init__(self, answer: Any, *, later: bool = False) -> None:
        self.answer = answer
        self.later = later
        self.calls: list[Any] = []

    def give(self, *told: Any) -> Any:
        """Return the answer now or later."""
        self.calls.append(told)
        return self._eventually() if self.later else self._now()

    def _now(self) -> Any:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    async def _eventually(self) -> Any:
        return self._now()


class Receiving(Answering):
    """Answers `requiretls_receive`."""

    @hookimpl
    def requiretls_receive(self, message: Message) -> Any:
        """Return the answer."""
        return self.give(message)


class Routing(Answering):
    """Answers `requiretls_next_hop`."""

    @hookimpl
    def requiretls_next_hop(self, domain: Any, message: Message) -> Any:
        """Return the answer."""
        return self.give(domain, message)


class Delivering(Answering):
    """Answers `requiretls_deliver`."""

    @hookimpl
    def requiretls_deliver(self, message: Message, recipients: Sequence[Recipient]) -> Any:
        """Return the answer."""
        return self.give(message, recipients)


class Attempted(Answering):
    """Observes `requiretls_attempted`."""

    @hookimpl
    def requiretls_attempted(self, attempt: Any) -> Any:
        """Return the answer."""
        return self.give(attempt)


class Concluded(Answering):
    """Observes `requiretls_concluded`."""

    @hookimpl
    def requiretls_concluded(self, message: Message, outcomes: Sequence[Outcome]) -> Any:
        """Return the answer."""
        return self.give(message, outcomes)


def manager_of(**plugins: object) -> pluggy.PluginManager:
    """Return a manager of *plugins*, by name; as pluggy does, the last one is called first."""
    manager = plugin_manager(installed=False)
    for name, plugin in plugins.items():
        manager.register(plugin, name)
    return manager
