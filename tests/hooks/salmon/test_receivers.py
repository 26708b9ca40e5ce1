"""`SMTPReceiver` and `LMTPReceiver` in a process, with Salmon's Router behind them."""

from __future__ import annotations

import logging
import logging.config
import os
import socket
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from salmon import mail, queue
from salmon.routing import Router
from salmon.server import SMTPError

from requiretls_salmon import LMTPReceiver, Relay, SMTPReceiver
from tests.hooks.aiosmtpd.serving import RawClient, talking
from tests.hooks.salmon.post_office import LATER, NO_REQUIRETLS, PostOffice

Handle = Callable[[Callable[[Any], object]], None]
DATA = b"From: Bob <hdr@sender.example>\r\nSubject: x\r\n\r\nline one\r\n..dot\r\n.\r\n"


def send(client: RawClient, *to: str, sender: str = "a@sender.example") -> list[str]:
    """Send a message and return the replies to its end."""
    client.say(f"MAIL FROM:<{sender}>")
    taken = [recipient for recipient in to if client.say(f"RCPT TO:<{recipient}>").startswith("250")]
    assert client.say("DATA").startswith("354")
    client.send(DATA)
    return [client.reply()[-1] for _ in taken]


# What handlers get


def test_a_handler_gets_what_salmon_gives(office: PostOffice, handle: Handle, smtp_port: int) -> None:
    """Bytes with LF, the last one missing; addresses of the envelope; the peer as a tuple."""
    seen: list[Any] = []
    handle(seen.append)

    with talking(smtp_port) as client:
        assert send(client, "Bob@receiver.example") == ["250 2.0.0 OK"]

    [message] = seen
    assert message.Data.endswith(b"\nSubject: x\n\nline one\n.dot")
    assert b"\r" not in message.Data
    assert (message.From, message.To) == ("a@sender.example", "bob@receiver.example")
    assert message.Peer[0] == "127.0.0.1"
    assert message["Subject"] == "x"


def test_an_app_may_override_process_message(office: PostOffice, handle: Handle) -> None:
    """And gets Salmon's arguments, the options of MAIL and RCPT among them."""
    seen: list[dict[str, Any]] = []

    class Mine(SMTPReceiver):
        def process_message(self, *arguments: Any, **kwargs: Any) -> str | None:
            seen.append({"From": arguments[1], "To": arguments[2], **kwargs})
            return "550 5.7.1 go away"

    receiver = Mine("127.0.0.1", 0, workers=1)
    start(receiver)
    with talking(receiver.listener.getsockname()[1]) as client:
        client.say("MAIL FROM:<> SIZE=5")
        client.say("RCPT TO:<B@receiver.example> NOTIFY=NEVER")
        client.say("DATA")
        client.send(DATA)
        assert client.reply() == ["550 5.7.1 go away"]
    receiver.stop()

    assert seen == [
        {"From": "", "To": "B@receiver.example", "mail_options": ["SIZE=5"], "rcpt_options": ["NOTIFY=NEVER"]}
    ]


def start(receiver: SMTPReceiver | LMTPReceiver) -> None:
    """Start a receiver and leave pytest's signal handlers alone."""
    starter = threading.Thread(target=receiver.start)
    starter.start()
    starter.join()


def wait_until(true: Callable[[], object]) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_process_message_can_be_called_as_salmon_s(
    office: PostOffice, handle: Handle, undeliverable: queue.Queue
) -> None:
    """None is yes, text is no, and an error ends in the undeliverable queue."""

    def refuse(message: Any) -> None:
        if message.To.startswith("no"):
            raise SMTPError(550, "no")
        if message.To.startswith("broken"):
            raise ValueError

    handle(refuse)
    receiver = SMTPReceiver("127.0.0.1", 0)
    peer = ("127.0.0.1", 1)

    assert receiver.process_message(peer, "a@x.example", "yes@x.example", b"Subject: x\n\ny") is None
    assert receiver.process_message(peer, "a@x.example", "no@x.example", b"Subject: x\n\ny") == "550 no"
    assert receiver.process_message(peer, "a@x.example", "broken@x.example", b"Subject: x\n\ny") is None
    assert len(undeliverable) == 1
    receiver.close()


