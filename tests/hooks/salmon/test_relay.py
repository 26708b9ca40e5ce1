"""What `Relay` sends, to whom, and what becomes of failures."""

from __future__ import annotations

import base64
import smtplib
import threading
from collections.abc import Callable
from dataclasses import replace
from email.mime.text import MIMEText
from pathlib import Path
from typing import Any

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from salmon import mail, queue, server
from salmon.routing import Router

from requiretls_plugin.errors import ConflictingRequirement
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message, Notify, Recipient, Ret
from requiretls_plugin.policy.next_hop import Login, NamedHop, Protocol, UNIXSocket, Wrapping
from requiretls_plugin.requirement import Origin, Requirement, Tag
from requiretls_plugin.server_address import ServerAddress
from requiretls_plugin.settings import Settings
from requiretls_salmon import DeliveryError, Relay
from requiretls_salmon.handling import Handling, handling_of
from requiretls_salmon.kept import Accepted
from tests.hooks.salmon.post_office import LATER, NO_REQUIRETLS, PostOffice, open_post_office

Handle = Callable[[Callable[[Any], object]], None]

REQUIRED = Tag(Requirement.REQUIRED, Origin.MAIL_PARAMETER)
ODD = (
    b"DKIM-Signature: v=1; a=x;\r\n\tb=y\r\nX-lower-Case:  two  blanks\r\nReceived: one\r\nReceived: two\r\n"
    b'Subject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\nContent-Type: multipart/signed; boundary="=_b"\r\n\r\n'
    b"preamble\r\n--=_b\r\nContent-Type: text/plain; charset=unknown\r\n\r\n8bit \xff\xfe\r\n"
    b"..dots\r\n--=_b--\r\nepilogue\r\n\r\n"
)


def accepted(
    content: bytes = ODD,
    *,
    tag: Tag = REQUIRED,
    sender: str = "A@sender.example",
    recipient: str = "B@receiver.example",
) -> Accepted:
    """Return a message as a receiver accepts it."""
    message = Message(
        return_path=MailAddress.parse(sender) if sender else None,
        content=content,
        tag=tag,
        ret=Ret.HDRS,
        envid="id",
    )
    wishes = Recipient(MailAddress.parse(recipient), frozenset({Notify.FAILURE}), f"rfc822;{recipient}")
    return Accepted(message, wishes)


def route(one: Accepted, *, reports: bool = True) -> None:
    """Let the Router handle a message as a receiver does."""
    request = mail.MailRequest(
        ("192.0.2.1", 1), str(one.message.return_path or ""), str(one.recipient), one.salmon_data()
    )
    with handling_of(Handling(one, reports=reports)):
        Router.deliver(request)


# What is sent


def test_a_message_nobody_changed_leaves_byte_for_byte(office: PostOffice, handle: Handle) -> None:
    """Odd header, odd charset, eight bits, trailing empty lines: all as it came."""
    relay = Relay()
    handle(relay.deliver)

    route(accepted())

    [(message, recipients)] = office.sent
    assert message.content == ODD
    assert recipients == ("B@receiver.example",)
    assert (str(message.return_path), message.ret, message.envid) == ("A@sender.example", Ret.HDRS, "id")


@pytest.mark.parametrize(
    "look",
    [
        str,
        lambda message: message["subject"],
        lambda message: message.body(),
        lambda message: message.is_bounce(),
        lambda message: [part.body for part in message.walk()],
        lambda message: message.to_message(),
        lambda message: message.base.get_all("received"),
    ],
    ids=["str", "field", "body", "is_bounce", "walk", "to_message", "get_all"],
)
def test_looking_at_a_message_is_no_change(
    look: Callable[[Any], object], office: PostOffice, handle: Handle
) -> None:
    """Logging one must not break its signature."""
    relay = Relay()
    content = ODD.replace(b"; charset=unknown", b"")

    def look_then_deliver(message: Any) -> None:
        look(message)
        relay.deliver(message)

    handle(look_then_deliver)
    route(accepted(content))

    assert office.messages[0].content == content


