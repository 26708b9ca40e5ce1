"""Sessions under any order of commands, with TLS and without: what they promise holds in all of them."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from requiretls_aiosmtpd import LMTPSession, SMTPSession, Transaction
from tests.hooks.aiosmtpd.played_client import Client
from tests.hooks.aiosmtpd.serving import Keeper, server_context
from tests.socketless import SocketlessLoop, settled

GOOD_MAIL = ["MAIL FROM:<a@sender.example> REQUIRETLS", "MAIL FROM:<> RET=HDRS"]
GOOD_RCPT = ["RCPT TO:<b@rcpt.example>", "RCPT TO:<postmaster> NOTIFY=NEVER"]
MAIL = st.sampled_from(
    [
        *("MAIL FROM:<a@sender.example>", "MAIL FROM:<a@sender.example> REQUIRETLS"),
        *("MAIL FROM:<> REQUIRETLS BODY=8BITMIME", "MAIL FROM:<> requiretls RET=HDRS", "MAIL FROM:<>"),
        *("MAIL FROM:<a@sender.example> REQUIRETLS=", "MAIL FROM:<a@sender.example> REQUIRETLS=1"),
        *("MAIL FROM:<a@sender.example> REQUIRETLS REQUIRETLS", "MAIL FROM:a REQUIRETLS", "MAIL"),
        "MAIL FROM:<a@sender.example> SIZE=999999999 REQUIRETLS",
        "MAIL FROM:<a@sender.example> X=REQUIRETLS",
    ]
)
RCPT = st.sampled_from(
    [
        *("RCPT TO:<b@rcpt.example>", "RCPT TO:<c@rcpt.example> NOTIFY=NEVER", "RCPT TO:<postmaster>"),
        *("RCPT TO:<b@rcpt.example> REQUIRETLS", "RCPT TO:<nobody>", "RCPT"),
    ]
)
GREETING = st.sampled_from(
    ["EHLO client.example", "LHLO client.example", "HELO client.example", "EHLO", "LHLO"]
)
OTHER = st.sampled_from(
    [
        *("RSET", "RSET x", "NOOP", "VRFY b", "HELP", "HELP MAIL", "EXPN x", "AUTH PLAIN AGEAYg==", "AUTH x"),
        *("DATA x", "STARTTLS x", "", "REQUIRETLS", "mail from:<a@sender.example> requiretls"),
    ]
)
# What can be said with others in one packet: one command, one reply.
COMMANDS = st.one_of(MAIL, RCPT, GREETING, OTHER)

MESSAGES = ["Subject: x\r\n\r\nhello\r\n", ".. MAIL FROM:<a@b.example> REQUIRETLS\r\n", ""]


@dataclass
class Expected:
    """What the replies so far say about the transaction now open."""

    requirement: bool = False
    recipients: int = 0
    open: bool = False


class SessionMachine(RuleBasedStateMachine):
    """One client, who says anything in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = SocketlessLoop()
        self.keeper = Keeper()
        self.client: Client
        self.expected = Expected()
        self.promised: list[bool] = []
        """For each message that was taken whether REQUIRETLS was."""

    def run(self, step: object) -> list[list[str]]:
        replies: list[list[str]] = self.loop.run_until_complete(step)  # type: ignore[arg-type]
        return replies

    @initialize(lmtp=st.booleans(), implicit_tls=st.booleans(), advertise=st.sampled_from([True, False]))
    def connect(self, lmtp: bool, implicit_tls: bool, advertise: bool) -> None:
        self.lmtp, self.implicit_tls, self.advertise = lmtp, implicit_tls, advertise
        self.reconnect()

    def reconnect(self) -> None:
        async def connected() -> list[list[str]]:
            kind = LMTPSession if self.lmtp else SMTPSession
            session = kind(
                self.keeper,
                hostname="mx.example",
                tls_context=server_context(),
                advertise=self.advertise,
                loop=self.loop,
            )
            self.client = Client(session, implicit_tls=self.implicit_tls)
            return await self.client.say("")

        [greeting] = self.run(connected())
        assert greeting[0].startswith("220 ")
        self.expected = Expected()

    def heed(self, command: str, reply: list[str]) -> None:
        """Note what *reply* to *command* means, and fail if it may not be."""
        verb, positive = command.partition(" ")[0].upper(), reply[0][0] == "2"
        listed = [line[4:] for line in reply[1:]] if verb in ("EHLO", "LHLO") else []
        assert ("REQUIRETLS" in listed) == (bool(listed) and self.client.in_tls and self.advertise)
        assert not ("STARTTLS" in listed and self.client.in_tls)
        if verb in ("EHLO", "LHLO", "HELO", "RSET") and positive:
            self.expected = Expected()
        elif verb == "MAIL" and positive:
            assert not self.expected.open
            wished = "REQUIRETLS" in command.upper().split()
            assert not wished or (self.client.in_tls and self.advertise)
            self.expected = Expected(requirement=wished, open=True)
        elif verb == "RCPT" and positive:
            assert self.expected.open
            self.expected.recipients += 1

    @precondition(lambda self: self.client.transport.ended)
    @rule()
    def come_again(self) -> None:
        self.reconnect()

    @precondition(lambda self: not self.client.transport.ended)
    @rule(commands=st.lists(COMMANDS, min_size=1, max_size=6))
    def say(self, commands: list[str]) -> None:
        replies = self.run(self.client.say("".join(f"{command}\r\n" for command in commands)))
        if self.client.transport.ended:
            # Five commands that nobody knows are the end of it.
            assert len(replies) <= len(commands)
            return
        assert len(replies) == len(commands)
        for command, reply in zip(commands, replies, strict=True):
            self.heed(command, reply)

    @precondition(lambda self: not self.client.transport.ended)
    @rule(
        greet=st.booleans(),
        mail=st.sampled_from(GOOD_MAIL) | MAIL,
        rcpt=st.lists(st.sampled_from(GOOD_RCPT) | RCPT, min_size=1, max_size=3),
        to_the_end=st.booleans(),
        message=st.sampled_from(MESSAGES),
    )
    def transact(self, greet: bool, mail: str, rcpt: list[str], to_the_end: bool, message: str) -> None:
        greeting = ["LHLO c" if self.lmtp else "EHLO c"] if greet else []
        for command in [*greeting, mail, *rcpt]:
            [reply] = self.run(self.client.say(f"{command}\r\n"))
            self.heed(command, reply)
        if to_the_end:
            self.data(message, "250 OK", [])

    @precondition(lambda self: not self.client.transport.ended)
    @rule(
        message=st.sampled_from(MESSAGES),
        answer=st.sampled_from(["250 OK", "451 later", "550 no", "nonsense", ValueError("a bug")]),
        behind=st.lists(COMMANDS, max_size=2),
    )
    def data(self, message: str, answer: object, behind: list[str]) -> None:
        self.keeper.answer = answer
        [go] = self.run(self.client.say("DATA\r\n"))
        if not go[0].startswith("354"):
            assert go[0][0] in "45"
            return
        assert self.expected.recipients > 0
        due = self.expected.recipients if self.lmtp else 1
        self.promised.append(self.expected.requirement)
        said = message + ".\r\n" + "".join(f"{command}\r\n" for command in behind)
        replies = self.run(self.client.say(said))
        if not self.client.transport.ended:
            assert len(replies) == due + len(behind)
        self.expected = Expected()
        for command, reply in zip(behind, replies[due:], strict=False):
            self.heed(command, reply)

    @precondition(lambda self: not self.client.transport.ended)
    @rule(behind=st.sampled_from(["", "EHLO evil\r\nMAIL FROM:<> REQUIRETLS\r\n"]))
    def starttls(self, behind: str) -> None:
        # What comes with the command in cleartext is not for the session inside TLS.
        behind = "" if self.client.in_tls else behind
        [reply, *more] = self.run(self.client.say(f"STARTTLS\r\n{behind}"))
        assert more == []
        assert reply[0].startswith("220" if not self.client.in_tls else "503")
        if not self.client.in_tls and not behind:
            self.run(self.client.start_tls())
            assert not self.client.transport.ended
            self.expected = Expected()
        elif not self.client.in_tls:
            self.client.transport.hang_up()
            self.run(settled())

    @precondition(lambda self: not self.client.transport.ended)
    @rule(properly=st.booleans())
    def leave(self, properly: bool) -> None:
        if properly:
            [reply] = self.run(self.client.say("QUIT\r\n"))
            assert reply[0].startswith("221 ")
            assert self.client.transport.ended
        self.client.transport.hang_up()
        self.run(settled())

    @invariant()
    def a_requirement_lasts_one_transaction(self) -> None:
        assert [taken.mail_parameter for taken in self.keeper.taken] == self.promised

    @invariant()
    def a_message_is_taken_once(self) -> None:
        assert len(set(map(id, self.keeper.taken))) == len(self.keeper.taken)
        assert all(isinstance(taken, Transaction) and taken.recipients for taken in self.keeper.taken)

    def teardown(self) -> None:
        self.client.transport.hang_up()
        self.run(settled())
        self.loop.close()


SessionMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestAnyOrderOfCommands = SessionMachine.TestCase