# What clients are told


@pytest.mark.parametrize(
    ("error", "reply"),
    [
        (SMTPError(550, "5.7.1 no"), "550 5.7.1 no"),
        (SMTPError(450), "450 4.0.0 Persistent Transient Failure Mail Delivery Protocol Status"),
        (SMTPError(550, "one\r\n250 two"), "550 5.0.0 one 250 two"),
        (SMTPError(99, "odd"), "451 4.3.0 Internal error, try again later"),
        (SMTPError(354, "odd"), "451 4.3.0 Internal error, try again later"),
    ],
    ids=["as is", "no text", "a line end", "no code", "no final code"],
)
def test_attack_an_error_of_a_handler_is_one_safe_reply(
    error: SMTPError, reply: str, office: PostOffice, handle: Handle, smtp_port: int
) -> None:
    """Whatever a handler puts into it."""

    def refuse(message: Any) -> None:
        raise error

    handle(refuse)
    with talking(smtp_port) as client:
        answers = send(client, "b@receiver.example")

    assert [answer.replace("  ", " ") for answer in answers] == [reply]


@pytest.mark.parametrize("reply", [NO_REQUIRETLS, LATER], ids=["failed", "deferred"])
def test_what_the_next_hop_cannot_do_is_the_reply(
    reply: Any, office: PostOffice, handle: Handle, smtp_port: int, undeliverable: queue.Queue
) -> None:
    """The sender keeps the message, and nobody else does."""
    office.replies["receiver.example"] = reply
    relay = Relay()
    handle(relay.deliver)

    with talking(smtp_port) as client:
        assert send(client, "b@receiver.example") == [str(reply)]

    assert len(undeliverable) == 0
    assert office.notices == []


def test_smtp_takes_one_recipient_in_a_transaction(
    office: PostOffice, handle: Handle, smtp_port: int
) -> None:
    """Handlers decide for each, and SMTP has one reply for all."""
    seen: list[str] = []
    handle(lambda message: seen.append(message.To))
    with talking(smtp_port) as client:
        client.say("MAIL FROM:<a@sender.example>")
        client.say("RCPT TO:<b@receiver.example>")
        assert client.say("RCPT TO:<c@receiver.example>").startswith("451 4.5.3 ")
        client.say("DATA")
        client.send(DATA)
        assert client.reply() == ["250 2.0.0 OK"]

    assert seen == ["b@receiver.example"]


def test_lmtp_answers_for_each_recipient(office: PostOffice, handle: Handle, lmtp_port: int) -> None:
    """Each has a Router run and a reply of its own."""
    office.replies["bad@receiver.example"] = NO_REQUIRETLS
    relay = Relay()
    handle(relay.deliver)

    with talking(lmtp_port, verb="LHLO") as client:
        answers = send(client, "b@receiver.example", "bad@receiver.example", "c@receiver.example")

    assert answers == ["250 2.0.0 OK", str(NO_REQUIRETLS), "250 2.0.0 OK"]


def test_a_failing_plugin_defers_everything(office: PostOffice, handle: Handle, lmtp_port: int) -> None:
    """What cannot be tagged is not taken."""
    office.plugin_failure = RuntimeError("secret")
    seen: list[Any] = []
    handle(seen.append)

    with talking(lmtp_port, verb="LHLO") as client:
        answers = send(client, "b@receiver.example", "c@receiver.example")

    assert [answer[:9] for answer in answers] == ["451 4.3.0"] * 2
    assert seen == []


# Nothing acknowledged is lost


def test_a_handler_s_error_goes_to_the_undeliverable_queue(
    office: PostOffice, handle: Handle, smtp_port: int, undeliverable: queue.Queue
) -> None:
    """As in Salmon: the sender is told yes, and the operator has the message."""

    def broken(message: Any) -> None:
        raise RuntimeError("secret")

    handle(broken)
    with talking(smtp_port) as client:
        assert send(client, "b@receiver.example") == ["250 2.0.0 OK"]

    assert len(undeliverable) == 1


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, StopIteration, GeneratorExit])
def test_attack_whatever_a_handler_raises_the_server_goes_on(
    error: type[BaseException], office: PostOffice, handle: Handle, smtp_port: int
) -> None:
    """Nothing of it ends the loop or a worker."""

    def broken(message: Any) -> None:
        raise error

    handle(broken)
    with talking(smtp_port) as client:
        for _ in range(3):
            assert send(client, "b@receiver.example")[0].startswith("451 4.3.0 ")


