"""How long REQUIRETLS lasts."""

from __future__ import annotations

from requiretls_lab.selftest.case import Broken
from requiretls_lab.selftest.receiving.cases import ReceivingCase
from requiretls_lab.selftest.receiving.talk import Talk
from requiretls_lab.selftest.receiving.target import MESSAGE, Server, accepted, delivered
from requiretls_plugin.requirement import Requirement


def _untagged(server: Server) -> str:
    found = server.last_taken().requirement
    if found is not Requirement.UNSTATED:
        raise Broken(f"the second message is tagged {found.value}")
    return f"the second message is tagged {found.value}"


def _one_transaction(server: Server) -> str:
    server.needs_requiretls()
    with server.talk() as talk:
        delivered(server, talk, f"{server.mail} REQUIRETLS", server.rcpt)
        delivered(server, talk, server.mail, server.rcpt)
    return _untagged(server)


def _reset_by(command: str, server: Server) -> str:
    server.needs_requiretls()
    with server.talk() as talk:
        accepted(talk, f"{server.mail} REQUIRETLS", command)
        _no_transaction(server, talk, command)
        delivered(server, talk, server.mail, server.rcpt)
    return _untagged(server)


def _no_transaction(server: Server, talk: Talk, command: str) -> None:
    reply = talk.say(server.rcpt)
    if reply.positive:
        raise Broken(f"answers {reply} to RCPT after {command}")


def _rset(server: Server) -> str:
    return _reset_by("RSET", server)


def _ehlo(server: Server) -> str:
    return _reset_by("EHLO client.test", server)


def _nested(server: Server) -> str:
    server.needs_requiretls()
    with server.talk() as talk:
        accepted(talk, f"{server.mail} REQUIRETLS")
        reply = talk.say(server.mail)
        if reply.positive:
            raise Broken(f"answers {reply} to a second MAIL")
        delivered(server, talk, server.rcpt)
    found = server.last_taken().requirement
    if found is not Requirement.REQUIRED:
        raise Broken(f"answers {reply} to a second MAIL, and the message is tagged {found.value}")
    return f"{reply}; tagged {found.value}"


def _pipelined(server: Server) -> str:
    server.needs_requiretls()
    with server.talk() as talk:
        talk.send(f"{server.mail} REQUIRETLS\r\n{server.rcpt}\r\nDATA\r\n".encode())
        replies = [talk.reply() for _ in range(3)]
        if not all(reply.positive for reply in replies):
            raise Broken(f"answers {', '.join(str(reply) for reply in replies)}")
        talk.send(MESSAGE + b".\r\n")
        reply = talk.reply()
    if not reply.positive:
        raise Broken(f"answers {reply} to the message")
    found = server.last_taken().requirement
    if found is not Requirement.REQUIRED:
        raise Broken(f"tagged {found.value}")
    return f"{reply}; tagged {found.value}"


_SECTION = "RFC 8689 section 2"

CASES = (
    ReceivingCase(
        "transactions/one-only",
        "REQUIRETLS lasts one transaction",
        _SECTION,
        "a message with REQUIRETLS, then one without in the same session",
        "the second has no tag",
        _one_transaction,
    ),
    ReceivingCase(
        "transactions/rset",
        "RSET ends REQUIRETLS with its transaction",
        "RFC 5321 section 4.1.1.5",
        "MAIL with REQUIRETLS, RSET, RCPT; then a message without REQUIRETLS",
        "RCPT is refused, and the message has no tag",
        _rset,
    ),
    ReceivingCase(
        "transactions/ehlo",
        "EHLO ends REQUIRETLS with its transaction",
        "RFC 5321 section 4.1.4",
        "MAIL with REQUIRETLS, EHLO, RCPT; then a message without REQUIRETLS",
        "RCPT is refused, and the message has no tag",
        _ehlo,
    ),
    ReceivingCase(
        "transactions/nested-mail",
        "A second MAIL in the same transaction is refused and changes nothing",
        "RFC 5321 section 4.1.1.2",
        "MAIL with REQUIRETLS, MAIL without, RCPT, DATA",
        "5yz to the second MAIL, and the tag is `required`",
        _nested,
    ),
    ReceivingCase(
        "transactions/pipelined",
        "REQUIRETLS is taken from commands that come in one piece",
        "RFC 2920 section 3.1",
        "MAIL with REQUIRETLS, RCPT and DATA in one piece",
        "2yz to all, and the tag is `required`",
        _pipelined,
    ),
)
