"""What the tests see of a foreign server that takes mail."""

from __future__ import annotations

import contextlib
import email
import email.policy
import shutil
import smtplib
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Protocol

from requiretls_lab.authority import Certificate

SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a foreign server listens, what it is called and the certificate it shows."""

    name: str
    address: str
    port: int
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message as the foreign server kept it.

    *tls* tells whether it came in TLS, *requiretls* whether with REQUIRETLS; both in the server's own words.
    """

    content: bytes
    tls: bool
    requiretls: bool

    @property
    def parsed(self) -> EmailMessage:
        """The message as Python's email package reads it."""
        return email.message_from_bytes(self.content, policy=email.policy.default)

    @property
    def subject(self) -> str:
        """The Subject."""
        return str(self.parsed["Subject"])


class NextHop(Protocol):
    """A foreign server."""

    place: Place

    def messages(self) -> list[Arrived]:
        """Return every message that it has taken so far."""


def wait_for(hop: NextHop, subject: str, saying: str = "") -> Arrived:
    """Return the message with that *subject*, *saying* this somewhere, once the server has it."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        for message in hop.messages():
            if message.subject == subject and saying.encode() in message.content:
                return message
        time.sleep(0.02)
    raise AssertionError(f"{hop.place.name} has no message {subject!r}")


def subjects(hop: NextHop) -> list[str]:
    """Return the subjects of what the server has taken."""
    return [message.subject for message in hop.messages()]


def mailbox(folder: Path) -> list[Arrived]:
    """Return the messages in the maildir *folder*; the server's own Received field tells how one came."""
    messages = []
    for file in sorted((folder / "new").glob("*"), key=lambda file: file.stat().st_mtime_ns):
        message = Arrived(file.read_bytes(), tls=False, requiretls=False)
        newest = str(message.parsed.get_all("Received", [""])[0]).lower()
        messages.append(Arrived(message.content, "with esmtps" in newest, requiretls=False))
    return messages


def answers(place: Place) -> bool:
    """Return whether an SMTP server greets at *place*."""
    try:
        with smtplib.SMTP(place.address, place.port, local_hostname="ready.test", timeout=5) as client:
            client.noop()
    except (OSError, smtplib.SMTPException):
        return False
    return True


@contextlib.contextmanager
def open_folder(name: str) -> Iterator[Path]:
    """Yield a new folder that every user may enter, and that is deleted at the end."""
    with tempfile.TemporaryDirectory(prefix=f"requiretls-{name}-", ignore_cleanup_errors=True) as text:
        folder = Path(text)
        folder.chmod(0o755)
        yield folder


def copied(certificate: Certificate, folder: Path, owner: int) -> None:
    """Copy *certificate* to `chain.pem` and `key.pem` in *folder*, for *owner* to read."""
    for source, name in ((certificate.chain_file, "chain.pem"), (certificate.key_file, "key.pem")):
        shutil.copy(source, folder / name)
        (folder / name).chmod(0o600)
        shutil.chown(folder / name, owner)
