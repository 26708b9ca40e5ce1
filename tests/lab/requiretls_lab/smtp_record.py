"""What a destination was told."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Command:
    """One command line without its line end, as received, and whether it came inside TLS."""

    line: str
    tls: bool

    @property
    def verb(self) -> str:
        """The command's first word, in upper case."""
        return self.line.partition(" ")[0].upper()

    @property
    def argument(self) -> str:
        """All after the first blank."""
        return self.line.partition(" ")[2]


@dataclass(frozen=True, slots=True)
class Recipient:
    """An accepted recipient and the parameters of its RCPT command."""

    address: str
    parameters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AcceptedMessage:
    """A message the destination took responsibility for, with the state of its session.

    *content* is what came after DATA, dots unstuffed, line ends as received.
    Of a message over LMTP, *recipients* are those that got a positive reply.
    """

    mail_from: str
    mail_parameters: tuple[str, ...]
    recipients: tuple[Recipient, ...]
    content: bytes
    tls: bool
    sni: str | None

    @property
    def requiretls(self) -> bool:
        """Whether REQUIRETLS was given on MAIL."""
        return "REQUIRETLS" in (parameter.upper() for parameter in self.mail_parameters)


@dataclass(slots=True)
class Connection:
    """One connection, in the order of things; complete up to what the client was answered.

    *tls_version* is None until a handshake succeeded, and *tls_failure* says
    why one, or the session inside it, failed. *sni* is what the client named.
    *early* is what came with STARTTLS, before the reply to it. *open* turns
    False when either side ended the connection.
    """

    peer: str
    commands: list[Command] = field(default_factory=list)
    messages: list[AcceptedMessage] = field(default_factory=list)
    tls_version: str | None = None
    tls_failure: str | None = None
    sni: str | None = None
    early: bytes = b""
    open: bool = True

    @property
    def tls(self) -> bool:
        """Whether a TLS handshake succeeded."""
        return self.tls_version is not None

    @property
    def verbs(self) -> list[str]:
        """The verbs of all commands."""
        return [command.verb for command in self.commands]