def test_without_an_undeliverable_queue_the_sender_keeps_the_message(
    office: PostOffice, handle: Handle, smtp_port: int
) -> None:
    """Salmon would say yes and drop it."""

    def broken(message: Any) -> None:
        raise RuntimeError("secret")

    handle(broken)
    with talking(smtp_port) as client:
        [answer] = send(client, "b@receiver.example")

    assert answer.startswith("451 4.3.0 ")
    assert "secret" not in answer


@pytest.mark.parametrize("kept", [True, False], ids=["with an undeliverable queue", "without one"])
def test_a_message_that_no_handler_is_for_is_kept_or_refused(
    office: PostOffice, smtp_port: int, undeliverable: queue.Queue, kept: bool
) -> None:
    """Salmon would say yes and drop it where there is no queue."""
    if not kept:
        Router.UNDELIVERABLE_QUEUE = None
    with talking(smtp_port) as client:
        [answer] = send(client, "b@receiver.example")

    assert answer == ("250 2.0.0 OK" if kept else "550 5.1.1 No such mailbox here")
    assert len(undeliverable) == kept


def test_an_unwritable_undeliverable_queue_is_a_451(
    office: PostOffice, handle: Handle, smtp_port: int
) -> None:
    """As after --uid, when the queue belongs to root."""

    class Unwritable:
        def push(self, message: Any) -> str:
            raise PermissionError

    Router.UNDELIVERABLE_QUEUE = Unwritable()

    def broken(message: Any) -> None:
        raise RuntimeError

    handle(broken)
    with talking(smtp_port) as client:
        assert send(client, "b@receiver.example")[0].startswith("451 4.3.0 ")


# Many clients


def test_handlers_run_side_by_side(office: PostOffice, handle: Handle, lmtp_port: int) -> None:
    """Two workers, two messages at once."""
    both = threading.Barrier(2, timeout=5)
    handle(lambda message: (both.wait(), None)[1])

    with talking(lmtp_port, verb="LHLO") as client:
        assert send(client, "b@receiver.example", "c@receiver.example") == ["250 2.0.0 OK"] * 2


def test_with_reload_one_handler_runs_at_a_time(office: PostOffice, handle: Handle, lmtp_port: int) -> None:
    """A reload empties the Router while it runs, so nobody else may use it then."""
    running: list[int] = []
    most: list[int] = []

    def watch(message: Any) -> None:
        running.append(1)
        most.append(len(running))
        time.sleep(0.05)
        running.pop()

    handle(watch)
    Router.RELOAD = True
    routes = dict(Router.REGISTERED), list(Router.ORDER)
    # Reloading forgets the handlers of a test, which are in no module.
    Router.reload = lambda: None
    try:
        with talking(lmtp_port, verb="LHLO") as client:
            send(client, "b@receiver.example", "c@receiver.example", "d@receiver.example")
    finally:
        del Router.reload

    assert routes[1] == Router.ORDER
    assert most == [1, 1, 1]


def test_another_client_is_greeted_while_a_handler_works(
    office: PostOffice, handle: Handle, smtp_port: int
) -> None:
    """Within a fraction of what the handler takes."""
    release = threading.Event()
    handle(lambda message: (release.wait(5), None)[1])
    with talking(smtp_port) as busy:
        busy.say("MAIL FROM:<a@sender.example>")
        busy.say("RCPT TO:<b@receiver.example>")
        busy.say("DATA")
        busy.send(DATA)
        began = time.monotonic()
        with talking(smtp_port, tls=False):
            took = time.monotonic() - began
        release.set()
        assert busy.reply() == ["250 2.0.0 OK"]

    assert took < 1


# Sockets, end, log


