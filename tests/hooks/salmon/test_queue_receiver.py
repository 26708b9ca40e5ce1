"""`QueueReceiver` keeps a message until somebody has it or its sender knows that nobody will."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from salmon import mail, queue
from salmon.routing import Router
from salmon.server import SMTPError

from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message, Notify, Recipient
from requiretls_plugin.reply import Reply
from requiretls_plugin.requirement import Origin, Requirement, Tag
from requiretls_salmon import QueueReceiver, Relay
from requiretls_salmon.kept import Accepted
from requiretls_salmon.queue_files import due_files, hold
from tests.hooks.salmon.post_office import LATER, NO_REQUIRETLS, PostOffice

Handle = Callable[[Callable[[Any], object]], None]
REQUIRED = Tag(Requirement.REQUIRED, Origin.MAIL_PARAMETER)
DAY = 86_400


@pytest.fixture
def store(tmp_path: Path) -> queue.Queue:
    """A queue."""
    return queue.Queue(str(tmp_path / "queue"))


def push(
    store: queue.Queue, *, age: int = 0, sender: str = "a@sender.example", notify: Notify | None = None
) -> str:
    """Put a message into *store* that a receiver took *age* seconds ago; return its key."""
    message = Message(
        MailAddress.parse(sender) if sender else None, b"Subject: x\r\n\r\nprivate\r\n", tag=REQUIRED
    )
    recipient = Recipient(MailAddress.parse("b@receiver.example"), frozenset({notify}) if notify else None)
    key: str = store.push(Accepted(message, recipient, int(time.time()) - age).salmon_data())
    return key


def run(store: queue.Queue, **arguments: Any) -> QueueReceiver:
    """Handle all that is due."""
    receiver = QueueReceiver(store.dir, workers=2, **arguments)
    receiver.start(one_shot=True)
    return receiver


def due_in(store: queue.Queue, key: str) -> float:
    """Return in how many seconds a message is due."""
    return os.stat(os.path.join(store.dir, "new", key)).st_mtime - time.time()


@pytest.fixture
def forward(office: PostOffice, handle: Handle) -> None:
    """A handler that forwards everything."""
    relay = Relay()
    handle(relay.deliver)


@pytest.mark.usefixtures("forward")
def test_what_was_delivered_leaves_the_queue(office: PostOffice, store: queue.Queue) -> None:
    """Each once."""
    for _ in range(5):
        push(store)

    run(store)

    assert len(store) == 0
    assert len(office.sent) == 5


@pytest.mark.requirement("8689-4.1-6", "5321-4.5.4.1-1")
@pytest.mark.usefixtures("forward")
@pytest.mark.parametrize(
    ("age", "wait"),
    [(0, 300), (1000, 1000), (3 * DAY, 4000)],
    ids=["at first", "then doubling", "up to a limit"],
)
def test_what_is_deferred_waits_longer_each_time(
    age: int, wait: int, office: PostOffice, store: queue.Queue
) -> None:
    """And keeps its tag and its time of arrival."""
    office.replies["receiver.example"] = LATER
    key = push(store, age=age)

    run(store)

    assert due_in(store, key) == pytest.approx(wait, abs=5)
    kept = Accepted.from_data(store.mbox.get_bytes(key))
    assert kept is not None
    assert kept.message.tag == REQUIRED
    assert time.time() - kept.arrived == pytest.approx(age, abs=5)
    assert office.notices == []
    run(store)
    assert len(office.sent) == 1


@pytest.mark.usefixtures("forward")
def test_what_is_deferred_goes_out_when_it_can(office: PostOffice, store: queue.Queue) -> None:
    """After a restart too, since the file itself knows when."""
    office.replies["receiver.example"] = LATER
    key = push(store)
    run(store)
    office.replies.clear()
    os.utime(os.path.join(store.dir, "new", key))

    run(store)

    assert len(store) == 0
    assert office.messages[-1].requirement is Requirement.REQUIRED


@pytest.mark.requirement("5321-4.5.4.1-1")
@pytest.mark.usefixtures("forward")
def test_after_its_lifetime_it_bounces(office: PostOffice, store: queue.Queue) -> None:
    """With the last answer, and no content."""
    office.replies["receiver.example"] = LATER
    push(store, age=6 * DAY)

    run(store)

    assert len(store) == 0
    [(notice, to)] = office.notices
    assert to == ("a@sender.example",)
    assert b"Status: 5.4.7" in notice.content
    assert b"No answer from host" in notice.content
    assert b"private" not in notice.content


@pytest.mark.usefixtures("forward")
def test_what_failed_bounces(office: PostOffice, store: queue.Queue) -> None:
    """Under REQUIRETLS, like the message."""
    office.replies["receiver.example"] = NO_REQUIRETLS
    push(store)

    run(store)

    assert len(store) == 0
    [(notice, _)] = office.notices
    assert notice.requirement is Requirement.REQUIRED
    assert b"Status: 5.7.30" in notice.content


@pytest.mark.usefixtures("forward")
def test_a_bounce_that_has_to_wait_keeps_the_message(office: PostOffice, store: queue.Queue) -> None:
    """For twice its lifetime at the most."""
    office.replies |= {"receiver.example": NO_REQUIRETLS, "sender.example": LATER}
    key = push(store)
    run(store)
    assert len(store) == 1

    store.remove(key)
    push(store, age=11 * DAY)
    run(store)
    assert len(store) == 0


@pytest.mark.requirement("5321-4.5.4.1-1")
@pytest.mark.usefixtures("forward")
def test_attack_a_way_back_that_is_closed_on_the_last_day_loses_no_message(
    office: PostOffice, store: queue.Queue
) -> None:
    """The notice of its expiry is tried again, as the message was."""
    office.replies |= {"receiver.example": LATER, "sender.example": LATER}
    key = push(store, age=6 * DAY)
    run(store)
    assert len(store) == 1

    del office.replies["sender.example"]
    told_before = len(office.notices)
    os.utime(os.path.join(store.dir, "new", key))
    run(store)

    assert len(store) == 0
    assert len(office.notices) == told_before + 1


@pytest.mark.usefixtures("forward")
@pytest.mark.parametrize(
    ("sender", "notify"),
    [("", None), ("a@sender.example", Notify.NEVER)],
    ids=["null return path", "NOTIFY=NEVER"],
)
def test_nobody_is_told_who_must_not_be(
    sender: str, notify: Notify | None, office: PostOffice, store: queue.Queue
) -> None:
    """The message is gone and logged."""
    office.replies["receiver.example"] = Reply(550, "5.1.1", "no such user")
    push(store, sender=sender, notify=notify)

    run(store)

    assert len(store) == 0
    assert [to for _, to in office.sent if to != ("b@receiver.example",)] == []


def test_a_handler_refuses_with_salmon_s_own_error(
    office: PostOffice, handle: Handle, store: queue.Queue
) -> None:
    """Stock Salmon calls that unsupported here; now the sender is told."""

    def refuse(message: Any) -> None:
        raise SMTPError(554, "5.6.0 not like this")

    handle(refuse)
    push(store)

    run(store)

    [(notice, _)] = office.notices
    assert b"not like this" in notice.content


def test_a_handler_s_error_goes_to_the_undeliverable_queue(
    office: PostOffice, handle: Handle, store: queue.Queue, undeliverable: queue.Queue
) -> None:
    """As in Salmon."""

    def broken(message: Any) -> None:
        raise RuntimeError

    handle(broken)
    push(store)

    run(store)

    assert len(store) == 0
    assert len(undeliverable) == 1


def test_without_an_undeliverable_queue_it_stays(
    office: PostOffice, handle: Handle, store: queue.Queue
) -> None:
    """Handlers get mended."""

    def broken(message: Any) -> None:
        raise RuntimeError

    handle(broken)
    key = push(store)

    run(store)

    assert due_in(store, key) > 200


@pytest.mark.parametrize("failing", ["push", "process"])
def test_whatever_fails_the_message_stays(
    failing: str, office: PostOffice, handle: Handle, store: queue.Queue
) -> None:
    """A full disk, a mistake in an app's own process_message."""

    class Unwritable:
        def push(self, message: Any) -> str:
            raise OSError("disk full")

    class Mistaken(QueueReceiver):
        def process_message(self, msg: Any) -> None:
            raise TypeError("a mistake")

    def broken(message: Any) -> None:
        raise RuntimeError

    handle(broken)
    Router.UNDELIVERABLE_QUEUE = Unwritable()
    push(store)

    (QueueReceiver if failing == "push" else Mistaken)(store.dir, workers=1).start(one_shot=True)

    assert len(store) == 1


