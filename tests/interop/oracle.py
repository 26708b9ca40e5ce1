"""What Postfix and OpenSSL say of a mail server: second opinions on ours."""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from requiretls_lab.background_loop import BackgroundLoop
from requiretls_lab.destination import Destination
from requiretls_lab.laboratory import Laboratory
from requiretls_lab.resolver_proxy import Middlebox, ResolverProxy
from tests.interop.next_hop import open_folder
from tests.interop.process import UNPACKED, in_private_view

SECONDS = 20

_VERIFIED = re.compile(r"Verified TLS connection established to ([^\[]+)\[")
# Each of them proves that it came to a verdict, and did not fail for something else.
_JUDGED = re.compile(
    r"TLS connection established to|lookup failed: .*(?:[Nn]ot found|no data|nullMX)"
    r"|Connection refused|> QUIT$",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Opinion:
    """The hosts whose certificate is verified, and all that was said."""

    verified: frozenset[str]
    said: str

    @property
    def by_dane(self) -> bool:
        """Whether a TLSA record was found behind a secure MX RRset."""
        return "DNSSEC-signed TLSA record" in self.said and "MX RRset insecure" not in self.said


class PosttlsFinger:
    """Postfix's own probe of a domain's servers, asking the laboratory's resolver."""

    def __init__(self, lab: Laboratory, folder: Path) -> None:
        self._lab = lab
        self._folder = folder

    def probe(self, domain: str) -> Opinion:
        """Return what it finds at the first host of *domain*: by DANE, or by name and chain without TLSA."""
        program = f"{UNPACKED}/usr/sbin/posttls-finger"
        command = [
            *("env", f"MAIL_CONFIG={self._folder}", program, "-t", "5", "-T", "5"),
            *("-l", "dane-only", "-F", str(self._lab.authority.ca_file), "-L", "summary,verbose"),
            f"{domain}:{self._lab.port}",
        ]
        view = in_private_view(self._folder, command, resolver=self._lab.nameserver.place.address)
        done = subprocess.run(view, capture_output=True, text=True, timeout=SECONDS, check=False)
        said = done.stdout + done.stderr
        assert _JUDGED.search(said), said
        return Opinion(frozenset(_VERIFIED.findall(said)), said)


@contextlib.contextmanager
def posttls_finger(lab: Laboratory) -> Iterator[PosttlsFinger]:
    """Yield one that sees the laboratory's DNS, for which a port 53 is needed."""
    place = lab.nameserver.place
    loop = BackgroundLoop()
    proxy = ResolverProxy(place.address, 53, (place.address, place.port), Middlebox())
    loop.start()
    loop.run(proxy.start())
    try:
        with open_folder("posttls-finger") as folder:
            (folder / "main.cf").write_text(
                "smtp_dns_support_level = dnssec\nsmtp_host_lookup = dns\ninet_protocols = ipv4\n"
                f"queue_directory = {folder}\nmyhostname = finger.test\n"
            )
            yield PosttlsFinger(lab, folder)
    finally:
        loop.run(proxy.stop())
        loop.stop()


def s_client_verifies(host: Destination, ca_file: Path, tlsa: Sequence[str] = ()) -> bool:
    """Tell whether `openssl s_client -starttls smtp` verifies *host*: by *tlsa*, else by name and chain."""
    by_name = ("-verify_hostname", host.name)
    by_dane = ("-dane_tlsa_domain", host.name, "-dane_ee_no_namechecks")
    command = [
        *("openssl", "s_client", "-starttls", "smtp", "-name", "client.test", "-brief"),
        *("-connect", f"{host.address}:{host.port}", "-servername", host.name, "-CAfile", str(ca_file)),
        *(by_dane if tlsa else by_name),
        *(part for record in tlsa for part in ("-dane_tlsa_rrdata", record)),
    ]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    said = done.stdout + done.stderr
    assert re.search("Verification|verify error|STARTTLS|Connection refused", said), said
    return "Verification: OK" in said
