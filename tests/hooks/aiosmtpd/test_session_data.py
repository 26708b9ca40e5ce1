"""What a session does with messages, handlers, time and TLS."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import smtplib
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

import pytest

from requiretls_aiosmtpd import LMTPSession, SMTPSession, quiet_aiosmtpd, revive_loggers
from requiretls_aiosmtpd.connection import PROGRESS_OCTETS
from requiretls_plugin.receiving.message_memory import FREE_OCTETS, LARGEST_MESSAGES, MessageMemory
from requiretls_plugin.reply import Reply
from tests.hooks.aiosmtpd.serving import Keeper, RawClient, client_context, serving, talking

END = b"\r\n.\r\n"
ENVELOPE = ("MAIL FROM:<a@sender.example>", "RCPT TO:<b@receiver.example>")


def say_data(client: RawClient, *envelope: str) -> None:
    """Go as far as the server's 354."""
    for command in (*(envelope or ENVELOPE), "DATA"):
        assert client.say(command)[0] in "23", command


def content_after(keeper: Keeper, data: bytes, *, chunk: int | None = None) -> list[bytes]:
    """Send *data* after DATA, in pieces of *chunk* octets, and return what arrived below the trace."""
    with serving(keeper) as port, talking(port, tls=False) as client:
        say_data(client)
        for start in range(0, len(data), chunk or len(data)):
            client.send(data[start : start + (chunk or len(data))])
        assert client.reply()[-1].startswith("250 ")
        client.say("QUIT")
    return [below_trace(transaction.content) for transaction in keeper.taken]


def below_trace(content: object) -> bytes:
    """Return a message without the Received field put above it."""
    assert isinstance(content, bytes)
    trace, _, rest = content.partition(b"\r\n\t")[2].partition(b"\r\n\t")[2].partition(b"\r\n")
    assert trace.endswith(b"-0000")
    return rest


MESSAGES = [
    pytest.param(b".\r\n", b"", id="empty"),
    pytest.param(b"a\r\n.\r\n", b"a\r\n", id="one line"),
    pytest.param(b"..\r\n.\r\n", b".\r\n", id="a dot in the first line"),
    pytest.param(b"a\r\n..b\r\n...\r\n.\r\n", b"a\r\n.b\r\n..\r\n", id="dots in other lines"),
    pytest.param(b"\r\n\r\n.\r\n", b"\r\n\r\n", id="empty lines"),
    pytest.param(b"x" * 300_000 + b"\r\n.\r\n", b"x" * 300_000 + b"\r\n", id="one very long line"),
    pytest.param(b"\x00\xff\r\n.\r\n", b"\x00\xff\r\n", id="any octets"),
]


@pytest.mark.parametrize(("data", "content"), MESSAGES)
@pytest.mark.parametrize("chunk", [None, 1], ids=["at once", "octet by octet"])
def test_a_message_arrives_as_it_was_sent(data: bytes, content: bytes, chunk: int | None) -> None:
    """Dots are unstuffed, no line is too long, and packets may end anywhere."""
    if chunk and len(data) > 1000:
        chunk = 4099

    assert content_after(Keeper(), data, chunk=chunk) == [content]


SMUGGLED = [
    b"\n.\n",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r.\r",
    b"\r\n.\r",
    b"\r.\r\n",
    b"\n\n.\r\r\n",
    b"\r\n\0.\r\n",
    b"\r\n.\0\r\n",
]


@pytest.mark.parametrize("end", SMUGGLED, ids=repr)
def test_attack_only_crlf_dot_crlf_ends_a_message(end: bytes) -> None:
    """Whatever looks like an end to other servers stays inside the one message (SMTP smuggling)."""
    data = b"a" + end + b"MAIL FROM:<evil@x.example>\r\nRCPT TO:<v@x.example>\r\nDATA\r\nevil\r\n.\r\n"

    [content] = content_after(Keeper(), data)

    assert b"evil@x.example" in content


def test_attack_no_lone_cr_or_lf_is_left_for_the_next_server() -> None:
    """Each becomes a whole line end, before anything looks at the header."""
    [content] = content_after(Keeper(), b"A: 1\nB: 2\rC: 3\r\n\r\r\n\nD\r\n.\r\n")

    assert content == b"A: 1\r\nB: 2\r\nC: 3\r\n\r\n\r\n\r\nD\r\n"