def test_a_message_without_an_envelope_is_never_bounced_to_its_header(
    office: PostOffice, handle: Handle, store: queue.Queue, undeliverable: queue.Queue
) -> None:
    """What `From:` says is nobody's return path."""
    office.replies["x.example"] = NO_REQUIRETLS
    relay = Relay()
    handle(relay.deliver)
    store.push(mail.MailResponse(To="b@x.example", From="victim@y.example", Subject="s", Body="b"))

    run(store)

    assert len(store) == 0
    assert len(undeliverable) == 1
    assert office.notices == []


def test_a_message_without_an_envelope_is_forwarded_as_stock_salmon_does(
    office: PostOffice, handle: Handle, store: queue.Queue
) -> None:
    """By the addresses in its header."""
    relay = Relay()
    handle(relay.deliver)
    store.push(mail.MailResponse(To="b@x.example", From="A <a@y.example>", Subject="s", Body="b"))

    run(store)

    [(message, recipients)] = office.sent
    assert (str(message.return_path), recipients) == ("a@y.example", ("b@x.example",))


def test_what_is_too_large_is_put_aside(office: PostOffice, store: queue.Queue, tmp_path: Path) -> None:
    """As in Salmon."""
    push(store)
    run(store, size_limit=10, oversize_dir=str(tmp_path / "large"))

    assert len(store) == 0
    assert len(queue.Queue(str(tmp_path / "large"))) == 1