CHANGES: list[Callable[[Any], object]] = [
    lambda message: message.base.append_header("X-New", "1"),
    lambda message: message.__setitem__("Subject", "new"),
    lambda message: message.__delitem__("Subject"),
    lambda message: setattr(message.base, "body", "new body"),
    lambda message: message.base.content_encoding.__setitem__("Content-Type", ("text/html", {})),
]


@pytest.mark.parametrize("change", CHANGES, ids=["append", "set", "delete", "body", "content type"])
def test_a_change_is_sent(change: Callable[[Any], object], office: PostOffice, handle: Handle) -> None:
    """What a handler wrote is what leaves, still with the envelope."""
    relay = Relay()

    def change_then_deliver(message: Any) -> None:
        change(message)
        relay.deliver(message)

    handle(change_then_deliver)
    content = b"Subject: old\r\nFrom: x@y.example\r\n\r\nbody\r\n"
    route(accepted(content))

    [message] = office.messages
    assert message.content != content
    assert str(message.return_path) == "A@sender.example"
    assert message.requirement is Requirement.REQUIRED


def test_a_change_to_an_attachment_is_sent(office: PostOffice, handle: Handle) -> None:
    """However deep it lies."""
    relay = Relay()

    def change_then_deliver(message: Any) -> None:
        message.base.parts[0].body = "changed text"
        relay.deliver(message)

    handle(change_then_deliver)
    route(accepted(ODD.replace(b"; charset=unknown", b"").replace(b"multipart/signed", b"multipart/mixed")))

    assert b"changed text" in office.messages[0].content


def test_a_dkim_signature_survives_forwarding(office: PostOffice, handle: Handle) -> None:
    """Verified by dkimpy, below our trace."""
    key = rsa.generate_private_key(65537, 2048)
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    text = b"From: a@sender.example\r\nSubject: x\r\nTLS-Required: No\r\n\r\nbody\r\n\r\n"
    signature = dkim.sign(text, b"s", b"sender.example", private, canonicalize=(b"simple", b"simple"))
    relay = Relay()
    handle(relay.deliver)

    route(accepted(b"Received: by us\r\n" + signature + text, tag=Tag()))

    record = b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)
    assert dkim.verify(office.messages[0].content, dnsfunc=lambda *_, **__: record)


@pytest.mark.requirement("8689-4.3-1", "8689-4.3-4", "8689-4.3-6")
def test_an_app_asks_for_tls_or_says_that_it_need_not_be(office: PostOffice) -> None:
    """By an argument, or by the header field."""
    relay = Relay()
    plain = mail.MailResponse(To="b@x.example", From="a@y.example", Subject="s", Body="b")
    optional = mail.MailResponse(To="b@x.example", From="a@y.example", Subject="s", Body="b")
    optional["TLS-Required"] = "No"

    relay.deliver(plain)
    relay.deliver(plain, require_tls=True)
    relay.deliver(optional)
    with pytest.raises(ConflictingRequirement):
        relay.deliver(optional, require_tls=True)

    assert [message.requirement for message in office.messages] == [
        Requirement.UNSTATED,
        Requirement.REQUIRED,
        Requirement.OPTIONAL,
    ]
    assert office.messages[1].mail_parameter


# To whom


@pytest.mark.parametrize(
    ("to", "recipients"),
    [
        ("c@x.example", ("c@x.example",)),
        ("Carol <C@x.example>", ("C@x.example",)),
        (["c@x.example", "d@y.example", "c@x.example"], ("c@x.example", "d@y.example")),
        (("<c@x.example>",), ("c@x.example",)),
        ("c@x.example, Dora <d@y.example>", ("c@x.example", "d@y.example")),
        ('"odd name"@x.example', ('"odd name"@x.example',)),
    ],
    ids=["plain", "display name", "list", "brackets", "several in one text", "quoted"],
)
def test_recipients_are_taken_in_every_form_apps_use(
    to: Any, recipients: tuple[str, ...], office: PostOffice
) -> None:
    """As smtplib takes them."""
    Relay().deliver(mail.MailResponse(To="x@x.example", From="a@y.example", Subject="s", Body="b"), To=to)

    assert office.sent[0][1] == recipients