def test_the_trace_names_the_client_and_how_it_spoke() -> None:
    """RFC 5321 section 4.4 and the words of RFC 3848."""
    keeper = Keeper()
    with serving(keeper) as port, talking(port) as client:
        say_data(client)
        client.send(b"A: 1\r\n.\r\n")
        client.reply()

    content = keeper.taken[0].content
    assert isinstance(content, bytes)
    assert content.startswith(
        b"Received: from client.example ([127.0.0.1])\r\n\tby mx.receiver.example with ESMTPS;\r\n\t"
    )


def test_attack_the_client_s_name_cannot_write_the_trace() -> None:
    """What could end a comment or a line is taken out."""
    keeper = Keeper()
    with serving(keeper) as port, RawClient(port) as client:
        client.send(b"EHLO x) by evil (\x0b;\\\r\n")
        client.reply()
        say_data(client)
        client.send(b"A: 1\r\n.\r\n")
        client.reply()

    content = keeper.taken[0].content
    assert isinstance(content, bytes)
    assert content.startswith(b"Received: from x??by?evil???;? ([127.0.0.1])\r\n")


def test_attack_a_message_that_goes_in_circles_is_refused() -> None:
    """RFC 5321 section 6.3."""
    keeper = Keeper()
    with serving(keeper) as port, talking(port, tls=False) as client:
        say_data(client)
        client.send(b"Received: x\r\n" * 101 + b"\r\n.\r\n")
        answer = client.reply()[-1]

    assert answer.startswith("554 5.4.6 ")
    assert keeper.taken == []


def test_a_message_that_is_too_large_is_read_to_its_end_and_refused() -> None:
    """The session goes on in step, and nothing of it was kept."""
    keeper = Keeper()
    with serving(keeper, data_size_limit=1000) as port, talking(port, tls=False) as client:
        say_data(client)
        client.send((b"x" * 78 + b"\r\n") * 5000 + b".\r\n")
        assert client.reply()[-1].startswith("552 5.3.4 ")
        say_data(client)
        client.send(b"x" * 998 + b"\r\n.\r\n")
        assert client.reply()[-1].startswith("250 ")

    assert len(keeper.taken) == 1


# LMTP


def lmtp_answers(keeper: Keeper, data: bytes = b"A: 1\r\n.\r\n", limit: int = 100_000) -> list[str]:
    """Send one message to three recipients, of whom one is refused, and return the replies to its end."""
    with (
        serving(keeper, LMTPSession, data_size_limit=limit) as port,
        talking(port, tls=False, verb="LHLO") as client,
    ):
        client.say("MAIL FROM:<a@sender.example>")
        for local_part in ("b", "c d", "e"):
            client.say(f"RCPT TO:<{local_part}@receiver.example>")
        client.say("DATA")
        client.send(data + b"NOOP\r\n")
        answers = [client.reply()[-1] for _ in range(2)]
        assert client.reply() == ["250 2.0.0 OK"]
    return answers


LMTP_ANSWERS = [
    pytest.param("250 OK", ["250 2.0.0", "250 2.0.0"], id="one for all"),
    pytest.param(["250 OK", "550 5.7.30 no"], ["250 2.0.0", "550 5.7.30"], id="one each"),
    pytest.param(
        [Reply(451, "4.3.5", "x"), Reply(550, "5.1.1", "y")],
        ["451 4.3.5", "550 5.1.1"],
        id="replies as values",
    ),
    pytest.param(["250 OK"], ["451 4.3.0", "451 4.3.0"], id="too few"),
    pytest.param(["250 OK"] * 3, ["451 4.3.0", "451 4.3.0"], id="too many"),
    pytest.param(["250 OK", None], ["250 2.0.0", "451 4.3.0"], id="none for one"),
    pytest.param("250 a\r\n550 b", ["250 2.0.0", "250 2.0.0"], id="a line end in an answer"),
    pytest.param(None, ["451 4.3.0", "451 4.3.0"], id="none at all"),
    pytest.param("fine", ["451 4.3.0", "451 4.3.0"], id="no reply"),
    pytest.param("354 go on", ["451 4.3.0", "451 4.3.0"], id="no final reply"),
    pytest.param(RuntimeError("secret"), ["451 4.3.0", "451 4.3.0"], id="an error"),
]


