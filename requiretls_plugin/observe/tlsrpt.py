"""Tell tlsrpt-collectd how sessions ended, for the reports of RFC 8460.

One datagram for each session, as libtlsrpt writes it. The collector counts;
tlsrpt-reportd writes and sends the reports. Nothing here waits for either, and
what cannot be sent is counted and forgotten.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from requiretls_plugin.delivery.outcome import Attempt
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.hookspecs import hookimpl
from requiretls_plugin.message import Message
from requiretls_plugin.observe.tlsrpt_record import record_name, reporting_record
from requiretls_plugin.observe.tlsrpt_results import (
    Failure,
    PolicyResult,
    PolicyType,
    ResultType,
    policy_domain,
    results_of,
)
from requiretls_plugin.policy.answers import DNSSource, Found
from requiretls_plugin.requirement import Requirement

# The numbers that libtlsrpt gives the words of RFC 8460.
POLICY_NUMBERS: Mapping[PolicyType, int] = {PolicyType.TLSA: 1, PolicyType.STS: 2, PolicyType.NONE: 9}
RESULT_NUMBERS: Mapping[ResultType, int] = {
    ResultType.STARTTLS_NOT_SUPPORTED: 201,
    ResultType.CERTIFICATE_HOST_MISMATCH: 202,
    ResultType.CERTIFICATE_NOT_TRUSTED: 203,
    ResultType.CERTIFICATE_EXPIRED: 204,
    ResultType.VALIDATION_FAILURE: 205,
    ResultType.STS_POLICY_FETCH_ERROR: 301,
    ResultType.STS_POLICY_INVALID: 302,
    ResultType.STS_WEBPKI_INVALID: 303,
    ResultType.TLSA_INVALID: 304,
    ResultType.DNSSEC_INVALID: 305,
}

# How many sessions may wait for DNS to say whether anybody wants to hear of them.
_MAX_WAITING = 1_000

# How long the end of an engine waits for the last reports, in seconds.
_LAST_WORDS = 2.0

# A stranger's text in a report; RFC 8460 section 7 says not to trust it.
_MAX_WHY = 200
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]+")

# Header fields that only reports have (RFC 8460 section 5.3).
_REPORT_FIELD = re.compile(rb"^TLS-Report-(?:Domain|Submitter)[ \t]*:", re.IGNORECASE | re.MULTILINE)


class TLSReports:
    """Sends a datagram to the UNIX socket *socket_path* for sessions whose domain wants reports.

    *sent* and *lost* count datagrams. Sessions for `TLS-Required: No` messages
    and for reports themselves are left out, so that no two domains report
    about reports for ever; so are sessions reused for one more message.
    """

    def __init__(self, socket_path: Path) -> None:
        self.sent = 0
        self.lost = 0
        self._path = str(socket_path)
        self._dns: DNSSource | None = None
        self._socket: socket.socket | None = None
        self._waiting: set[asyncio.Task[None]] = set()

    def open(self, dns: DNSSource) -> None:
        """Start; *dns* is asked who wants reports. The collector may come up later."""
        self._dns = dns
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    async def close(self) -> None:
        """Wait a little for what DNS was asked, then stop."""
        if self._waiting:
            await asyncio.wait(self._waiting, timeout=_LAST_WORDS)
        for task in self._waiting:
            task.cancel()
        if self._socket is not None:
            self._socket.close()
        self._dns = self._socket = None

    @hookimpl
    def requiretls_attempted(self, attempt: Attempt) -> None:
        """Report on *attempt*, in the background, if it says something about TLS."""
        domain = policy_domain(attempt.next_hop)
        if self._dns is None or domain is None or attempt.reused or _is_exempt(attempt.message):
            return
        results = results_of(attempt)
        if not results:
            return
        if len(self._waiting) >= _MAX_WAITING:
            self.lost += 1
            return
        task = asyncio.get_running_loop().create_task(self._report(self._dns, domain, results))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def _report(self, dns: DNSSource, domain: DomainName, results: Sequence[PolicyResult]) -> None:
        answer = await dns.txt(record_name(domain))
        record = reporting_record(answer.records) if isinstance(answer, Found) else None
        if record is not None and self._socket is not None:
            self._send(self._socket, datagram(domain, record, results))

    def _send(self, ours: socket.socket, data: bytes) -> None:
        try:
            ours.sendto(data, self._path)
        except OSError as error:  # no collector, or one that does not keep up
            self.lost += 1
            if self.lost == 1:
                log = logging.getLogger(__name__)
                log.warning("TLS reports are lost: %s: %s", self._path, error.strerror)
        else:
            self.sent += 1


def _is_exempt(message: Message | None) -> bool:
    if message is None or message.requirement is Requirement.OPTIONAL:
        return True
    return _REPORT_FIELD.search(message.header) is not None


def datagram(domain: DomainName, record: str, results: Sequence[PolicyResult]) -> bytes:
    """Return what tlsrpt-collectd is to be told about one session; *record* is the domain's TXT record."""
    policies = [_policy(result) for result in results]
    message = {"dpv": "1", "d": domain.text, "pr": record, "policies": policies}
    return json.dumps(message, separators=(",", ":")).encode("ascii")


def _policy(result: PolicyResult) -> dict[str, Any]:
    policy: dict[str, Any] = {
        "policy-type": POLICY_NUMBERS[result.policy_type],
        "policy-domain": result.domain.text,
    }
    if result.policy:
        policy["policy-string"] = list(result.policy)
    if result.mx:
        policy["mx-host"] = list(result.mx)
    if result.failures:
        policy["failure-details"] = [_failure(failure) for failure in result.failures]
    policy["t"] = len(result.failures)
    policy["f"] = int(result.failed)
    return policy


def _failure(failure: Failure) -> dict[str, Any]:
    peer = failure.peer
    details = {
        "c": RESULT_NUMBERS[failure.result_type],
        "s": peer.local_address if peer is not None else None,
        "n": failure.host,
        "h": _printable(peer.greeted_as) if peer is not None and peer.greeted_as else None,
        "r": peer.address if peer is not None else None,
        "a": failure.reason.value if failure.reason is not None else None,
        "f": _printable(failure.why),
    }
    return {key: value for key, value in details.items() if value is not None}


def _printable(text: str) -> str:
    return _UNPRINTABLE.sub(" ", text)[:_MAX_WHY]
