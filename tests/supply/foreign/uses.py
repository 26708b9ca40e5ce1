"""A program of somebody else: it uses what is public, and only the installed package tells the types."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Generator, Sequence
from pathlib import Path
from typing import Any, assert_type

from requiretls_aiosmtpd import LMTPSession, SMTPSession, Transaction, bound_tcp_socket, server_tls_context
from requiretls_mailman import RequireTLSPlugin
from requiretls_plugin.bounce import notices_for
from requiretls_plugin.delivery.outcome import Attempt, Disposition, Notice, Outcome
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.engine import Engine
from requiretls_plugin.errors import PluginError, RequireTLSError, SettingsError
from requiretls_plugin.hookspecs import hookimpl
from requiretls_plugin.mail_address import AddressLiteral, MailAddress
from requiretls_plugin.message import Message, Notify, Recipient, Ret
from requiretls_plugin.plugins import plugin_manager
from requiretls_plugin.policy.next_hop import DomainHop, NamedHop, NextHop, Wrapping
from requiretls_plugin.preflight import Readiness, Verdict
from requiretls_plugin.reason import Reason
from requiretls_plugin.reply import Reply
from requiretls_plugin.requirement import Origin, Requirement, Tag, strongest
from requiretls_plugin.security import Security
from requiretls_plugin.server_address import ServerAddress
from requiretls_plugin.settings import Settings
from requiretls_salmon import (
    DeliveryError,
    LMTPReceiver,
    QueueReceiver,
    Relay,
    SMTPReceiver,
    install,
    not_inheriting,
    requirement_of,
)


class House:
    """A plugin with all five hooks, some of which answer later."""

    @hookimpl
    def requiretls_receive(self, message: Message) -> Requirement | None:
        assert_type(message.return_path, MailAddress | None)
        assert_type(message.requirement, Requirement)
        return Requirement.REQUIRED if message.peer == "192.0.2.1" else None

    @hookimpl(tryfirst=True)
    async def requiretls_next_hop(
        self, domain: DomainName | AddressLiteral, message: Message
    ) -> NextHop | None:
        if isinstance(domain, DomainName) and domain.text == "partner.example":
            return NamedHop(ServerAddress.parse("mx.partner.example:25"), wrapping=Wrapping.STARTTLS)
        return DomainHop(DomainName.parse("elsewhere.example"))

    @hookimpl(wrapper=True)
    def requiretls_deliver(
        self, message: Message, recipients: Sequence[Recipient]
    ) -> Generator[None, Awaitable[Sequence[Outcome]], Awaitable[Sequence[Outcome]]]:
        outcomes = yield
        return outcomes

    @hookimpl
    def requiretls_attempted(self, attempt: Attempt) -> None:
        assert_type(attempt.security, Security | None)
        assert_type(attempt.refusal, Reason | None)
        assert_type(attempt.seconds, float)

    @hookimpl
    def requiretls_concluded(self, message: Message, outcomes: Sequence[Outcome]) -> list[Notice]:
        return []


async def send(settings: Settings, content: bytes) -> tuple[Outcome, ...]:
    """Deliver one message."""
    plugins = plugin_manager(installed=False)
    plugins.register(House(), "house")
    message = Message(MailAddress.parse("alice@sender.example"), content, mail_parameter=True, ret=Ret.HDRS)
    recipients = [
        Recipient.parse("bob@recipient.example"),
        Recipient(MailAddress.parse("eve@recipient.example"), frozenset({Notify.FAILURE})),
    ]
    async with Engine(settings, plugins) as engine:
        assert_type(engine, Engine)
        accepted = await engine.receive(message)
        assert_type(accepted.tag, Tag)
        assert_type(accepted.with_tag(Tag(Requirement.REQUIRED, Origin.APP)), Message)
        outcomes = await engine.deliver(accepted, recipients)
        readiness = await engine.check(DomainName.parse("recipient.example"))
        assert_type(readiness, Readiness)
        assert_type(readiness.verdict, Verdict)
    for outcome in outcomes:
        assert_type(outcome.reply, Reply)
        assert_type(outcome.disposition, Disposition)
        assert_type(outcome.reply.status, str)
        assert_type(outcome.reason, Reason | None)
    return outcomes


def blocking(file: Path, message: Message) -> int:
    """Use the engine from a program without a loop."""
    try:
        settings = Settings.load(file)
    except SettingsError as error:
        assert_type(error.problems, tuple[str, ...])
        return 78
    engine = Engine(settings)
    engine.start()
    try:
        outcomes = engine.run(engine.deliver(message, [Recipient.parse("bob@recipient.example")]), timeout=9)
        assert_type(outcomes, tuple[Outcome, ...])
    except (PluginError, RequireTLSError):
        return 75
    finally:
        engine.stop()
    assert_type(strongest([Requirement.OPTIONAL, message.requirement]), Requirement)
    assert_type(settings.delivery.port, int)
    assert_type(settings.mta_sts.accept_testing, bool)
    return len(outcomes)


def salmon_app(context: ssl.SSLContext, message: object) -> tuple[Outcome, ...]:
    """Use the adapter for Salmon, as `config/boot.py` and a handler would."""
    install()
    receivers: list[SMTPReceiver | LMTPReceiver] = [
        SMTPReceiver("127.0.0.1", 8823, ssl_context=context, workers=4),
        LMTPReceiver(socket="/run/app/lmtp"),
    ]
    for receiver in receivers:
        receiver.start()
        receiver.stop(timeout=1.0)
    QueueReceiver("run/queue", sleep=1, lifetime=3600).start(one_shot=True)
    relay = Relay(host="relay.example", port=587, starttls=True, on_failure="bounce")
    assert_type(requirement_of(message), Requirement)
    with not_inheriting():
        try:
            outcomes = relay.deliver(message, To="bob@recipient.example", require_tls=True)
        except DeliveryError:
            return ()
    assert_type(outcomes, tuple[Outcome, ...])
    return outcomes


class Handler:
    """A handler of aiosmtpd, below our sessions."""

    async def handle_DATA(self, server: SMTPSession, session: Any, envelope: Transaction) -> Reply:
        assert_type(envelope.recipients, list[Recipient])
        assert_type(envelope.message(server.peer_address), Message)
        return Reply(250, "2.0.0", "OK")


def sessions(chain: Path, key: Path) -> tuple[SMTPSession, LMTPSession]:
    """Make both kinds of session, and what they listen with."""
    context = server_tls_context(chain, key)
    assert_type(context, ssl.SSLContext)
    bound_tcp_socket("127.0.0.1", 0).close()
    return SMTPSession(Handler(), advertise=True, tls_context=context), LMTPSession(Handler())


MAILMAN_PLUGIN: type[RequireTLSPlugin] = RequireTLSPlugin
NOTICES = notices_for