@pytest.mark.parametrize("put_aside", [True, False])
def test_attack_a_large_file_that_another_process_took_ends_nothing(
    office: PostOffice,
    store: queue.Queue,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    put_aside: bool,
) -> None:
    """Two receivers may share a queue, and both find what is too large."""
    push(store)
    gone = [Path(store.dir, "new", "1.taken.by-another")]
    monkeypatch.setattr(
        "requiretls_salmon.queue_receiver.due_files", lambda *where: [*gone, *due_files(*where)]
    )

    run(store, size_limit=10, oversize_dir=str(tmp_path / "large") if put_aside else None)

    assert len(store) == 0


def test_a_file_held_by_another_process_is_left_alone(
    office: PostOffice, handle: Handle, store: queue.Queue
) -> None:
    """Two receivers may share a queue."""
    seen: list[Any] = []
    handle(seen.append)
    key = push(store)
    with open(os.path.join(store.dir, "new", key), "rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        run(store)
        assert seen == []

    run(store)
    assert len(seen) == 1


def test_a_file_that_another_process_finished_meanwhile_is_not_handled_again(store: queue.Queue) -> None:
    """It was due when it was found, and is not any more."""
    gone, later = push(store), push(store)
    found = {path.name: path for path in due_files(store.dir)}
    store.remove(gone)
    os.utime(found[later], (time.time() + 100, time.time() + 100))

    assert hold(found[gone]) is None
    assert hold(found[later]) is None
    assert list(due_files(store.dir)) == []


@pytest.mark.usefixtures("forward")
def test_two_receivers_on_one_queue_deliver_each_message_once(office: PostOffice, store: queue.Queue) -> None:
    """However they meet."""
    for _ in range(60):
        push(store)
    threads = [threading.Thread(target=run, args=(store,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(office.sent) == 60
    assert len(store) == 0


@pytest.mark.usefixtures("forward")
def test_it_runs_until_it_is_stopped(office: PostOffice, store: queue.Queue) -> None:
    """And finds what comes later."""
    receiver = QueueReceiver(store.dir, sleep=0.05, workers=1)
    thread = threading.Thread(target=receiver.start)
    thread.start()
    push(store)
    deadline = time.monotonic() + 10
    while len(store) and time.monotonic() < deadline:
        time.sleep(0.01)
    receiver.stop()
    thread.join(10)

    assert not thread.is_alive()
    assert len(office.sent) == 1


def test_attack_a_damaged_tag_in_a_queue_file_is_no_envelope(
    office: PostOffice, handle: Handle, store: queue.Queue
) -> None:
    """Half a file, or another program's: the message goes on as one without an envelope."""
    relay = Relay()
    handle(relay.deliver)
    store.push(
        b"X-RequireTLS-Stored: requirement=optional to=evil\nTo: b@x.example\nFrom: a@y.example\n\nz\n"
    )

    run(store)

    [(message, recipients)] = office.sent
    assert recipients == ("b@x.example",)
    assert b"Stored" not in message.content
