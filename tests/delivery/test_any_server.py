"""Deliveries to servers that say anything at any time: no MAIL before its demand is met, no message twice."""

from __future__ import annotations

import asyncio
import ipaddress
import random
import ssl
from collections import deque
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from requiretls_plugin.delivery.attempt import Delivery, DeliveryRules, Job
from requiretls_plugin.delivery.content import Content
from requiretls_plugin.delivery.outcome import Attempt, Disposition, Outcome
from requiretls_plugin.delivery.pool import Pool
from requiretls_plugin.delivery.session import Session
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.level import Level
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message, Recipient
from requiretls_plugin.policy.demand import Rules
from requiretls_plugin.policy.evidence import Evidence, HostEvidence
from requiretls_plugin.policy.mx_lookup import Candidate, MailHosts
from requiretls_plugin.policy.next_hop import DomainHop
from requiretls_plugin.policy.sts import NoSTS
from requiretls_plugin.policy.tlsa_lookup import DANERecords, HostAddresses, NoDANE
from requiretls_plugin.requirement import Origin, Requirement, Tag
from tests.delivery.played_tls import HOST, End, record, rules, shaken
from tests.socketless import PlayedTransport, SocketlessLoop, settled

DOMAIN = DomainName("recipient.example")
# The second host has the name and the certificate of the first, but no TLSA record.
WITH_DANE, WITHOUT = "192.0.2.1", "192.0.2.2"

# What leads on, for each thing that a server answers, to where it is interesting.
LEADING_ON = {
    "GREETING": ("220 mx ESMTP",),
    "EHLO": ("250-mx\n250-PIPELINING\n250 STARTTLS", "250-mx\n250 STARTTLS", "250 mx"),
    "EHLO in TLS": ("250-mx\n250-PIPELINING\n250 REQUIRETLS", "250-mx\n250 REQUIRETLS", "250-mx\n250 SIZE"),
    "HELO": ("250 mx",),
    "STARTTLS": ("220 go", "220 go", "220 go\n250-mx\n250 REQUIRETLS", "454 later"),
    "MAIL": ("250 ok",),
    "RCPT": ("250 ok", "250 ok", "250 ok", "452 full", "550 no"),
    "DATA": ("354 go",),
    "CONTENT": ("250 taken", "250 taken", "451 later", "554 no"),
    "RSET": ("250 ok",),
    "QUIT": ("221 bye",),
}
ANYTHING = [
    *(
        "250 ok",
        "250-one\n250 two",
        "354 go",
        "421 leaving",
        "450 later",
        "451 later",
        "452 no room",
        "550 no",
    ),
    *("552 full", "554 no", "250-mx\n250 STARTTLS", "250-mx\n250-STARTTLS\n250 REQUIRETLS", "500 what"),
    *("250-mx\n250 REQUIRETLS", "250-mx\n250-PIPELINING\n250 REQUIRETLS x", "220 go\n250 and more"),
]


@dataclass
class World:
    """What is true of all messages, whoever was told it."""

    requirements: list[Requirement] = field(default_factory=list)
    may_be_there: set[tuple[int, str]] = field(default_factory=set)
    """Messages and recipients whose content was sent, and not refused."""
    taken: set[tuple[int, str]] = field(default_factory=set)
    refused: set[tuple[int, str]] = field(default_factory=set)
    """Refused for good."""
    wrong: list[AssertionError] = field(default_factory=list)
    """What was said to servers and must not be."""