@pytest.mark.parametrize(("answer", "replies"), LMTP_ANSWERS)
def test_lmtp_has_one_reply_for_each_recipient_whatever_the_handler_does(
    answer: object, replies: list[str]
) -> None:
    """In their order, and the session is in step afterwards (RFC 2033 section 4.2)."""
    answers = lmtp_answers(Keeper(answer))

    assert [" ".join(line.split(" ")[:2]) for line in answers] == replies
    assert "secret" not in "".join(answers)


@pytest.mark.parametrize("data", [b"x" * 2000 + b"\r\n.\r\n", b"Received: x\r\n" * 101 + b"\r\n.\r\n"])
def test_lmtp_has_one_reply_for_each_recipient_of_a_message_it_refuses(data: bytes) -> None:
    """Too large, or going in circles."""
    limit = 1500 if data.startswith(b"x") else 100_000
    answers = lmtp_answers(Keeper(), data, limit)

    assert {line[:4] for line in answers} == {"552 " if limit == 1500 else "554 "}


def test_lmtp_knows_no_helo_and_no_ehlo() -> None:
    """RFC 2033 section 4.1."""
    with serving(Keeper(), LMTPSession) as port, RawClient(port) as client:
        assert client.say("EHLO client.example").startswith("500 5.5.1 ")
        assert client.say("HELO client.example").startswith("500 5.5.1 ")


# Handlers

HANDLER_ANSWERS = [
    pytest.param(
        "550 5.7.30 REQUIRETLS support required", "550 5.7.30 REQUIRETLS support required", id="as is"
    ),
    pytest.param("550 no", "550 5.0.0 no", id="a code is added"),
    pytest.param("250 5.1.1 odd", "250 2.0.0 odd", id="a code of another class is replaced"),
    pytest.param("550 a\r\n250 b", "550 5.0.0 a 250 b", id="a line end"),
    pytest.param("550 \x1b[31mred\u2028", "550 5.0.0 [31mred", id="control characters"),
    pytest.param("550 " + "x" * 2000, "550 5.0.0 " + "x" * 480, id="endless"),
    pytest.param("", "451 4.3.0 Internal error, try again later", id="nothing"),
    pytest.param(["250 OK", "250 OK"], "451 4.3.0 Internal error, try again later", id="two answers in SMTP"),
    pytest.param(
        RuntimeError("/etc/secret"), "451 4.3.0 Internal error, try again later", id="an error says nothing"
    ),
]


@pytest.mark.parametrize(("answer", "line"), HANDLER_ANSWERS)
def test_attack_a_handler_s_answer_is_one_safe_line(answer: object, line: str) -> None:
    """What a handler echoes of a message cannot add a reply to the session."""
    with serving(Keeper(answer)) as port, talking(port, tls=False) as client:
        say_data(client)
        client.send(b"A: 1\r\n.\r\nNOOP\r\n")
        assert client.reply() == [line]
        assert client.reply() == ["250 2.0.0 OK"]


def test_hooks_of_aiosmtpd_decide_on_sender_and_recipient() -> None:
    """A refused recipient is not kept, and a refused sender opens no transaction."""

    class Choosy(Keeper):
        async def handle_MAIL(self, server, session, envelope, address, options):  # type: ignore[no-untyped-def]
            if address.startswith("bad"):
                return "550 5.7.1 not you"
            envelope.mail_from = address
            return "250 OK"

        async def handle_RCPT(self, server, session, envelope, address, options):  # type: ignore[no-untyped-def]
            if address.startswith("bad"):
                return "550 no such user"
            envelope.rcpt_tos.append(address)
            return "250 OK"

    choosy = Choosy()
    with serving(choosy) as port, talking(port) as client:
        assert client.say("MAIL FROM:<bad@x.example> REQUIRETLS").startswith("550 5.7.1 ")
        assert client.say("RCPT TO:<b@x.example>").startswith("503 ")
        client.say("MAIL FROM:<a@x.example>")
        assert client.say("RCPT TO:<bad@x.example>").startswith("550 5.0.0 ")
        client.say("RCPT TO:<b@x.example>")
        client.say("DATA")
        client.send(b"A: 1\r\n.\r\n")
        client.reply()

    assert [str(recipient) for recipient in choosy.taken[0].recipients] == ["b@x.example"]
    assert not choosy.taken[0].mail_parameter


