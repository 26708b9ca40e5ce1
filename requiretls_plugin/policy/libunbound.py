"""DNS answers validated in this process, by libunbound.

Nobody's AD bit has to be believed: signatures are checked here, from the
trust anchor on. libunbound resolves in a native thread of its own, which is
no Python thread, and wakes the loop through a pipe.
"""

from __future__ import annotations

import asyncio
import ctypes
import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dns.exception
import dns.flags
from dns.rdataclass import IN
from dns.rdatatype import NS, RdataType

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.errors import SettingsError
from requiretls_plugin.policy.answers import Answer, LookupFailed
from requiretls_plugin.policy.dns_lookup import CachedLookups
from requiretls_plugin.policy.dns_probe import LOOK_SECONDS, Look, Probe, Validation, without_dnssec
from requiretls_plugin.policy.dns_reply import read_reply
from requiretls_plugin.policy.dns_wire import parse_message
from requiretls_plugin.policy.libunbound_abi import LIBRARY, Callback, Result, load_library
from requiretls_plugin.settings import DNSSettings

# Where systems keep the root's trust anchor: Debian's dns-root-data, and unbound-anchor.
ROOT_KEYS = (Path("/usr/share/dns/root.key"), Path("/var/lib/unbound/root.key"))


class LibunboundResolver(CachedLookups):
    """A DNSSource that resolves and validates by itself.

    With `dns.nameservers` it asks those, who then need not validate or be
    believed; without, it resolves from the root on. Raises SettingsError
    if libunbound is missing or refuses the settings. Belongs to one loop, and to
    the process that asks first.
    """

    def __init__(self, settings: DNSSettings, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock)
        self._timeout = settings.timeout
        self._library = load_library()
        self._context = self._library.ub_ctx_create()
        # ctypes does not keep the callback alive, and libunbound calls it until the context is gone.
        self._callback = Callback(self._arrived)
        self._numbers = itertools.count(1)
        self._waiting: dict[int, tuple[RdataType, asyncio.Future[Answer[Any]]]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        try:
            self._configure(settings)
        except SettingsError:
            self.close()
            raise

    def _configure(self, settings: DNSSettings) -> None:
        for problem, function, *arguments in _configuration(settings):
            error = getattr(self._library, function)(self._context, *map(str.encode, arguments))
            if error:
                raise SettingsError("dns", [f"{problem}: {self._words(error)}"])
        self._library.ub_ctx_async(self._context, True)

    def close(self) -> None:
        """Give up what is under way and end libunbound's thread."""
        super().close()
        if self._loop is not None:
            self._loop.remove_reader(self._library.ub_fd(self._context))
            self._loop = None
        if self._context is not None:
            self._library.ub_ctx_delete(self._context)
            self._context = None

    async def ask(self, name: DomainName, rdtype: RdataType) -> Answer[Any]:
        """Resolve within `dns.timeout` seconds."""
        return await self._resolve(name.text, rdtype)

    async def probe(self, zone: str | None = None, *, patience: float | None = None) -> tuple[Probe, ...]:
        """Find out whether the trust anchor fits: whether the NS records of *zone* come out secure."""
        zone = zone or self.signed_zone
        answer = await self._resolve(zone, NS, patience)
        if isinstance(answer, LookupFailed):
            return (Probe(LIBRARY, Validation.UNKNOWN, answer.why),)
        if not answer.secure:
            return (Probe(LIBRARY, without_dnssec(zone, answer), f"no trust anchor for {zone}"),)
        return (Probe(LIBRARY, Validation.VALIDATES, f"{zone} is secure"),)

    async def look(self) -> Look:
        """Probe, and judge by that."""
        return Look.at(await self.probe(patience=LOOK_SECONDS), {LIBRARY})

    async def _resolve(self, name: str, rdtype: RdataType, patience: float | None = None) -> Answer[Any]:
        seconds = self._timeout if patience is None else min(patience, self._timeout)
        number = next(self._numbers)
        handle = ctypes.c_int()
        arrival: asyncio.Future[Answer[Any]] = self._listen().create_future()
        self._waiting[number] = rdtype, arrival
        error = self._library.ub_resolve_async(
            self._context, name.encode(), rdtype, IN, number, self._callback, ctypes.byref(handle)
        )
        try:
            if error:
                return LookupFailed(bogus=False, why=self._words(error))
            async with asyncio.timeout(seconds):
                return await arrival
        except TimeoutError:
            return LookupFailed(bogus=False, why=f"no answer within {seconds:.1f} s")
        finally:
            if self._waiting.pop(number, None) and not error and self._context is not None:
                self._library.ub_cancel(self._context, handle)

    def _listen(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(self._library.ub_fd(self._context), self._library.ub_process, self._context)
        return self._loop

    def _arrived(self, number: int, error: int, result: Any) -> None:
        """Take what libunbound brings, inside ub_process on the loop's thread."""
        rdtype, arrival = self._waiting.pop(number, (None, None))
        if rdtype is not None and arrival is not None and not arrival.done():
            failed = LookupFailed(bogus=False, why=self._words(error))
            arrival.set_result(failed if error else _read(result.contents, rdtype))
        if result:
            self._library.ub_resolve_free(result)

    def _words(self, error: int) -> str:
        text: bytes = self._library.ub_strerror(error)
        return text.decode("ascii", "replace")


def _configuration(settings: DNSSettings) -> Iterator[tuple[str, ...]]:
    """Yield what to tell a new context: what is wrong if it refuses, the function, its arguments."""
    if settings.libunbound_config:
        yield "libunbound_config", "ub_ctx_config", str(settings.libunbound_config)
    if anchor := _trust_anchor(settings):
        yield "trust_anchor_file", "ub_ctx_add_ta_file", str(anchor)
    for server in settings.nameservers or ():
        if server.tls_name:
            problem = f"{server}: for libunbound, DNS over TLS is a forward-zone in dns.libunbound_config"
            raise SettingsError("dns.nameservers", [problem])
        if server.address.is_loopback:
            yield "nameservers", "ub_ctx_set_option", "do-not-query-localhost:", "no"
        yield "nameservers", "ub_ctx_set_fwd", f"{server.address}@{server.port}"


def _trust_anchor(settings: DNSSettings) -> Path | None:
    if settings.trust_anchor_file or settings.libunbound_config:
        return settings.trust_anchor_file
    for path in ROOT_KEYS:
        if path.exists():
            return path
    problem = "no root.key on this system; install one (Debian: dns-root-data) or name a file here"
    raise SettingsError("dns.trust_anchor_file", [problem])


def _read(result: Result, rdtype: RdataType) -> Answer[Any]:
    if result.bogus:
        # The text quotes names; those are strangers'.
        why = " ".join((result.why_bogus or b"").decode("ascii", "replace").split())
        return LookupFailed(bogus=True, why=why or "DNSSEC bogus")
    if not result.answer_packet:
        return LookupFailed(bogus=False, why="no answer")
    try:
        reply = parse_message(ctypes.string_at(result.answer_packet, result.answer_len), rdtype)
    except dns.exception.DNSException:
        return LookupFailed(bogus=False, why="the reply is malformed")
    reply.flags = (reply.flags & ~dns.flags.AD) | (dns.flags.AD if result.secure else 0)
    return read_reply(reply, ad_counts=True)
