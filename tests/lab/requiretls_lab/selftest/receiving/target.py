"""The server whose receiving side is tried."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass, replace

from requiretls_lab.selftest.case import Broken, Skipped
from requiretls_lab.selftest.receiving.talk import Reply, Talk, greeted
from requiretls_plugin.message import Message
from requiretls_plugin.smtp_extension import KEYWORD


@dataclass(frozen=True, slots=True)
class Server:
    """Where it listens, the addresses to use, and what it is known to offer.

    *before_tls* and *inside_tls* are the lines of its EHLO replies, the latter
    None without STARTTLS. *must_offer* tells that a server without the keyword
    is broken. Its certificate has to prove *name* to a client with *verifying*;
    None if nobody is to look. *taken* are the messages that it took, tagged, if
    it is our own; None for one that cannot be looked into.
    """

    host: str
    port: int
    sender: str
    recipient: str
    before_tls: Sequence[str] = ()
    inside_tls: Sequence[str] | None = None
    must_offer: bool = False
    name: str | None = None
    verifying: ssl.SSLContext | None = None
    taken: list[Message] | None = None

    @property
    def mail(self) -> str:
        """The beginning of a MAIL command."""
        return f"MAIL FROM:<{self.sender}>"

    @property
    def rcpt(self) -> str:
        """A RCPT command."""
        return f"RCPT TO:<{self.recipient}>"

    @property
    def offers_requiretls(self) -> bool:
        """Whether it lists the bare keyword inside TLS."""
        return KEYWORD in (self.inside_tls or ())

    def lists(self, keyword: str) -> bool:
        """Return whether *keyword* is listed inside TLS, with or without arguments."""
        return keyword in (line.partition(" ")[0].upper() for line in self.inside_tls or ())

    def needs_tls(self) -> None:
        """Raise Skipped if there is no TLS."""
        if self.inside_tls is None:
            raise Skipped("does not offer STARTTLS")

    def needs_requiretls(self) -> None:
        """Raise Skipped if it does not offer REQUIRETLS."""
        self.needs_tls()
        if not self.offers_requiretls:
            raise Skipped("does not offer REQUIRETLS")

    def last_taken(self) -> Message:
        """Return the message it took last; raises Skipped if nobody can look into it."""
        if self.taken is None:
            raise Skipped("its replies are right; what it keeps cannot be seen from outside")
        if not self.taken:
            raise Broken("nothing was kept")
        return self.taken[-1]

    def talk(self, *, tls: bool = True) -> Talk:
        """Return a conversation that has come to EHLO, inside TLS unless told otherwise; raises Broken."""
        return greeted(self.host, self.port, tls=tls)


def refused(server: Server, talk: Talk, reply: Reply, usual: str) -> str:
    """Return what was seen, having made sure that *reply* refuses for good and leaves no transaction open.

    The RFC fixes no code, so any 5yz will do; of our own receiver it has to be the *usual* one.
    """
    if reply.code // 100 != 5:
        raise Broken(f"answers {reply}")
    if server.taken is not None and not str(reply).startswith(usual):
        raise Broken(f"answers {reply}, not {usual}")
    following = talk.say(server.rcpt)
    if following.positive:
        raise Broken(f"answers {reply}, and takes a recipient after it: {following}")
    return str(reply)


def accepted(talk: Talk, *commands: str) -> None:
    """Say *commands* one after another; raises Broken if one is not taken."""
    for command in commands:
        reply = talk.say(command)
        if not reply.positive:
            raise Broken(f"answers {reply} to {command[:80]}")


def looked_at(server: Server) -> Server:
    """Return *server* with what it lists now; raises Broken, and OSError if nobody is there."""
    with greeted(server.host, server.port, tls=False) as talk:
        before_tls = talk.listed
        inside_tls = None
        if "STARTTLS" in before_tls:
            talk.start_tls()
            talk.greet()
            inside_tls = talk.listed
    return replace(server, before_tls=before_tls, inside_tls=inside_tls)


MESSAGE = b"From: <alice@client.test>\r\nSubject: self-test\r\n\r\nhello\r\n"


def delivered(server: Server, talk: Talk, *commands: str, content: bytes = MESSAGE) -> Reply:
    """Say *commands* and give it a message; return the last reply. Raises Broken if one is not taken."""
    accepted(talk, *commands, "DATA")
    talk.send(content + b".\r\n")
    reply = talk.reply()
    if not reply.positive:
        raise Broken(f"answers {reply} to the message")
    return reply