def test_lmtp_listens_on_a_unix_socket(office: PostOffice, handle: Handle, tmp_path: Path) -> None:
    """As `LMTPReceiver(socket=path)` of Salmon; one left over by a dead process is no obstacle."""
    path = tmp_path / "lmtp"
    left_over = socket.socket(socket.AF_UNIX)
    left_over.bind(str(path))
    left_over.close()
    seen: list[Any] = []
    handle(seen.append)
    receiver = LMTPReceiver(socket=str(path), workers=1)
    start(receiver)

    client = RawClient.__new__(RawClient)
    client.socket = socket.socket(socket.AF_UNIX)
    client.socket.settimeout(10)
    client.socket.connect(str(path))
    client.file = client.socket.makefile("rb")
    with client:
        client.greeting = client.reply()
        client.greet("LHLO")
        answers = send(client, "b@receiver.example")
    receiver.stop()

    assert answers == ["250 2.0.0 OK"]
    assert seen[0].Peer == ""
    assert receiver.socket == str(path)


def test_a_unix_socket_never_replaces_a_file_or_a_living_server(office: PostOffice, tmp_path: Path) -> None:
    """Neither a mistyped path nor a second start does harm."""
    file = tmp_path / "file"
    file.write_text("precious")
    with pytest.raises(OSError, match="in use"):
        LMTPReceiver(socket=str(file))
    assert file.read_text() == "precious"

    first = LMTPReceiver(socket=str(tmp_path / "lmtp"))
    with pytest.raises(OSError, match="in use"):
        LMTPReceiver(socket=str(tmp_path / "lmtp"))
    assert stat.S_ISSOCK((tmp_path / "lmtp").stat().st_mode)
    first.close()


def test_the_port_is_bound_at_once(office: PostOffice) -> None:
    """Salmon makes the receiver before it drops privileges, and starts it afterwards."""
    receiver = SMTPReceiver("127.0.0.1", 0)
    name = receiver.listener.getsockname()
    with pytest.raises(OSError, match="in use"):
        SMTPReceiver(*name)
    receiver.close()


def test_sockets_say_which_protocol_they_are(office: PostOffice) -> None:
    """asyncio sets TCP_NODELAY on such sockets only; without it each reply waits."""
    receiver = SMTPReceiver("127.0.0.1", 0)
    assert receiver.listener.proto == socket.IPPROTO_TCP
    receiver.close()


def test_stop_lets_a_message_under_way_end(office: PostOffice, handle: Handle) -> None:
    """Its sender has the answer; idle clients are told to come again; nobody new gets in."""
    release = threading.Event()
    handle(lambda message: (release.wait(5), None)[1])
    receiver = SMTPReceiver("127.0.0.1", 0, workers=1)
    start(receiver)
    port = receiver.listener.getsockname()[1]

    with talking(port) as busy, talking(port) as idle:
        busy.say("MAIL FROM:<a@sender.example>")
        busy.say("RCPT TO:<b@receiver.example>")
        busy.say("DATA")
        busy.send(DATA)
        stopper = threading.Thread(target=receiver.stop)
        stopper.start()
        assert idle.reply()[-1].startswith("421 4.3.2 ")
        with pytest.raises(ConnectionError):
            socket.create_connection(("127.0.0.1", port), 2)
        release.set()
        assert busy.reply() == ["250 2.0.0 OK"]
    stopper.join(10)

    assert not stopper.is_alive()


def test_a_message_whose_sender_left_before_a_worker_took_it_is_forgotten(
    office: PostOffice, handle: Handle
) -> None:
    """Else whoever sends and hangs up could fill the memory while the workers are busy."""
    release, seen = threading.Event(), list[Any]()

    def slow(message: Any) -> None:
        seen.append(message["Subject"])
        release.wait(20)

    handle(slow)
    receiver = SMTPReceiver("127.0.0.1", 0, workers=1)
    start(receiver)
    port = receiver.listener.getsockname()[1]
    waiting = receiver._workers._waiting

    try:
        with talking(port) as first, talking(port) as second:
            for client, is_there in ((first, lambda: seen), (second, lambda: waiting)):
                for command in ("MAIL FROM:<a@sender.example>", "RCPT TO:<b@receiver.example>", "DATA"):
                    client.say(command)
                client.send(DATA)
                wait_until(is_there)
            second.file.close()
            second.socket.close()
            wait_until(lambda: not waiting)
            release.set()
            assert first.reply() == ["250 2.0.0 OK"]
    finally:
        release.set()
        receiver.stop()

    assert seen == ["x"]