@pytest.mark.parametrize(
    "to", ["", "nobody", "a@b\r\nDATA", ["c@x.example", "bad"], "a@b.example>\r\nRCPT TO:<c@d.example"]
)
def test_attack_an_address_that_is_none_is_an_error_and_nothing_is_sent(to: Any, office: PostOffice) -> None:
    """Never a second command, never half a list."""
    message = MIMEText("x")
    with pytest.raises(DeliveryError) as error:
        Relay().deliver(message, To=to, From="a@y.example")
    assert error.value.reply.code == 550
    assert office.sent == []


@pytest.mark.parametrize(
    ("sender", "return_path"),
    [
        ("<>", None),
        ("l@x.example", "l@x.example"),
        ("List <l@x.example>", "l@x.example"),
        (None, "A@sender.example"),
    ],
)
def test_the_return_path_is_the_message_s_unless_another_is_given(
    sender: str | None, return_path: str | None, office: PostOffice, handle: Handle
) -> None:
    """With another, reports on the old one's behalf are not asked for."""
    relay = Relay()
    handle(lambda message: relay.deliver(message, From=sender))

    route(accepted())

    [message] = office.messages
    assert (str(message.return_path) if message.return_path else None) == return_path
    assert (message.ret, message.envid) == ((Ret.HDRS, "id") if sender is None else (None, None))


def test_a_handler_may_write_the_envelope_on_the_message(office: PostOffice, handle: Handle) -> None:
    """`message.To` and `message.From` mean what they mean to Salmon."""
    relay = Relay()

    def redirect(message: Any) -> None:
        message.To, message.From = "c@x.example", "l@x.example"
        relay.deliver(message)

    handle(redirect)
    route(accepted())

    [(message, recipients)] = office.sent
    assert (str(message.return_path), recipients) == ("l@x.example", ("c@x.example",))
    assert message.content == ODD


# Where to


@pytest.mark.parametrize(
    ("arguments", "hop"),
    [
        ({}, None),
        ({"host": ""}, None),
        ({"host": "mail.x.example", "port": 587}, NamedHop(ServerAddress.parse("mail.x.example:587"))),
        ({"host": "127.0.0.1", "port": 8825, "debug": 1}, NamedHop(ServerAddress.parse("127.0.0.1:8825"))),
        (
            {"host": "m.x.example", "port": 465, "ssl": True, "username": "u", "password": "p"},
            NamedHop(ServerAddress.parse("m.x.example:465"), Wrapping.IMPLICIT, login=Login("u", "p")),
        ),
        (
            {"host": "127.0.0.1", "port": 24, "lmtp": True},
            NamedHop(ServerAddress.parse("127.0.0.1:24"), protocol=Protocol.LMTP),
        ),
        (
            {"host": "m.x.example", "starttls": True},
            NamedHop(ServerAddress.parse("m.x.example:25"), encrypted=True),
        ),
        ({"host": "/run/lmtp", "lmtp": True}, NamedHop(UNIXSocket("/run/lmtp"), protocol=Protocol.LMTP)),
    ],
    ids=[
        "no host",
        "empty host",
        "named",
        "as Salmon's boot.py",
        "submission",
        "LMTP",
        "STARTTLS",
        "LMTP by UNIX socket",
    ],
)
def test_a_host_is_a_named_hop_and_none_is_direct_to_mx(
    arguments: dict[str, Any], hop: NamedHop | None, office: PostOffice
) -> None:
    """Salmon's own arguments, in Salmon's own meaning."""
    Relay(**arguments).deliver(mail.MailResponse(To="b@x.example", From="a@y.example", Subject="s", Body="b"))

    assert office.messages[0].next_hop == hop


def test_the_operator_s_smarthost_goes_before_the_app_s_host() -> None:
    """The settings decide where both speak."""
    table = {"hostname": "r.test", "delivery": {"smarthost": "smart.example:587"}}
    settings = Settings.from_table(table, source="test", folder=Path())
    with open_post_office(settings) as office:
        Relay("127.0.0.1", 25).deliver(
            mail.MailResponse(To="b@x.example", From="a@y.example", Subject="s", Body="b")
        )

    assert office.messages[0].next_hop is None