# TLS


@pytest.mark.requirement("3207-4.2-2")
def test_attack_commands_pipelined_behind_starttls_are_gone() -> None:
    """They were sent before anybody was authenticated (CVE-2011-0411)."""
    with serving(Keeper()) as port, RawClient(port) as client:
        client.greet()
        client.start_tls(pipelined=b"EHLO evil.example\r\nMAIL FROM:<x@evil.example>\r\n")
        assert client.say("MAIL FROM:<a@sender.example>").startswith("503 ")
        client.greet()
        assert client.say("RCPT TO:<b@receiver.example>").startswith("503 ")


@pytest.mark.requirement("3207-4.2-2")
def test_attack_no_flood_behind_starttls_is_answered() -> None:
    """What does not fit the buffer is taken for a handshake, and fails as one."""
    answered = b""
    with serving(Keeper()) as port, RawClient(port) as client, contextlib.suppress(OSError):
        client.greet()
        client.send(b"STARTTLS\r\n" + b"NOOP\r\n" * 40_000)
        while octets := client.socket.recv(4096):
            answered += octets

    assert b"250" not in answered.partition(b"\r\n")[2]


@pytest.mark.requirement("3207-4.2-2")
def test_what_was_said_before_tls_is_forgotten() -> None:
    """Greeting and transaction belong to the cleartext session."""
    with serving(Keeper()) as port, talking(port, tls=False) as client:
        client.say("MAIL FROM:<a@sender.example>")
        client.start_tls()
        assert client.say("MAIL FROM:<a@sender.example>").startswith("503 ")
        client.greet()
        assert client.say("RCPT TO:<b@receiver.example>").startswith("503 ")


@pytest.mark.requirement("3207-4.2-3")
def test_a_second_starttls_is_refused() -> None:
    """The session goes on as it was."""
    with serving(Keeper()) as port, talking(port) as client:
        assert client.say("STARTTLS").startswith("503 5.5.1 ")
        assert client.say("NOOP").startswith("250 ")


def test_without_a_certificate_starttls_is_neither_listed_nor_taken() -> None:
    """There is nothing to prove."""
    with serving(Keeper(), tls_context=None) as port, RawClient(port) as client:
        assert "STARTTLS" not in client.greet()
        assert client.say("STARTTLS").startswith("502 5.5.1 ")


