"""HTTPS servers for MTA-STS policies (RFC 8461 section 3.3), scriptable like the mail servers."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass

from requiretls_lab.addresses import why_not_bound
from requiretls_lab.authority import Certificate

PATH = "/.well-known/mta-sts.txt"


@dataclass(frozen=True, slots=True)
class PolicyAnswer:
    """What a policy host answers to a request for the policy.

    *text* is the body; *redirect* adds a Location field (set *status* too).
    *padding* adds so many octets of a comment-like line to the body. With
    *interval* the answer comes octet by octet, so many seconds apart.
    *raw* replaces the whole answer, status line included.
    """

    text: str = ""
    status: int = 200
    content_type: str = "text/plain"
    redirect: str | None = None
    padding: int = 0
    interval: float = 0.0
    raw: bytes | None = None

    def wire(self) -> bytes:
        """Return the answer as it is sent."""
        if self.raw is not None:
            return self.raw
        body = self.text.encode() + b"x" * self.padding
        fields = [
            f"HTTP/1.1 {self.status} Scripted",
            f"Content-Type: {self.content_type}",
            f"Content-Length: {len(body)}",
            "Connection: close",
            *([f"Location: {self.redirect}"] if self.redirect else []),
        ]
        return "\r\n".join([*fields, "", ""]).encode() + body


def policy_text(mode: str, *mx: str, max_age: int = 86_400) -> str:
    """Return a policy in *mode* for hosts that match the *mx* patterns."""
    lines = ["version: STSv1", f"mode: {mode}", *(f"mx: {name}" for name in mx), f"max_age: {max_age}"]
    return "".join(f"{line}\r\n" for line in lines)


class PolicySite:
    """The policy host of one domain, `mta-sts.`*domain*, on an address of its own.

    *answer* and *certificate* may be replaced at any time. *requests* counts
    the requests that reached HTTP, *handshakes* the TLS handshakes begun with
    the site's name. Between `stop` and `start` connections are refused.
    """

    def __init__(
        self, host: PolicyHost, domain: str, address: str, certificate: Certificate, answer: PolicyAnswer
    ) -> None:
        self.domain = domain
        self.address = address
        self._host = host
        self._described = certificate, answer
        self._server: asyncio.Server | None = None
        self.reset()

    def reset(self) -> None:
        """Count from zero, with the first certificate and answer again."""
        self.certificate, self.answer = self._described
        self.requests = 0
        self.handshakes = 0

    async def start(self) -> None:
        """Begin to listen; raises LabError if the address cannot be bound."""
        try:
            self._server = await asyncio.start_server(
                self._host.connected, self.address, self._host.port, ssl=self._host.context(), backlog=64
            )
        except OSError as error:
            raise why_not_bound(error, self.address, self._host.port) from None

    async def stop(self) -> None:
        """Refuse connections from now on."""
        if self._server is not None:
            self._server.close()
            self._server = None


class PolicyHost:
    """All policy sites of a laboratory. Each address serves every site: SNI chooses the
    certificate and the Host field the policy, so that several domains may share one.

    Clients that send no SNI, or one that is no site's, get the certificate *nobody*.
    All addresses have the same *port*.
    """

    def __init__(self, nobody: Certificate, port: int) -> None:
        self.port = port
        self._nobody = nobody
        self.sites: dict[str, PolicySite] = {}
        self._writers: set[asyncio.StreamWriter] = set()

    def add(self, site: PolicySite) -> None:
        """Serve *site* as well."""
        self.sites[f"mta-sts.{site.domain}"] = site

    def context(self) -> ssl.SSLContext:
        """Return the context for listening."""
        # A client that names no site must not get a certificate that fits by accident.
        context = self._nobody.server_context()
        context.sni_callback = self._choose_certificate
        return context

    async def abort(self) -> None:
        """Break off every answer that is under way."""
        for writer in list(self._writers):
            writer.transport.abort()

    def _choose_certificate(
        self, tls: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext
    ) -> None:
        """Give *tls* the certificate of the site that the client names (an SNI callback)."""
        site = self.sites.get(name or "")
        if site is not None:
            site.handshakes += 1
            tls.context = site.certificate.server_context()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        self._writers.add(writer)
        try:
            async with asyncio.timeout(60):
                await self._serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in request[1:] if ": " in line)
        site = self.sites.get(fields.get("host", "").partition(":")[0])
        answer = PolicyAnswer(status=404)
        if site is not None and request[0].split(" ")[:2] == ["GET", PATH]:
            site.requests += 1
            answer = site.answer
        content = answer.wire()
        if not answer.interval:
            writer.write(content)
        for octet in content if answer.interval else b"":
            if writer.transport.is_closing():
                return
            writer.write(bytes([octet]))
            await writer.drain()
            await asyncio.sleep(answer.interval)
        await writer.drain()
