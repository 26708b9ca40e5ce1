"""A real unbound that serves and validates the laboratory's zones.

One daemon does both: it has the zones as auth-zones for its own iterator, and
its validator judges what comes out of them as it would the Internet.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode

from requiretls_lab.authority import Certificate
from requiretls_lab.errors import LabError
from requiretls_lab.zones import ROOT, SignedZones

_START_SECONDS = 10.0

_SERVER = """\
server:
  interface: {address}@{port}
  interface: {address}@{tls_port}
  tls-port: {tls_port}
  tls-service-pem: "{certificate.chain_file}"
  tls-service-key: "{certificate.key_file}"
  interface: {address}@{refusing_port}
  interface-action: {address}@{port} allow
  interface-action: {address}@{tls_port} allow
  # Where unserved zones are delegated to.
  interface-action: {address}@{refusing_port} refuse
  do-not-query-localhost: no
  outbound-msg-retry: 1
  username: ""
  chroot: ""
  directory: "{folder}"
  pidfile: "{folder}/unbound.pid"
  logfile: "{folder}/unbound.log"
  use-syslog: no
  val-log-level: 2
  num-threads: 1
  do-ip6: no
  # The extended error (RFC 8914) is what tells a bogus answer from any other SERVFAIL.
  ede: yes
  val-bogus-ttl: 5
  qname-minimisation: no
  # Nothing outside the laboratory is ever asked.
  local-zone: "." refuse
  local-zone: "{root}." transparent
  module-config: "{modules}"
  trust-anchor: "{anchor}"
remote-control:
  control-enable: no
"""

_ZONE = """\
auth-zone:
  name: "{name}."
  zonefile: "{file}"
  for-downstream: no
  for-upstream: yes
  fallback-enabled: no
"""

_UNSERVED_ZONE = """\
stub-zone:
  name: "{name}."
  stub-addr: {address}@{refusing_port}
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a resolver listens: UDP and TCP on *port*, DNS over TLS on *tls_port*.

    On *refusing_port* it answers REFUSED to everything.
    """

    address: str
    port: int
    tls_port: int
    refusing_port: int


class Nameserver:
    """An unbound process in *folder*; `start` returns once it answers.

    *certificate* is for DNS over TLS. If not *validating* it answers the same
    without ever setting AD, and bogus zones like any other.
    """

    program = "unbound"

    def __init__(
        self,
        zones: SignedZones,
        place: Place,
        certificate: Certificate,
        folder: Path,
        *,
        validating: bool = True,
    ) -> None:
        self.place = place
        self.validating = validating
        self._certificate = certificate
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._write_files(zones)

    def start(self) -> None:
        """Start unbound; raises LabError if it is not installed or does not come up."""
        unbound = shutil.which(self.program, path=f"{os.defpath}:/usr/sbin:/usr/local/sbin:/usr/local/bin")
        if unbound is None:
            raise LabError("unbound is not installed; as root: apt-get install unbound")
        # A killed test run must not leave the daemon behind.
        setpriv = shutil.which("setpriv")
        bound_to_us = [setpriv, "--pdeathsig", "KILL"] if setpriv else []
        command = [*bound_to_us, unbound, "-d", "-p", "-c", str(self._folder / "unbound.conf")]
        with (self._folder / "stderr").open("wb") as stderr:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=stderr)
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise LabError(f"unbound did not start:\n{self._said()}")

    def stop(self) -> None:
        """Kill unbound; questions are no longer answered. Without a running one nothing happens."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def signal(self, number: signal.Signals) -> None:
        """Send unbound a signal: SIGSTOP lets it hang until SIGCONT."""
        if self._process is not None:
            self._process.send_signal(number)

    def restart(self, zones: SignedZones | None = None) -> None:
        """Start again with an empty cache, and with other *zones* if given."""
        self.stop()
        if zones is not None:
            self._write_files(zones)
        self.start()

    def _write_files(self, zones: SignedZones) -> None:
        self._folder.mkdir(exist_ok=True)
        configuration = [
            _SERVER.format(
                **asdict(self.place),
                certificate=self._certificate,
                folder=self._folder,
                root=ROOT,
                modules="validator iterator" if self.validating else "iterator",
                anchor=zones.anchor,
            )
        ]
        for name, content in zones.files.items():
            file = self._folder / f"{name}.zone"
            file.write_text(content, encoding="ascii")
            configuration.append(_ZONE.format(name=name, file=file))
        for name in zones.unserved:
            configuration.append(_UNSERVED_ZONE.format(name=name, **asdict(self.place)))
        (self._folder / "unbound.conf").write_text("".join(configuration), encoding="ascii")

    def _answers(self) -> bool:
        query = dns.message.make_query(f"{ROOT}.", "SOA", flags=dns.flags.RD)
        with contextlib.suppress(dns.exception.DNSException, OSError):
            answer = dns.query.udp(query, self.place.address, port=self.place.port, timeout=0.02)
            return answer.rcode() == dns.rcode.NOERROR
        return False

    def _said(self) -> str:
        files = (self._folder / "stderr", self._folder / "unbound.log")
        return "".join(file.read_text(errors="replace") for file in files if file.exists())
