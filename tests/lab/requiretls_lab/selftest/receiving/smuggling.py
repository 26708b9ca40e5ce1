"""What is slipped in behind STARTTLS, or behind an end of the message that is none."""

from __future__ import annotations

import functools

from requiretls_lab.selftest.case import Broken
from requiretls_lab.selftest.receiving.cases import ReceivingCase
from requiretls_lab.selftest.receiving.target import MESSAGE, Server, accepted


def _behind_starttls(server: Server) -> str:
    server.needs_tls()
    with server.talk(tls=False) as talk:
        talk.send(b"STARTTLS\r\nNOOP\r\n")
        begun = talk.reply()
        if not begun.positive:
            return f"{begun} to STARTTLS with more behind it"
        talk.shake_hands()
        listed = talk.say("EHLO client.test")
        rest = talk.replies_until_the_end()
    if not listed.code:
        return "hangs up inside TLS"
    if len(rest) != 1:
        raise Broken("answers inside TLS what was said before it")
    return "what stood behind STARTTLS is forgotten"


def _no_end_of_message(end: bytes, words: str, server: Server) -> str:
    """Send a message with *end* in it and a command behind, then its real end, and count the replies."""
    with server.talk(tls=server.inside_tls is not None) as talk:
        accepted(talk, server.mail, server.rcpt, "DATA")
        talk.send(MESSAGE.removesuffix(b"\r\n") + end + b"NOOP\r\n.\r\n")
        reply = talk.reply()
        rest = talk.replies_until_the_end()
    if len(rest) > 1:
        raise Broken(f"takes {words} for the end: {reply}, and then the rest of the message for commands")
    return str(reply) if reply.positive else f"refuses the message: {reply}"


def _ending(name: str, end: bytes, words: str) -> ReceivingCase:
    return ReceivingCase(
        f"smuggling/{name}",
        f"{words} does not end a message",
        "RFC 5321 section 4.1.1.4",
        f"a message with {words} and a command in it",
        "the command is not obeyed: one reply to the message, whatever it is",
        functools.partial(_no_end_of_message, end, words),
    )


CASES = (
    ReceivingCase(
        "smuggling/behind-starttls",
        "Commands that stand behind STARTTLS in cleartext are not obeyed inside TLS",
        "RFC 3207 section 4.2",
        "STARTTLS and NOOP in one piece, handshake, EHLO",
        "NOOP is not answered, or the session is refused",
        _behind_starttls,
    ),
    _ending("lf-dot-lf", b"\n.\n", "LF dot LF"),
    _ending("lf-dot-crlf", b"\n.\r\n", "LF dot CRLF"),
    _ending("crlf-dot-lf", b"\r\n.\n", "CRLF dot LF"),
    _ending("cr-dot-cr", b"\r.\r", "CR dot CR"),
    _ending("crlf-dot-cr", b"\r\n.\r", "CRLF dot CR"),
)