def test_it_is_a_relay_to_salmon(office: PostOffice) -> None:
    """Attributes, methods and the checks of the stock constructor."""
    relay = Relay("mail.x.example", 587, "u", "p")

    assert isinstance(relay, server.Relay)
    assert (relay.hostname, relay.port, relay.username, relay.password) == ("mail.x.example", 587, "u", "p")
    assert (relay.ssl, relay.starttls, relay.debug, relay.lmtp) == (False, False, 0, False)
    assert repr(relay) == "<Relay to (mail.x.example:587)>"
    assert Relay().resolve_relay_host("Bob <bob@X.example>") == "X.example"
    with pytest.raises(TypeError):
        Relay("x.example", ssl=True, starttls=True)
    with pytest.raises(NotImplementedError):
        relay.configure_relay("mail.x.example")


# Failures


def test_a_failure_is_an_error_to_whoever_can_tell_the_sender(office: PostOffice, handle: Handle) -> None:
    """Salmon's kind and smtplib's kind in one."""
    office.replies["receiver.example"] = NO_REQUIRETLS
    relay = Relay()
    handle(relay.deliver)

    with pytest.raises(DeliveryError) as error:
        route(accepted())

    assert isinstance(error.value, server.SMTPError)
    assert isinstance(error.value, smtplib.SMTPException)
    assert str(error.value) == "550 5.7.30 REQUIRETLS support required"
    assert error.value.outcomes[0].reply == NO_REQUIRETLS
    assert office.notices == []


def test_a_new_message_outside_any_handler_raises_too(office: PostOffice) -> None:
    """Its sender is the app."""
    office.replies["x.example"] = LATER
    with pytest.raises(DeliveryError) as error:
        Relay().send("b@x.example", "a@y.example", "s", "b")
    assert error.value.code == 451


def test_after_a_success_failures_bounce_and_the_loop_goes_on(office: PostOffice, handle: Handle) -> None:
    """An error now would have the sender send again what others have."""
    office.replies["bad@x.example"] = NO_REQUIRETLS
    relay = Relay()
    reached: list[str] = []

    def spread(message: Any) -> None:
        for member in ("good@x.example", "bad@x.example", "also@x.example"):
            relay.deliver(message, To=member, From="list-bounces@receiver.example")
            reached.append(member)

    handle(spread)
    route(accepted())

    assert len(reached) == 3
    [(notice, to)] = office.notices
    assert to == ("list-bounces@receiver.example",)
    assert notice.requirement is Requirement.REQUIRED
    assert b"5.7.30" in notice.content
    assert b"8bit" not in notice.content


def test_if_the_first_of_a_loop_fails_the_sender_is_told(office: PostOffice, handle: Handle) -> None:
    """Nobody has it yet."""
    office.replies["bad@x.example"] = NO_REQUIRETLS
    relay = Relay()
    handle(lambda message: [relay.deliver(message, To=to) for to in ("bad@x.example", "good@x.example")])

    with pytest.raises(DeliveryError):
        route(accepted())

    assert len(office.sent) == 1


def test_a_relay_for_lists_never_raises(office: PostOffice, handle: Handle) -> None:
    """Then no member decides for the others, wherever he stands."""
    office.replies["bad@x.example"] = NO_REQUIRETLS
    relay = Relay(on_failure="bounce")
    handle(lambda message: [relay.deliver(message, To=to) for to in ("bad@x.example", "good@x.example")])

    route(accepted())

    assert [recipients for _, recipients in office.sent if recipients[0].endswith("x.example")] == [
        ("bad@x.example",),
        ("good@x.example",),
    ]
    assert len(office.notices) == 1


def test_several_recipients_at_once_have_an_outcome_each(office: PostOffice, handle: Handle) -> None:
    """Some reached, some not: the rest bounce in one notice."""
    office.replies |= {"bad@x.example": NO_REQUIRETLS, "worse@y.example": NO_REQUIRETLS}
    relay = Relay()
    outcomes: list[Any] = []
    everybody = ["good@x.example", "bad@x.example", "worse@y.example"]
    handle(lambda message: outcomes.extend(relay.deliver(message, To=everybody)))

    route(accepted())

    assert [outcome.reply.code for outcome in outcomes] == [250, 550, 550]
    [(notice, _)] = office.notices
    assert b"bad@x.example" in notice.content
    assert b"worse@y.example" in notice.content