class Conversation:
    """A server's end of one connection: it answers one thing after the other, and judges what it hears."""

    def __init__(self, world: World, protocol: asyncio.BaseProtocol, address: str) -> None:
        self.address = address
        self.waiting: deque[str] = deque(["GREETING"])
        """What is to be answered, the oldest first; a command with its argument."""
        self.handshake: asyncio.Future[End] | None = None
        self.context: ssl.SSLContext | None = None
        self.said_too_much = False
        self._world = world
        self._tls: End | None = None
        self._offers_requiretls = False
        self._early = ""
        self._number = -1
        self._accepted: list[str] = []
        self._content_due = False
        self.transport = PlayedTransport(protocol, listener=self._listen)

    async def shake_hands(self, context: ssl.SSLContext) -> object:
        self.handshake, self.context = asyncio.get_running_loop().create_future(), context
        end = await self.handshake
        self.handshake, self._tls, self._offers_requiretls = None, end, False
        return shaken(context, end)

    @property
    def due(self) -> str:
        """The key of what is to be answered now."""
        verb = self.waiting[0].partition(" ")[0]
        return "EHLO in TLS" if verb == "EHLO" and self._tls else verb

    def answer(self, reply: str) -> None:
        """Say *reply*, whatever it answers."""
        lines = reply.split("\n")
        self.transport.say("".join(f"{line}\r\n" for line in lines).encode())
        # Lines with a blank end a reply; there may be several.
        start = 0
        for number, line in enumerate(lines):
            if line[3] == " ":
                self._count("\n".join(lines[start : number + 1]))
                start = number + 1

    def _count(self, reply: str) -> None:
        if self.waiting:
            self._answered(self.waiting.popleft(), reply)
        elif reply.startswith("421"):
            self._early = self._early or reply
        else:
            self.said_too_much = True

    def _answered(self, said: str, reply: str) -> None:
        verb, _, argument = said.partition(" ")
        kind = int(reply[0])
        if verb == "EHLO":
            listed = [line[4:] for line in reply.split("\n")[1:]]
            self._offers_requiretls = kind == 2 and bool(self._tls) and "REQUIRETLS" in listed
        elif verb == "RCPT" and kind == 2:
            self._accepted.append(argument)
        elif verb == "DATA":
            self._content_due = kind == 3
        elif verb == "CONTENT":
            self._judged(kind)

    def _judged(self, kind: int) -> None:
        for address in self._accepted:
            if kind == 2:
                self._world.taken.add((self._number, address))
            elif kind in (4, 5):
                self._world.may_be_there.discard((self._number, address))
            if kind == 5:
                self._world.refused.add((self._number, address))

    def _listen(self, data: bytes) -> None:
        # Whoever speaks to us must not be disturbed by what we think of it.
        try:
            self._hear(data)
        except AssertionError as wrong:
            self._world.wrong.append(wrong)

    def _hear(self, data: bytes) -> None:
        assert not self.said_too_much, "something was said after an answer that nobody had asked for"
        if self._content_due:
            self._hear_content(data)
            return
        for line in data.decode().split("\r\n")[:-1]:
            self._hear_command(line)

    def _hear_command(self, line: str) -> None:
        verb = line.partition(" ")[0]
        heard = verb
        if verb == "MAIL":
            self._hear_mail(line)
        elif verb == "RCPT":
            heard = f"RCPT {line.partition('<')[2].partition('>')[0]}"
        assert verb in LEADING_ON, line
        self.waiting.append(heard)
        if self._early and len(self.waiting) == 1:
            early, self._early = self._early, ""
            self._answered(self.waiting.popleft(), early)

    def _hear_mail(self, line: str) -> None:
        """Fail if the demand of the message is not met here."""
        self._number, self._accepted = int(line.partition("<m")[2].partition("@")[0]), []
        requirement = self._world.requirements[self._number]
        with_keyword = "REQUIRETLS" in line.split()
        assert with_keyword == (requirement is Requirement.REQUIRED)
        if requirement is Requirement.REQUIRED:
            assert self._tls is End.GOOD
            assert self._offers_requiretls
        elif requirement is Requirement.UNSTATED and self.address == WITH_DANE:
            assert self._tls is End.GOOD

    def _hear_content(self, data: bytes) -> None:
        self._content_due = False
        assert data == Content.of(content_of(self._number)).wire
        assert self._accepted
        for address in self._accepted:
            key = self._number, address
            assert key not in self._world.may_be_there, "a message twice"
            assert key not in self._world.refused, "a message that was refused for good"
            self._world.may_be_there.add(key)
        self.waiting.append("CONTENT")


