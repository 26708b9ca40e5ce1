"""Mistakes that a type checker has to find in a program that uses the package; each line says what it is."""

from __future__ import annotations

from requiretls_plugin.engine import Engine
from requiretls_plugin.message import Message, Recipient
from requiretls_plugin.requirement import Requirement, strongest
from requiretls_plugin.settings import Settings
from requiretls_plugin.no_such_module import Anything  # mistake: import-not-found
from requiretls_salmon import Relay, SMTPReceiver
from requiretls_salmon import NoSuchReceiver  # mistake: attr-defined


def mistaken(settings: Settings, message: Message) -> Requirement:
    Engine("requiretls.toml")  # mistake: arg-type
    Message("alice@sender.example", b"")  # mistake: arg-type
    Recipient.parse(b"bob@recipient.example")  # mistake: arg-type
    message.tag = None  # mistake: misc, assignment
    settings.delivery.prot  # mistake: attr-defined
    SMTPReceiver("127.0.0.1", "8823")  # mistake: arg-type
    Relay(on_failure="ignore")  # mistake: arg-type
    return strongest([Requirement.REQUIRED]).value  # mistake: return-value


async def forgotten(engine: Engine, message: Message) -> Message:
    return engine.receive(message)  # mistake: return-value


def without_a_return_type(engine: Engine):  # mistake: no-untyped-def
    engine.deliver(Message(None, b""), "bob@recipient.example")  # mistake: unused-coroutine, arg-type