def test_a_failed_handshake_is_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Strangers who do not speak TLS are no reason for a traceback."""
    caplog.set_level(logging.INFO)
    with serving(Keeper()) as port:
        with RawClient(port) as client:
            client.greet()
            client.send(b"STARTTLS\r\n")
            client.reply()
            client.send(b"GET / HTTP/1.1\r\n\r\n" * 10)
            client.file.read()
        with talking(port) as other:
            assert other.say("NOOP").startswith("250 ")

    assert [record for record in caplog.records if "TLS handshake" in record.message]
    assert not [record for record in caplog.records if record.exc_info]


# Time


def test_an_idle_client_is_cut_off() -> None:
    """Nobody keeps a connection for nothing."""
    with serving(Keeper(), timeout=0.2) as port, RawClient(port) as client:
        assert client.reply() == []


def test_attack_a_command_that_drips_does_not_keep_the_connection() -> None:
    """Only whole commands, and messages, are a sign of life."""
    with serving(Keeper(), timeout=0.3) as port, RawClient(port) as client:
        began = time.monotonic()
        try:
            while time.monotonic() < began + 3:
                client.send(b"N")
                time.sleep(0.05)
        except OSError:
            pass
        assert time.monotonic() - began < 2


def test_a_client_that_sends_steadily_is_not_cut_off() -> None:
    """However long the message takes altogether."""
    keeper = Keeper()
    with serving(keeper, timeout=0.5) as port, talking(port, tls=False) as client:
        say_data(client)
        for _ in range(8):
            client.send(b"x" * PROGRESS_OCTETS)
            time.sleep(0.1)
        client.send(b"\r\n.\r\n")
        assert client.reply()[-1].startswith("250 ")


def test_attack_a_message_that_drips_does_not_keep_the_connection() -> None:
    """An octet now and then would hold a connection, and what was sent before, for days."""
    keeper = Keeper()
    with serving(keeper, timeout=0.3) as port, talking(port, tls=False) as client:
        say_data(client)
        client.send(b"x" * PROGRESS_OCTETS)
        client.socket.settimeout(0.05)
        began = time.monotonic()
        with contextlib.suppress(OSError):
            while time.monotonic() < began + 10:
                client.send(b"x")
                with contextlib.suppress(TimeoutError):
                    assert client.socket.recv(10) == b""
                    break
        assert time.monotonic() < began + 10
    assert keeper.taken == []


def test_a_handler_that_works_is_waited_for() -> None:
    """And the session is idle only from then on."""

    async def slow() -> str:
        await asyncio.sleep(0.7)
        return "250 OK"

    with serving(Keeper(slow), timeout=0.3) as port, talking(port, tls=False) as client:
        say_data(client)
        client.send(b"a\r\n.\r\n")
        assert client.reply()[-1].startswith("250 ")
        assert client.say("NOOP").startswith("250 ")
        assert client.reply() == []


def test_another_client_is_answered_while_a_handler_works() -> None:
    """The loop is nobody's alone."""

    async def slow() -> str:
        await asyncio.sleep(1)
        return "250 OK"

    with serving(Keeper(slow)) as port, talking(port, tls=False) as client:
        say_data(client)
        client.send(b"a\r\n.\r\n")
        began = time.monotonic()
        with talking(port, tls=False):
            took = time.monotonic() - began
        assert client.reply()[-1].startswith("250 ")

    assert took < 0.5


@pytest.mark.parametrize(
    "after", ["", "EHLO x\r\n", "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<b@x.example>\r\nDATA\r\nhalf"]
)
def test_attack_a_client_that_vanishes_leaves_no_trace(after: str, caplog: pytest.LogCaptureFixture) -> None:
    """Half a message is no message, and a reset is no error of ours."""
    keeper = Keeper()
    with serving(keeper) as port:
        client = RawClient(port)
        client.send(after.encode())
        time.sleep(0.05)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.file.close()
        client.socket.close()
        time.sleep(0.05)
        with talking(port, tls=False) as other:
            assert other.say("NOOP").startswith("250 ")

    assert keeper.taken == []
    assert not [record for record in caplog.records if record.exc_info]


