"""Play one case: send its messages through an engine, and hold what arrived against what must."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from requiretls_lab.laboratory import Laboratory
from requiretls_lab.selftest.case import Broken
from requiretls_lab.selftest.outgoing.steps import Asks, Do, OutgoingCase, Send
from requiretls_lab.smtp_record import AcceptedMessage, Connection
from requiretls_lab.words import in_words
from requiretls_plugin.bounce import notices_for, send_notice
from requiretls_plugin.delivery.outcome import Outcome
from requiretls_plugin.engine import Engine
from requiretls_plugin.errors import PluginError
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message, Recipient
from requiretls_plugin.security import Security
from requiretls_plugin.settings import Settings

SUBJECT = b"Subject: self-test\r\n"
BODY = b"what nobody else may read\r\n"


def play(case: OutgoingCase, lab: Laboratory, settings: Settings) -> str:
    """Play *case* in *lab* with the *settings* of an installation and return what was seen.

    Every message gets an engine of its own, as with `requiretls send`; a policy
    cache that is to outlive it is up to *settings*. Raises Broken with what was
    seen if it is not what must be seen.
    """
    seen: list[str] = []
    right = True
    for step in case.steps:
        if isinstance(step, Do):
            step.action(lab)
        else:
            scene = asyncio.run(_sent(step, case, lab, settings))
            wrong = scene.wrong()
            seen += [scene.seen(), *wrong]
            right = right and not wrong
    if not right:
        raise Broken("; ".join(seen))
    return "; ".join(seen)


@dataclass(frozen=True, slots=True)
class _Scene:
    """What came of one message: *talks* with the hosts of the case since then, notices *told* its sender."""

    send: Send
    content: bytes
    outcome: Outcome
    talks: tuple[tuple[str, Connection], ...]
    told: tuple[AcceptedMessage, ...]

    @property
    def arrived(self) -> list[tuple[str, AcceptedMessage]]:
        return [(host, message) for host, talk in self.talks for message in talk.messages]

    def seen(self) -> str:
        arrived = [
            f"{host} has it {'in TLS' if message.tls else 'in cleartext'}"
            + (" under REQUIRETLS" if message.requiretls else "")
            for host, message in self.arrived
        ]
        return "; ".join([in_words(self.outcome), *arrived])

    def wrong(self) -> list[str]:
        """Return what must not be, in words."""
        wrong = [] if in_words(self.outcome) == self.send.ends else [f"not {self.send.ends}"]
        if self.send.untouched and self.talks:
            wrong.append(f"connected to {', '.join(host for host, _ in self.talks)}")
        wrong += self._wrongly_arrived() if self.send.ends.startswith("delivered") else self._not_kept_back()
        if self.send.notice:
            wrong += self._wrongly_told()
        return wrong

    def _wrongly_arrived(self) -> Iterator[str]:
        security = self.send.ends.split()[1]
        if len(self.arrived) != 1:
            yield f"arrived {len(self.arrived)} times"
        for host, message in self.arrived:
            if host != (self.send.at or host):
                yield f"arrived at {host}, not at {self.send.at}"
            if message.tls is (security == Security.CLEARTEXT.value):
                yield "arrived in TLS" if message.tls else "arrived in cleartext"
            if message.requiretls is not self.send.ends.endswith(" requiretls"):
                yield "arrived under REQUIRETLS" if message.requiretls else "arrived without REQUIRETLS"
            if message.content != self.content:
                changed = message.content[:200].decode("latin-1").replace("\r\n", " | ")
                yield f"arrived changed: {changed}"
        if security != Security.CLEARTEXT.value and self._heard("MAIL", tls=False):
            yield "MAIL was said in cleartext"

    def _not_kept_back(self) -> Iterator[str]:
        if self.arrived:
            yield "it arrived"
        if self._heard("MAIL", tls=False) and self.send.asks is not Asks.NO:
            yield "MAIL was said in cleartext"
        if self._heard("MAIL", tls=True) and not self.send.mail_is_said:
            yield "MAIL was said"

    def _heard(self, verb: str, *, tls: bool) -> bool:
        return any(
            command.verb == verb and command.tls is tls for _, talk in self.talks for command in talk.commands
        )

    def _wrongly_told(self) -> Iterator[str]:
        wanted = self.send.notice
        assert wanted is not None
        if len(self.told) != 1:
            yield f"{len(self.told)} notices"
        for notice in self.told:
            if notice.mail_from:
                yield f"notice from <{notice.mail_from}>"
            if notice.requiretls is not wanted.requiretls:
                yield "notice under REQUIRETLS" if notice.requiretls else "notice without REQUIRETLS"
            if BODY in notice.content and not wanted.says_no:
                yield "the notice has the message's body"
            if (SUBJECT in notice.content) is wanted.redacted:
                yield f"the notice {'has' if wanted.redacted else 'lacks'} the message's header"
            header = notice.content.partition(b"\r\n\r\n")[0]
            if (b"TLS-Required: No" in header) is not wanted.says_no:
                yield "the notice is not marked like the message"


async def _sent(send: Send, case: OutgoingCase, lab: Laboratory, settings: Settings) -> _Scene:
    message = Message(
        MailAddress.parse(send.return_path) if send.return_path else None,
        _content(send),
        mail_parameter=send.asks in (Asks.REQUIRETLS, Asks.BOTH),
        peer=send.peer,
    )
    recipient = Recipient.parse(f"bob@{send.to or case.domains[0].name}")
    hosts = [lab.destination(host.name(domain.name)) for domain in case.domains for host in domain.hosts]
    before = {host.name: len(host.connections) for host in hosts}
    async with Engine(settings) as engine:
        try:
            tagged = await engine.receive(message)
        except PluginError as error:
            raise Broken(str(error)) from None
        [outcome] = await engine.deliver(tagged, [recipient])
        if send.notice:
            await _tell(tagged, outcome, engine)
    talks = [(host.name, talk) for host in hosts for talk in host.connections[before[host.name] :]]
    way_back = f".{message.return_path.domain}" if message.return_path else "nowhere"
    return _Scene(
        send,
        _content(send, arriving=True),
        outcome,
        tuple((host, talk) for host, talk in talks if not host.endswith(way_back)),
        tuple(notice for host, talk in talks if host.endswith(way_back) for notice in talk.messages),
    )


def _content(send: Send, *, arriving: bool = False) -> bytes:
    fields = b"" if send.stripped and arriving else send.header
    if send.asks in (Asks.NO, Asks.BOTH):
        fields += b"TLS-Required: No\r\n"
    return fields + b"From: alice@way-back.test\r\n" + SUBJECT + b"\r\n" + BODY


async def _tell(message: Message, outcome: Outcome, engine: Engine) -> None:
    """Let the sender be told as a host server does."""
    notices = notices_for(
        message,
        [outcome],
        hostname=engine.settings.hostname,
        now=datetime.now(UTC),
        requiretls=engine.settings.bounce.requiretls,
    )
    for notice in notices:
        await send_notice(engine.deliver_as_it_is, notice)
