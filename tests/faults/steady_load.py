"""Clients of the forwarder that send so many messages a second to destinations of every kind."""

from __future__ import annotations

import collections
import smtplib
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

BODY = b"From: a@sender.test\r\nSubject: x\r\n\r\n" + (b"x" * 70 + b"\r\n") * 50

# So many messages share a connection.
MESSAGES_PER_CONNECTION = 5


@dataclass(frozen=True, slots=True)
class Kind:
    """A recipient's domain of the catalogue, what is asked, and the code that the sender gets for it."""

    domain: str
    code: int
    required: bool = True
    optional: bool = False


# Two of three are delivered, the others fail, are deferred, or need none of it.
KINDS = (
    Kind("dane-ee.test", 250),
    Kind("dane-ta.test", 250),
    Kind("sts.test", 250),
    Kind("no-keyword.test", 550),
    Kind("dane-ee.test", 250),
    Kind("dnssec-pkix.test", 250),
    Kind("two-hosts.test", 250),
    Kind("down.test", 451),
    Kind("dane-ee.test", 250),
    Kind("unproven.test", 250, required=False),
    Kind("wrong-tlsa.test", 250, required=False, optional=True),
    Kind("unproven.test", 550),
    Kind("dane-ta.test", 250),
    Kind("no-starttls.test", 250, required=False),
    Kind("bogus.test", 451),
    Kind("wrong-tlsa.test", 550),
    Kind("sts-down.test", 451),
    Kind("null-mx.test", 556),
)


class SteadyLoad:
    """*clients* threads that together send *rate* messages a second to *port*, between the ends of a `with`.

    *answers* counts the codes, *surprises* what was answered otherwise than it
    should be, or not at all.
    """

    def __init__(self, port: int, rate: float, clients: int = 6) -> None:
        self.answers: collections.Counter[int] = collections.Counter()
        self.surprises: list[str] = []
        self._port, self._rate = port, rate
        self._context = ssl.create_default_context()
        self._context.check_hostname, self._context.verify_mode = False, ssl.CERT_NONE
        self._lock = threading.Lock()
        self._sent = 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send_all) for _ in range(clients)]

    def __enter__(self) -> SteadyLoad:
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def sent(self) -> int:
        """How many messages were answered."""
        return self.answers.total()

    def sent_another(self, count: int) -> Callable[[], bool]:
        """Return a function that tells whether *count* more messages were answered since."""
        goal = self.sent + count
        return lambda: self.sent >= goal

    def _next(self) -> Kind:
        """Wait for the time of the next message and return its kind."""
        with self._lock:
            number = self._sent
            self._sent += 1
        self._stop.wait(max(0.0, self._began + number / self._rate - time.monotonic()))
        return KINDS[number % len(KINDS)]

    def _send_all(self) -> None:
        while not self._stop.is_set():
            try:
                with smtplib.SMTP("127.0.0.1", self._port, "client.test", timeout=60) as client:
                    client.starttls(context=self._context)
                    for _ in range(MESSAGES_PER_CONNECTION):
                        kind = self._next()
                        if self._stop.is_set():
                            return
                        self._send(client, kind)
            except (OSError, smtplib.SMTPException) as error:
                self.surprises.append(f"{type(error).__name__}: {error}")
                self._stop.wait(0.1)

    def _send(self, client: smtplib.SMTP, kind: Kind) -> None:
        client.ehlo_or_helo_if_needed()
        client.mail("a@sender.test", ["REQUIRETLS"] if kind.required else [])
        client.rcpt(f"b@{kind.domain}")
        code, text = client.data((b"TLS-Required: No\r\n" if kind.optional else b"") + BODY)
        self.answers[code] += 1
        if code != kind.code:
            self.surprises.append(f"{kind}: {code} {text!r}")