def test_message_bodies_are_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Not even at DEBUG."""
    caplog.set_level(logging.DEBUG)
    content_after(Keeper(), b"Subject: x\r\n\r\nsecret-word\r\n.\r\n")

    assert "secret-word" not in caplog.text


def test_aiosmtpd_is_quiet_unless_its_level_was_set() -> None:
    """Every command of every client is too much for a log."""
    log, ours = logging.getLogger("mail.log"), logging.getLogger("requiretls_plugin.example")
    level, disabled = log.level, log.disabled
    try:
        log.setLevel(logging.NOTSET)
        log.disabled = ours.disabled = True
        quiet_aiosmtpd()
        revive_loggers()
        assert (log.level, log.disabled, ours.disabled) == (logging.WARNING, False, False)
        log.setLevel(logging.DEBUG)
        quiet_aiosmtpd()
        assert log.level == logging.DEBUG
    finally:
        log.level, log.disabled = level, disabled


def test_attack_more_connections_than_allowed_are_sent_away() -> None:
    """The others go on, and there is room again when one ends."""
    taken: set[Any] = set()
    with serving(Keeper(), open_connections=taken, max_connections=2) as port:
        with RawClient(port) as first, RawClient(port):
            with RawClient(port) as third:
                assert third.greeting == ["421 4.3.2 Too many connections"]
                assert third.reply() == []
            assert first.say("NOOP").startswith("250 ")
        time.sleep(0.05)
        with RawClient(port) as again:
            assert again.greeting[0].startswith("220 ")


class Hoarding(SMTPSession):
    """A session with a memory that no other test uses."""

    message_memory = MessageMemory()


class HoardingLMTP(LMTPSession):
    """The same for LMTP."""

    message_memory = Hoarding.message_memory


@pytest.mark.parametrize("session_class", [Hoarding, HoardingLMTP], ids=["SMTP", "LMTP"])
def test_attack_large_messages_at_once_take_so_much_memory_and_no_more(
    session_class: type[SMTPSession],
) -> None:
    """The next one is told to come again and stays connected; ordinary mail gets in all the time."""
    keeper, verb = Keeper(), "LHLO" if session_class is HoardingLMTP else "EHLO"
    limit = 8 * FREE_OCTETS
    memory, large = session_class.message_memory, b"x" * (limit - 100)
    fitting = LARGEST_MESSAGES * limit // (limit - FREE_OCTETS)
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(serving(keeper, session_class, data_size_limit=limit))
        clients = [stack.enter_context(talking(port, tls=False, verb=verb)) for _ in range(fitting)]
        for client in clients:
            say_data(client)
            client.send(large)
        _wait_until(lambda: memory.held >= fitting * (limit - FREE_OCTETS - 100_000))
        with talking(port, tls=False, verb=verb) as late:
            say_data(late)
            late.send(b"x" * 100_000 + END)
            assert late.reply()[-1].startswith("250 ")
            say_data(late)
            late.send(large + END)
            assert late.reply()[-1].startswith("452 4.3.1 ")
            assert memory.held <= LARGEST_MESSAGES * limit
            for client in clients:
                client.send(END)
                assert client.reply()[-1].startswith("250 ")
            say_data(late)
            late.send(large + END)
            assert late.reply()[-1].startswith("250 ")

    assert len(keeper.taken) == fitting + 2
    assert memory.held == 0


def test_a_client_that_leaves_in_the_middle_gives_its_memory_back() -> None:
    """Whatever it had sent."""
    limit = 8 * FREE_OCTETS
    with serving(Keeper(), Hoarding, data_size_limit=limit) as port:
        with talking(port, tls=False) as client:
            say_data(client)
            client.send(b"x" * (limit // 2))
            _wait_until(lambda: Hoarding.message_memory.held > 0)
        _wait_until(lambda: Hoarding.message_memory.held == 0)


def test_a_message_that_a_handler_has_still_takes_memory() -> None:
    """It is gone when the client has its answer."""
    limit = 8 * FREE_OCTETS
    held = []

    async def handler() -> str:
        held.append(Hoarding.message_memory.held)
        return "250 OK"

    with (
        serving(Keeper(handler), Hoarding, data_size_limit=limit) as port,
        talking(port, tls=False) as client,
    ):
        say_data(client)
        client.send(b"x" * (limit // 2) + b"\r\n.\r\n")
        assert client.reply()[-1].startswith("250 ")

    assert held == [pytest.approx(limit // 2 - FREE_OCTETS, abs=100)]


@pytest.mark.parametrize("limit", [0, None])
def test_no_size_limit_is_none(limit: int | None) -> None:
    """As aiosmtpd has it, 0 means that there is no limit, too."""
    keeper = Keeper()
    with serving(keeper, data_size_limit=limit) as port, talking(port, tls=False) as client:
        say_data(client)
        client.send(b"x\r\n.\r\n")
        assert client.reply()[-1].startswith("250 ")


def _wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize("session_class", [SMTPSession, LMTPSession], ids=["SMTP", "LMTP"])
def test_the_standard_library_s_client_is_served(session_class: type[SMTPSession]) -> None:
    """A foreign client, with STARTTLS and the parameter."""
    keeper = Keeper()
    client_class = smtplib.LMTP if session_class is LMTPSession else smtplib.SMTP
    with serving(keeper, session_class) as port, client_class("127.0.0.1", port) as client:
        client.starttls(context=client_context())
        client.ehlo_or_helo_if_needed()
        assert client.has_extn("requiretls")
        refused = client.sendmail(
            "a@x.example", ["b@y.example"], b"A: 1\n\n.dot\n", mail_options=["REQUIRETLS"]
        )

    assert refused == {}
    assert keeper.taken[0].mail_parameter
    assert below_trace(keeper.taken[0].content) == b"A: 1\r\n\r\n.dot\r\n\r\n"