def test_stop_does_not_wait_for_ever(office: PostOffice, handle: Handle) -> None:
    """A handler that hangs is given up."""
    release = threading.Event()
    handle(lambda message: (release.wait(20), None)[1])
    receiver = SMTPReceiver("127.0.0.1", 0, workers=1)
    start(receiver)
    with talking(receiver.listener.getsockname()[1]) as busy:
        busy.say("MAIL FROM:<a@sender.example>")
        busy.say("RCPT TO:<b@receiver.example>")
        busy.say("DATA")
        busy.send(DATA)
        time.sleep(0.05)
        began = time.monotonic()
        receiver.stop(timeout=0.2)
        assert time.monotonic() - began < 3
    release.set()


def test_logging_survives_salmon_s_file_config(office: PostOffice, tmp_path: Path) -> None:
    """fileConfig switches off every logger that exists; ours is the root, and aiosmtpd's is on again."""
    config = tmp_path / "logging.conf"
    log = tmp_path / "app.log"
    config.write_text(
        "[loggers]\nkeys=root\n[handlers]\nkeys=file\n[formatters]\nkeys=plain\n"
        "[logger_root]\nlevel=DEBUG\nhandlers=file\n"
        f"[handler_file]\nclass=FileHandler\nlevel=DEBUG\nformatter=plain\nargs=({str(log)!r},)\n"
        "[formatter_plain]\nformat=%(name)s %(levelname)s %(message)s\n"
    )
    root = logging.getLogger()
    before = root.handlers[:], root.level
    loggers = {
        name: one.disabled
        for name, one in logging.Logger.manager.loggerDict.items()
        if isinstance(one, logging.Logger)
    }
    try:
        logging.config.fileConfig(config)
        receiver = SMTPReceiver("127.0.0.1", 0, workers=1)
        start(receiver)
        with talking(receiver.listener.getsockname()[1]) as client:
            send(client, "b@receiver.example")
        receiver.stop()
    finally:
        for handler in root.handlers[:]:
            handler.close()
        root.handlers[:], level = before
        root.setLevel(level)
        for name, disabled in loggers.items():
            logging.getLogger(name).disabled = disabled

    text = log.read_text()
    assert "SMTPReceiver started on 127.0.0.1:" in text
    assert "line one" not in text
    assert "RCPT TO" not in text


# Salmon itself


@pytest.mark.parametrize("status", ["5.7.30", "5.7.10", "5.7.8", "4.9.9"])
def test_salmon_reads_bounces_with_every_status_code(status: str, office: PostOffice) -> None:
    """Stock Salmon raises KeyError for those of RFC 8689."""
    SMTPReceiver("127.0.0.1", 0).close()
    report = (
        "From: MAILER-DAEMON@x.example\n"
        "Content-Type: multipart/report; boundary=b; report-type=delivery-status\n\n"
        "--b\nContent-Type: text/plain\n\nx\n--b\nContent-Type: message/delivery-status\n\n"
        "Reporting-MTA: dns; x.example\n\n"
        f"Final-Recipient: rfc822; b@y.example\nAction: failed\nStatus: {status}\n"
        f"Remote-MTA: dns; mx.y.example\nDiagnostic-Code: smtp; 550 {status} no\n\n--b--\n"
    )
    message = mail.MailRequest("", "", "list@x.example", report)

    assert message.is_bounce()
    assert message.bounce.combined_status[1]


def test_file_descriptors_come_back(office: PostOffice, handle: Handle) -> None:
    """Starting and stopping leaves no socket open."""
    handle(lambda message: None)

    def once() -> None:
        receiver = SMTPReceiver("127.0.0.1", 0, workers=1)
        start(receiver)
        with talking(receiver.listener.getsockname()[1]) as client:
            send(client, "b@receiver.example")
        receiver.stop()
        receiver.close()

    once()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        once()
    assert len(os.listdir("/proc/self/fd")) <= before