def test_of_several_failures_a_temporary_one_decides(office: PostOffice, handle: Handle) -> None:
    """The sender keeps the message as long as it can reach anybody."""
    office.replies |= {"bad@x.example": NO_REQUIRETLS, "slow@x.example": LATER}
    relay = Relay()
    handle(lambda message: relay.deliver(message, To=["bad@x.example", "slow@x.example"]))

    with pytest.raises(DeliveryError) as error:
        route(accepted())

    assert error.value.code == 451


def test_what_is_deferred_after_a_success_is_kept_for_a_queue_receiver(
    office: PostOffice, handle: Handle, undeliverable: queue.Queue
) -> None:
    """With its tag, its return path and the recipient who waits."""
    office.replies["slow@x.example"] = LATER
    relay = Relay()
    handle(lambda message: relay.deliver(message, To=["good@x.example", "slow@x.example"]))

    route(accepted())

    assert office.notices == []
    [key] = undeliverable.keys()
    kept = Accepted.from_data(undeliverable.mbox.get_bytes(key))
    assert kept is not None
    assert str(kept.recipient) == "slow@x.example"
    assert str(kept.message.return_path) == "A@sender.example"
    assert kept.message.requirement is Requirement.REQUIRED


def test_without_a_queue_it_bounces_instead(office: PostOffice, handle: Handle) -> None:
    """Better than to lose it."""
    office.replies["slow@x.example"] = LATER
    relay = Relay()
    handle(lambda message: relay.deliver(message, To=["good@x.example", "slow@x.example"]))

    route(accepted())

    [(notice, to)] = office.notices
    assert to == ("A@sender.example",)
    assert b"Action: failed" in notice.content


def test_a_bounce_that_has_to_wait_keeps_the_message(
    office: PostOffice, handle: Handle, undeliverable: queue.Queue
) -> None:
    """The sender is told later."""
    office.replies |= {"bad@x.example": NO_REQUIRETLS, "sender.example": LATER}
    relay = Relay()
    handle(lambda message: relay.deliver(message, To=["good@x.example", "bad@x.example"]))

    route(accepted())

    assert len(undeliverable) == 1


def test_nobody_is_told_about_a_message_with_the_null_return_path(office: PostOffice, handle: Handle) -> None:
    """A bounce of a bounce would go round for ever."""
    office.replies["bad@x.example"] = NO_REQUIRETLS
    relay = Relay()
    handle(lambda message: relay.deliver(message, To=["good@x.example", "bad@x.example"]))

    route(accepted(sender="", tag=Tag()))

    assert len(office.sent) == 1


def test_a_thread_that_forwards_for_nobody_bounces(office: PostOffice, handle: Handle) -> None:
    """The sender has gone; an error would end in the thread."""
    office.replies["receiver.example"] = NO_REQUIRETLS
    relay = Relay()
    threads: list[threading.Thread] = []

    def later(message: Any) -> None:
        threads.append(threading.Thread(target=relay.deliver, args=(message,)))
        threads[0].start()

    handle(later)
    route(accepted())
    threads[0].join()

    assert [to for _, to in office.notices] == [("A@sender.example",)]


def test_an_error_of_a_plugin_defers(office: PostOffice) -> None:
    """Fail closed: nothing is sent, nothing is lost."""
    office.plugin_failure = RuntimeError("broken")
    with pytest.raises(DeliveryError) as error:
        Relay().send("b@x.example", "a@y.example", "s", "b")
    assert error.value.code == 451
    assert office.sent == []


@pytest.mark.requirement("3461-5.2.2-2")
@pytest.mark.parametrize("notify", [Notify.SUCCESS, Notify.FAILURE])
def test_success_is_reported_where_it_was_asked_and_the_next_server_does_not(
    office: PostOffice, handle: Handle, notify: Notify
) -> None:
    """The sender learns that the message went on, by one notice."""
    relay = Relay()
    handle(relay.deliver)
    one = accepted()
    route(replace(one, recipient=replace(one.recipient, notify=frozenset({notify}))))

    notices = [message for message in office.messages if message.return_path is None]
    assert len(notices) == (notify is Notify.SUCCESS)
    assert all(b"Action: relayed" in notice.content for notice in notices)
