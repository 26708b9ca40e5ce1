"""The HTTP of a policy fetch, without sockets: one GET, one strict look at the answer (RFC 8461 §3.3)."""

from __future__ import annotations

import re

import h11

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.errors import PolicyFetchError

PATH = "/.well-known/mta-sts.txt"

# RFC 8461 section 3.3 suggests this size; anything larger is an attack on memory.
MAX_POLICY_BYTES = 64 * 1024

# Status line and header fields. Servers limit requests to 8 KB or so; answers need no more.
MAX_HEAD_BYTES = 16 * 1024

# All that a server may send: a policy in small chunks costs several octets for one, and without
# this limit interim responses could go on for ever.
MAX_RECEIVED_BYTES = 4 * MAX_POLICY_BYTES

# How many chunks and interim responses that may be: taking one apart costs the same whatever its size.
MAX_PIECES = 2_000

_UNPRINTABLE = re.compile(r"[^\x20-\x7e]+")
_MAX_WHY = 200


def fetch_error(why: str, result_type: str = "sts-policy-fetch-error") -> PolicyFetchError:
    """Return the error for a failed fetch, *why* made safe for logs and reports."""
    return PolicyFetchError(result_type, _UNPRINTABLE.sub(" ", why)[:_MAX_WHY].strip())


class PolicyRequest:
    """One GET for a policy: give `request` to the server, and `receive` what it sends.

    Conditional requests, redirects and content codings are not spoken, so no
    HTTP cache and no other server plays a part (RFC 8461 section 3.3).
    """

    def __init__(self, policy_host: DomainName) -> None:
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)
        # The policy's URL is fixed by RFC 8461 and has no port, whichever one is connected to.
        headers = [
            ("Host", policy_host.text),
            ("Accept", "text/plain"),
            ("Accept-Encoding", "identity"),
            ("Connection", "close"),
        ]
        self.request = self._http.send(h11.Request(method="GET", target=PATH, headers=headers))
        self.request += self._http.send(h11.EndOfMessage())
        self._body = bytearray()
        self._received = self._pieces = 0
        self._framed = False

    def receive(self, data: bytes) -> bytes | None:
        """Take *data* from the server, empty at its end; return the policy file once it is whole.

        Raises PolicyFetchError for every answer but 200 with text/plain in the
        identity coding and at most 64 KB, and for what is not HTTP.
        """
        self._received += len(data)
        if self._received > MAX_RECEIVED_BYTES:
            raise fetch_error("the answer does not end")
        try:
            self._http.receive_data(data)
            while (event := self._http.next_event()) is not h11.NEED_DATA:
                if isinstance(event, h11.EndOfMessage):
                    return self._whole_body()
                self._pieces += 1
                if self._pieces > MAX_PIECES:
                    raise fetch_error(f"the answer comes in more than {MAX_PIECES} pieces")
                self._take(event)
        except h11.ProtocolError as error:
            raise fetch_error(f"the answer is not HTTP: {error}") from None
        return None

    def _take(self, event: object) -> None:
        if isinstance(event, h11.Response):
            _check_status(event)
            self._framed = _check_headers(event)
        elif isinstance(event, h11.Data):
            self._body += event.data
            if len(self._body) > MAX_POLICY_BYTES:
                raise fetch_error(f"the policy is larger than {MAX_POLICY_BYTES} octets")
        elif not isinstance(event, h11.InformationalResponse):
            raise fetch_error("the connection ended before the answer")

    def _whole_body(self) -> bytes:
        # A body that only the end of the connection ends can be cut short by an attacker: a max_age
        # of 604800 becomes one of 6, mx: *.example.com becomes *.example.co. Whole lines cannot.
        if not self._framed and not self._body.endswith(b"\n"):
            raise fetch_error("the policy may have been cut short: it has no length and no final line end")
        return bytes(self._body)


def _check_status(response: h11.Response) -> None:
    if response.status_code != 200:
        raise fetch_error(f"HTTP status {response.status_code}")


def _check_headers(response: h11.Response) -> bool:
    types = _values(response, b"content-type")
    media_type = types[0].partition(b";")[0].strip().lower() if len(types) == 1 else None
    if media_type != b"text/plain":
        raise fetch_error(f"the content type is not text/plain: {b', '.join(types)[:80]!r}")
    for coding in _values(response, b"content-encoding"):
        if coding.strip().lower() != b"identity":
            raise fetch_error(f"the content has the coding {coding[:40]!r}")
    return bool(_values(response, b"content-length") or _values(response, b"transfer-encoding"))


def _values(response: h11.Response, name: bytes) -> list[bytes]:
    return [value for field, value in response.headers if field == name]
