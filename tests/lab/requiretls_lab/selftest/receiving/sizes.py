"""Lengths of lines and messages, and the parameters that speak of them."""

from __future__ import annotations

from requiretls_lab.selftest.case import Broken, Skipped
from requiretls_lab.selftest.receiving.cases import ReceivingCase
from requiretls_lab.selftest.receiving.target import Server, delivered
from requiretls_plugin.smtp_extension import MAIL_LINE_INCREMENT

# RFC 5321 section 4.5.3.1.4, line end included.
_COMMAND_LINE = 512
_EIGHT_BIT = "Subject: self-test\r\n\r\ngrün\r\n".encode()


def _mail_line(server: Server) -> str:
    server.needs_requiretls()
    length = _COMMAND_LINE + MAIL_LINE_INCREMENT - len("\r\n")
    with server.talk() as talk:
        reply = talk.say(server.mail + " REQUIRETLS".rjust(length - len(server.mail)))
    if reply.code in (0, 500):
        raise Broken(f"answers {reply}")
    if not reply.positive:
        raise Skipped(f"refuses blanks, not the length: {reply}")
    return str(reply)


def _among_others(server: Server) -> str:
    server.needs_requiretls()
    parameters = ["SIZE=1000"] * server.lists("SIZE") + ["requiretls"]
    parameters += ["BODY=8BITMIME"] * server.lists("8BITMIME") + ["RET=HDRS"] * server.lists("DSN")
    with server.talk() as talk:
        reply = talk.say(f"{server.mail} {' '.join(parameters)}")
    if not reply.positive:
        raise Broken(f"answers {reply} to {' '.join(parameters)}")
    return f"{reply} to {' '.join(parameters)}"


def _eight_bits(server: Server) -> str:
    server.needs_requiretls()
    if not server.lists("8BITMIME"):
        raise Skipped("does not offer 8BITMIME")
    with server.talk() as talk:
        delivered(server, talk, f"{server.mail} BODY=8BITMIME REQUIRETLS", server.rcpt, content=_EIGHT_BIT)
    if not server.last_taken().content.endswith(_EIGHT_BIT):
        raise Broken("the message is not what was sent")
    return "as it was sent"


def _too_large(server: Server) -> str:
    server.needs_requiretls()
    limit = next((line for line in server.inside_tls or () if line.upper().startswith("SIZE ")), "SIZE 0")
    octets = limit.split()[1]
    if not octets.isdigit() or int(octets) == 0:
        raise Skipped("names no limit")
    with server.talk() as talk:
        reply = talk.say(f"{server.mail} SIZE={int(octets) + 1} REQUIRETLS")
    if reply.code // 100 not in (4, 5):
        raise Broken(f"answers {reply} to a size above its own {limit}")
    return str(reply)


def _dots(server: Server) -> str:
    content = b"Subject: self-test\r\n\r\n.\r\n..two\r\nend\r\n"
    server.needs_requiretls()
    stuffed = content.replace(b"\r\n.", b"\r\n..")
    with server.talk() as talk:
        delivered(server, talk, f"{server.mail} REQUIRETLS", server.rcpt, content=stuffed)
    if not server.last_taken().content.endswith(content):
        raise Broken("the message is not what was sent")
    return "as it was sent"


CASES = (
    ReceivingCase(
        "sizes/mail-line",
        "With REQUIRETLS a MAIL line may be 11 octets longer",
        "RFC 8689 section 2",
        "a MAIL line of 523 octets that ends in REQUIRETLS, filled with blanks",
        "not refused as too long",
        _mail_line,
    ),
    ReceivingCase(
        "sizes/among-others",
        "The parameter may stand anywhere among those of other extensions",
        "RFC 8689 section 2",
        "MAIL with SIZE, requiretls, BODY and RET, as far as they are offered",
        "2yz",
        _among_others,
    ),
    ReceivingCase(
        "sizes/eight-bits",
        "A message of eight bits under REQUIRETLS arrives as it was sent",
        "RFC 6152 section 3",
        "MAIL with BODY=8BITMIME and REQUIRETLS, a message with an umlaut",
        "taken, octet for octet",
        _eight_bits,
    ),
    ReceivingCase(
        "sizes/dots",
        "A message whose lines begin with dots arrives under REQUIRETLS as it was sent",
        "RFC 5321 section 4.5.2",
        "a message with a lone dot, and one line with two",
        "taken, octet for octet",
        _dots,
    ),
    ReceivingCase(
        "sizes/too-large",
        "A size above the server's limit is refused with REQUIRETLS too",
        "RFC 1870 section 6.1",
        "MAIL with SIZE one above the limit listed, and REQUIRETLS",
        "552 or another refusal",
        _too_large,
    ),
)
