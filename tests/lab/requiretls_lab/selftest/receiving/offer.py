"""When the keyword is listed, and what TLS makes the server forget."""

from __future__ import annotations

from requiretls_lab.selftest.case import Broken, Skipped
from requiretls_lab.selftest.receiving.cases import ReceivingCase
from requiretls_lab.selftest.receiving.talk import Talk
from requiretls_lab.selftest.receiving.target import Server, accepted
from requiretls_plugin.smtp_extension import KEYWORD


def _not_in_cleartext(server: Server) -> str:
    listed = [line for line in server.before_tls if line.upper().startswith(KEYWORD)]
    if listed:
        raise Broken(f"lists {listed[0]}")
    return "not listed"


def _inside_tls(server: Server) -> str:
    server.needs_tls()
    if not server.lists(KEYWORD) and not server.must_offer:
        raise Skipped("does not offer REQUIRETLS")
    lines = [line for line in server.inside_tls or () if line.partition(" ")[0].upper() == KEYWORD]
    if lines != [KEYWORD]:
        raise Broken(f"lists {', '.join(lines) or 'nothing of the kind'}")
    return "listed"


def _certificate(server: Server) -> str:
    server.needs_tls()
    if server.name is None:
        raise Skipped("not asked for: --verify NAME")
    with Talk(server.host, server.port) as talk:
        talk.reply()
        talk.greet()
        talk.say("STARTTLS")
        talk.shake_hands(server.verifying, server.name)
    return f"proves {server.name}"


def _not_listed_again(server: Server) -> str:
    server.needs_tls()
    if server.lists("STARTTLS"):
        raise Broken("lists STARTTLS inside TLS")
    return "not listed"


def _not_twice(server: Server) -> str:
    server.needs_tls()
    with server.talk() as talk:
        reply = talk.say("STARTTLS")
    if reply.code // 100 != 5:
        raise Broken(f"answers {reply}")
    return str(reply)


def _forgets(server: Server) -> str:
    server.needs_tls()
    with server.talk(tls=False) as talk:
        accepted(talk, server.mail)
        begun = talk.say("STARTTLS")
        if not begun.positive:
            return f"{begun} to STARTTLS after MAIL"
        talk.shake_hands()
        reply = talk.say(server.rcpt)
    if reply.positive:
        raise Broken(f"answers {reply} to RCPT for the MAIL before TLS")
    return str(reply)


CASES = (
    ReceivingCase(
        "offer/not-in-cleartext",
        "The keyword is not listed before TLS",
        "RFC 8689 section 2",
        "EHLO in cleartext",
        "no line REQUIRETLS",
        _not_in_cleartext,
    ),
    ReceivingCase(
        "offer/inside-tls",
        "The keyword is listed inside TLS, once and without arguments",
        "RFC 8689 section 2",
        "STARTTLS, EHLO",
        "one line that is exactly REQUIRETLS",
        _inside_tls,
    ),
    ReceivingCase(
        "offer/certificate",
        "The certificate proves the server's name",
        "RFC 8689 section 4.2.1",
        "STARTTLS and a handshake that verifies chain and name",
        "the handshake succeeds",
        _certificate,
    ),
    ReceivingCase(
        "offer/starttls-not-listed-again",
        "STARTTLS is not listed inside TLS",
        "RFC 3207 section 4.2",
        "STARTTLS, EHLO",
        "no line STARTTLS",
        _not_listed_again,
    ),
    ReceivingCase(
        "offer/starttls-not-taken-again",
        "A second STARTTLS is refused",
        "RFC 3207 section 4.2",
        "STARTTLS, EHLO, STARTTLS",
        "5yz",
        _not_twice,
    ),
    ReceivingCase(
        "offer/forgets-what-was-before",
        "A transaction begun in cleartext does not go on inside TLS",
        "RFC 3207 section 4.2",
        "MAIL in cleartext, STARTTLS, RCPT",
        "RCPT is refused, or STARTTLS in the middle of a transaction is",
        _forgets,
    ),
)