def content_of(number: int) -> bytes:
    return f"Subject: {number}\r\n\r\nhello\r\n".encode()


def evidence() -> Evidence:
    """Return what DNS says about the domain: all is signed, and one of two hosts has a TLSA record."""
    hosts = (
        HostEvidence(HOST, 10, addresses(WITH_DANE, DANERecords(HOST, (record(),)))),
        HostEvidence(HOST, 20, addresses(WITHOUT, NoDANE(secure_absence=True))),
    )
    mx = MailHosts(tuple(Candidate(HOST, each.preference) for each in hosts), True, False, DOMAIN)
    return Evidence(DomainHop(DOMAIN), mx, NoSTS(), hosts, 25)


def addresses(text: str, dane: Any) -> HostAddresses:
    return HostAddresses((ipaddress.ip_address(text),), addresses_secure=True, dane=dane, expanded=HOST)


dice = st.integers(0, 2**32).map(random.Random)


class DeliveryMachine(RuleBasedStateMachine):
    """Some deliveries at the same time, and servers that do as they like."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.loop = SocketlessLoop(self.connected, self.shake_hands)
        self.conversations: list[Conversation] = []
        self.refusing = False
        self.tasks: list[asyncio.Task[None]] = []
        self.outcomes: list[dict[Recipient, Outcome]] = []
        self.evidence = evidence()
        self.shared: DeliveryRules

        async def begin() -> None:
            pool: Pool[Session] = Pool(total=3, per_host=2)
            self.shared = DeliveryRules(rules(), pool, Rules(), attempted)

        self.run(begin())

    def run(self, step: Awaitable[None]) -> None:
        """Do *step* and let everybody go on until he waits for a server."""

        async def stepped() -> None:
            await step
            await settled()

        self.loop.run_until_complete(stepped())

    def connected(self, protocol: asyncio.BaseProtocol, address: str) -> PlayedTransport:
        if self.refusing:
            raise ConnectionRefusedError
        conversation = Conversation(self.world, protocol, address)
        self.conversations.append(conversation)
        return conversation.transport

    async def shake_hands(self, transport: PlayedTransport, context: ssl.SSLContext) -> object:
        [one] = [each for each in self.conversations if each.transport is transport]
        return await one.shake_hands(context)

    @property
    def open(self) -> list[Conversation]:
        return [each for each in self.conversations if not each.transport.ended]

    @property
    def asked(self) -> list[Conversation]:
        return [each for each in self.open if each.waiting and each.handshake is None]

    @property
    def idle(self) -> list[Conversation]:
        return [each for each in self.open if not each.waiting and each.handshake is None]

    @initialize(requirements=st.lists(st.sampled_from(Requirement), min_size=1, max_size=3), dice=dice)
    def begin(self, requirements: list[Requirement], dice: random.Random) -> None:
        for number, requirement in enumerate(requirements):
            self.deliver(requirement, 1 + number % 2)
        self.talk(dice, 40)

    @precondition(lambda self: len(self.tasks) < 6)
    @rule(requirement=st.sampled_from(Requirement), to=st.integers(1, 3))
    def deliver(self, requirement: Requirement, to: int) -> None:
        number = len(self.tasks)
        self.world.requirements.append(requirement)
        tag = Tag(requirement, Origin.MAIL_PARAMETER)
        sender = MailAddress.parse(f"m{number}@sender.example")
        message = Message(sender, content_of(number), tag=tag)
        job = Job.of(message, Level.ENFORCE, Content.of(message.content))
        recipients = [Recipient.parse(f"r{each}@recipient.example") for each in range(to)]
        self.outcomes.append({})

        async def begun() -> None:
            delivery = Delivery(job, self.evidence, self.shared, self.outcomes[number])
            self.tasks.append(asyncio.ensure_future(delivery.run(recipients)))

        self.run(begun())

    @rule(dice=dice, steps=st.integers(10, 60))
    def talk(self, dice: random.Random, steps: int) -> None:
        """Let servers go on as dice say: mostly with what leads on, or there would be nothing to see."""
        for _ in range(steps):
            shaking = [each for each in self.open if each.handshake is not None]
            if shaking:
                self.end_handshake(shaking[0], dice.choice((End.GOOD, End.GOOD, End.GOOD, *End)))
            elif self.asked:
                one = dice.choice(self.asked)
                if dice.random() < (0.2 if one.due == "CONTENT" else 0.01):
                    self.cut(one, None)
                else:
                    replies = LEADING_ON[one.due] if dice.random() < 0.95 else ANYTHING
                    self.run(done(one.answer, dice.choice(replies)))

    @precondition(lambda self: bool(self.asked))
    @rule(data=st.data(), reply=st.sampled_from(ANYTHING), times=st.integers(1, 3))
    def answer(self, data: st.DataObject, reply: str, times: int) -> None:
        one = data.draw(st.sampled_from(self.asked))
        for _ in range(times):
            if one in self.asked:
                self.run(done(one.answer, reply))

    def end_handshake(self, one: Conversation, end: End) -> None:
        assert one.handshake is not None
        self.run(done(one.handshake.set_result, end))

    @precondition(lambda self: bool(self.idle))
    @rule(data=st.data(), reply=st.sampled_from(["250 unasked", "421 leaving", "354 go", "550 no"]))
    def say_unasked(self, data: st.DataObject, reply: str) -> None:
        self.run(done(data.draw(st.sampled_from(self.idle)).answer, reply))

    @precondition(lambda self: bool(self.open))
    @rule(data=st.data(), how=st.sampled_from(["close", "reset", "rubbish"]))
    def break_off(self, data: st.DataObject, how: str) -> None:
        one = data.draw(st.sampled_from(self.open))
        if how == "rubbish" and one.handshake is None:
            self.run(done(one.transport.say, b"\0rubbish\r\n"))
        else:
            self.cut(one, ConnectionResetError() if how == "reset" else None)

    def cut(self, one: Conversation, error: Exception | None) -> None:
        if one.handshake is not None:
            self.end_handshake(one, End.CUT)
        self.run(done(one.transport.hang_up, error))

    @rule(refusing=st.booleans())
    def refuse_connections(self, refusing: bool) -> None:
        self.refusing = refusing

    @rule(seconds=st.sampled_from([1.0, 301.0, 601.0]))
    def wait(self, seconds: float) -> None:
        self.loop.now += seconds
        self.run(settled())

    @rule()
    def end_idle_sessions(self) -> None:
        self.run(done(self.shared.pool.expire))

    @invariant()
    def no_server_hears_what_it_must_not(self) -> None:
        for wrong in self.world.wrong:
            raise wrong

    @invariant()
    def nobody_is_told_what_is_not_so(self) -> None:
        for number, outcomes in enumerate(self.outcomes):
            for recipient, outcome in outcomes.items():
                key = number, str(recipient)
                assert (outcome.disposition is Disposition.DELIVERED) == (key in self.world.taken)
                # Who may have the message is not told that it failed.
                assert outcome.disposition is not Disposition.FAILED or key not in self.world.may_be_there

    def teardown(self) -> None:
        self.refusing = True
        for _ in range(20):
            for each in self.open:
                self.cut(each, ConnectionResetError())
        assert all(task.done() and task.exception() is None for task in self.tasks)
        for number, outcomes in enumerate(self.outcomes):
            assert outcomes, number
        self.nobody_is_told_what_is_not_so()
        self.no_server_hears_what_it_must_not()
        self.run(self.shared.pool.close())
        self.loop.now += 600
        self.run(self.shared.session.farewells.all_said())
        self.loop.close()


async def attempted(attempt: Attempt) -> None:
    """Nobody listens."""


async def done(call: Any, *arguments: object) -> None:
    """Call something where a loop runs."""
    call(*arguments)


DeliveryMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestAnyServer = DeliveryMachine.TestCase
