"""AUTH PLAIN and AUTH LOGIN, the client's side (RFC 4954, RFC 4616). No sockets."""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Collection, Iterable

from requiretls_plugin.policy.next_hop import Login


class AuthenticationExchange:
    """What is said to log in: a first line, then one line for each time the server asks for more.

    Both mechanisms show the password to the server: whoever starts one has to
    know whom it talks to.
    """

    def __init__(self, first: bytes, then: Iterable[bytes] = ()) -> None:
        self._first = first
        self._then = deque(then)

    @classmethod
    def choose(cls, login: Login, mechanisms: Collection[str]) -> AuthenticationExchange | None:
        """Return the exchange for *login* by one of *mechanisms*, in capitals; None if none is ours."""
        user, password = login.user.encode(), login.password.encode()
        if "PLAIN" in mechanisms:
            return cls(b"AUTH PLAIN " + base64.b64encode(b"\0%s\0%s" % (user, password)))
        if "LOGIN" in mechanisms:
            return cls(b"AUTH LOGIN", (base64.b64encode(user), base64.b64encode(password)))
        return None

    def begin(self) -> bytes:
        """Return the AUTH command."""
        return self._first + b"\r\n"

    def answer(self) -> bytes | None:
        """Return the line to answer the server's next challenge with, None if it asks too often."""
        return self._then.popleft() + b"\r\n" if self._then else None
