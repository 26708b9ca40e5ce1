"""Every way a message takes through a Salmon app keeps its tag: the rows of the table in docs/salmon.md."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from salmon import mail, queue, view
from salmon.routing import Router

from requiretls_plugin.header_field import read_tls_required
from requiretls_plugin.message import Message
from requiretls_plugin.message_tag import FIELD
from requiretls_plugin.requirement import Requirement
from requiretls_salmon import QueueReceiver, Relay, not_inheriting, requirement_of
from requiretls_salmon.testing import RouterConversation
from tests.hooks.aiosmtpd.serving import RawClient, talking
from tests.hooks.salmon.apps import ROOT
from tests.hooks.salmon.post_office import PostOffice

Handle = Callable[[Callable[[Any], object]], None]

TEXT = b"From: Bob <hdr@sender.example>\r\nTo: list@receiver.example\r\nSubject: x\r\n\r\nbody\r\n.\r\n"
TAGS = [Requirement.REQUIRED, Requirement.OPTIONAL, Requirement.UNSTATED]


def send(client: RawClient, requirement: Requirement, *, sender: str = "A.b@sender.example") -> str:
    """Send a message that asks for *requirement* and return the reply to its end."""
    parameter = " REQUIRETLS" if requirement is Requirement.REQUIRED else ""
    assert client.say(f"MAIL FROM:<{sender}>{parameter}").startswith("250")
    assert client.say("RCPT TO:<List@receiver.example>").startswith("250")
    assert client.say("DATA").startswith("354")
    client.send((b"TLS-Required: No\r\n" if requirement is Requirement.OPTIONAL else b"") + TEXT)
    return client.reply()[-1]


def assert_tagged(message: Message, requirement: Requirement) -> None:
    """Insist that *message* is held to *requirement* and says so the way it has to."""
    assert message.requirement is requirement
    assert read_tls_required(message.content) == (requirement is Requirement.OPTIONAL)
    assert FIELD.lower().encode() not in message.content.lower()


def deliver(relay: Relay, message: Any) -> None:
    relay.deliver(message)


def reply(relay: Relay, message: Any) -> None:
    relay.reply(message, "list@receiver.example", "Re: x", "thank you")


def send_new(relay: Relay, message: Any) -> None:
    relay.send("c@other.example", "list@receiver.example", "news", "text")


def new_response(relay: Relay, message: Any) -> None:
    relay.deliver(
        mail.MailResponse(To="c@other.example", From="list@receiver.example", Subject="s", Body="b")
    )


def respond_by_view(relay: Relay, message: Any) -> None:
    class Loader:
        def get_template(self, name: str) -> Any:
            return self

        def render(self, variables: dict[str, Any]) -> str:
            return "text"

    view.LOADER = Loader()
    relay.deliver(view.respond({}, Body="x", To="c@other.example", From="l@receiver.example", Subject="s"))


def updated_response(relay: Relay, message: Any) -> None:
    response = mail.MailResponse(To="c@other.example", From="list@receiver.example", Subject="s", Body="b")
    response.update(message)
    relay.deliver(response)


def to_message(relay: Relay, message: Any) -> None:
    relay.deliver(message.to_message(), To="c@other.example", From="list@receiver.example")


def changed(relay: Relay, message: Any) -> None:
    message["X-Seen"] = "yes"
    relay.deliver(message)


def list_expansion(relay: Relay, message: Any) -> None:
    for member in ("c@other.example", "d@other.example"):
        relay.deliver(message, To=member, From="list-bounces@receiver.example")


def in_copied_context(relay: Relay, message: Any) -> None:
    context = contextvars.copy_context()
    response = mail.MailResponse(To="c@other.example", From="l@receiver.example", Subject="s", Body="b")
    thread = threading.Thread(target=lambda: context.run(relay.deliver, response))
    thread.start()
    thread.join()


def message_in_thread(relay: Relay, message: Any) -> None:
    thread = threading.Thread(target=lambda: relay.deliver(message))
    thread.start()
    thread.join()


WAYS = [
    deliver,
    reply,
    send_new,
    new_response,
    respond_by_view,
    updated_response,
    to_message,
    changed,
    list_expansion,
    in_copied_context,
    message_in_thread,
]


@pytest.mark.requirement("8689-4.1-5", "8689-6-1", "8689-6-2", "8689-6-3")
@pytest.mark.parametrize("requirement", TAGS, ids=lambda tag: tag.value)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_what_a_handler_sends_is_tagged_like_what_it_handles(
    way: Callable[[Relay, Any], None],
    requirement: Requirement,
    office: PostOffice,
    handle: Handle,
    smtp_port: int,
) -> None:
    """Forwarded, spread, answered or written anew."""
    relay = Relay()
    handle(lambda message: way(relay, message))

    with talking(smtp_port) as client:
        assert send(client, requirement).startswith("250")

    assert office.messages
    for message in office.messages:
        assert_tagged(message, requirement)


def test_a_new_message_in_a_plain_thread_inherits_nothing(
    office: PostOffice, handle: Handle, smtp_port: int
) -> None:
    """A thread does not know what it was started for: run it in a copy of the context, as above."""
    relay = Relay()

    def in_thread(message: Any) -> None:
        thread = threading.Thread(target=lambda: new_response(relay, message))
        thread.start()
        thread.join()

    handle(in_thread)
    with talking(smtp_port) as client:
        send(client, Requirement.REQUIRED)

    assert_tagged(office.messages[0], Requirement.UNSTATED)


def test_a_handler_can_say_that_a_new_message_inherits_nothing(
    office: PostOffice, handle: Handle, smtp_port: int
) -> None:
    """The received message itself keeps its tag all the same."""
    relay = Relay()

    def notify_admin(message: Any) -> None:
        with not_inheriting():
            new_response(relay, message)
            relay.deliver(message)

    handle(notify_admin)
    with talking(smtp_port) as client:
        send(client, Requirement.REQUIRED)

    assert [message.requirement for message in office.messages] == [
        Requirement.UNSTATED,
        Requirement.REQUIRED,
    ]


def test_a_handler_sees_what_is_asked(office: PostOffice, handle: Handle, smtp_port: int) -> None:
    """And nothing for a message that came some other way."""
    seen: list[Requirement] = []
    handle(lambda message: seen.append(requirement_of(message)))

    with talking(smtp_port) as client:
        for requirement in TAGS:
            send(client, requirement)
    Router.deliver(mail.MailRequest("somewhere", "a@b.example", "c@d.example", "Subject: x\n\ny"))

    assert seen == [*TAGS, Requirement.UNSTATED]


def push_message(store: queue.Queue, message: Any) -> None:
    store.push(message)


def push_changed_message(store: queue.Queue, message: Any) -> None:
    message["X-Long"] = "word " * 40
    store.push(message)


def push_data(store: queue.Queue, message: Any) -> None:
    store.push(message.Data)


def fail(store: queue.Queue, message: Any) -> None:
    raise RuntimeError("into the undeliverable queue with it")


QUEUE_WAYS = [push_message, push_changed_message, push_data, fail]


@pytest.mark.requirement("8689-4.1-6", "8689-4.1-7")
@pytest.mark.parametrize("requirement", TAGS, ids=lambda tag: tag.value)
@pytest.mark.parametrize("sender", ["A.b@sender.example", ""], ids=["return path", "null return path"])
@pytest.mark.parametrize("way", QUEUE_WAYS, ids=lambda way: way.__name__)
def test_a_queue_keeps_tag_and_envelope(
    way: Callable[[queue.Queue, Any], None],
    sender: str,
    requirement: Requirement,
    office: PostOffice,
    handle: Handle,
    smtp_port: int,
    undeliverable: queue.Queue,
) -> None:
    """From receiver to queue to queue receiver to relay, with the addresses of the envelope."""
    handle(lambda message: way(undeliverable, message))
    with talking(smtp_port) as client:
        assert send(client, requirement, sender=sender).startswith("250")
    Router.clear_routes()
    relay = Relay()
    handle(relay.deliver)

    QueueReceiver(undeliverable.dir, workers=1).start(one_shot=True)

    [(message, recipients)] = office.sent
    assert_tagged(message, requirement)
    assert str(message.return_path or "") == sender
    assert recipients == ("List@receiver.example",)
    assert len(undeliverable) == 0


@pytest.mark.parametrize("requirement", TAGS, ids=lambda tag: tag.value)
def test_router_conversation_can_ask_for_something(
    requirement: Requirement,
    office: PostOffice,
    handle: Handle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Tests of an app need no receiver."""
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path)
    relay = Relay()
    handle(lambda message: reply(relay, message))

    conversation = RouterConversation("a@sender.example", "subject", requirement)
    conversation.begin()
    conversation.say("list@receiver.example", "Hello")

    assert_tagged(office.messages[0], requirement)


def test_attack_a_forged_tag_is_gone_before_a_handler_sees_it(
    office: PostOffice, handle: Handle, smtp_port: int, lmtp_port: int
) -> None:
    """Nobody outside decides on envelope or tag by writing our field, folded or not, or Postfix's."""
    seen: list[Any] = []
    handle(seen.append)
    forged = (
        b"X-RequireTLS-Stored: requirement=optional from=victim@x.example\r\n to=evil@x.example arrived=1\r\n"
        b"x-requiretls-stored:\r\n\tmore\r\nRequire-TLS-ESMTP: yes\r\nSubject: x\r\n\r\ny\r\n.\r\n"
    )
    for port, verb in ((smtp_port, "EHLO"), (lmtp_port, "LHLO")):
        with talking(port, verb=verb) as client:
            client.say("MAIL FROM:<a@sender.example>")
            client.say("RCPT TO:<b@receiver.example>")
            client.say("DATA")
            client.send(forged)
            assert client.reply()[-1].startswith("250")

    for message in seen:
        assert b"victim" not in message.Data
        assert b"Require-TLS-ESMTP" not in message.Data
        assert b"more" not in message.Data
        assert message.base.get_all(FIELD)[0].count("from=a+40sender.example") <= 1
        assert message.To == "b@receiver.example"


@pytest.mark.parametrize("peer", [("192.0.2.1", 4711), "", None], ids=["network", "UNIX socket", "none"])
def test_attack_a_forged_tag_through_a_stock_receiver_is_not_believed(
    peer: object, office: PostOffice, handle: Handle, undeliverable: queue.Queue
) -> None:
    """An app may keep one of Salmon's own receivers beside ours; its queues stay honest."""
    relay = Relay()

    def deliver_and_push(message: Any) -> None:
        relay.deliver(message)
        undeliverable.push(message)

    handle(deliver_and_push)
    forged = b"X-RequireTLS-Stored: requirement=required from=v@x.example to=w@x.example arrived=1\n"

    Router.deliver(
        mail.MailRequest(peer, "a@sender.example", "b@receiver.example", forged + b"Subject: x\n\ny")
    )

    [(message, recipients)] = office.sent
    assert (str(message.return_path), recipients) == ("a@sender.example", ("b@receiver.example",))
    assert_tagged(message, Requirement.UNSTATED)
    [key] = undeliverable.keys()
    assert b"v@x.example" not in undeliverable.mbox.get_bytes(key)


def test_every_row_of_the_table_is_shown_by_a_test() -> None:
    """And every way here has its row."""
    page = (ROOT / "docs" / "salmon.md").read_text()
    rows = {row.split("`")[-2] for row in page.splitlines() if row.startswith("|") and row.endswith("` |")}
    ways = {way.__name__ for way in (*WAYS, *QUEUE_WAYS)}

    assert ways <= rows
    assert {name for name in rows - ways if name not in globals()} == set()
