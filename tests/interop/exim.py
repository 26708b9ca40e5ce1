"""Debian's Exim with a configuration, a spool and a mailbox of its own."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.interop.next_hop import Arrived, Place, answers, copied, mailbox, open_folder
from tests.interop.process import EXIM, UNPACKED, in_private_view, running

# Mail for to.test goes where Postfix's configuration says; see there.
_CONFIGURATION = r"""
primary_hostname = @name@
spool_directory = @folder@/spool
log_file_path = @folder@/spool/%slog
exim_path = @unpacked@/usr/sbin/exim4
local_interfaces = @address@.@port@
# A number, for machines without /etc/services.
daemon_smtp_ports = 25
keep_environment = LD_LIBRARY_PATH
deliver_drop_privilege = true
host_lookup =
rfc1413_hosts =
tls_advertise_hosts = *
tls_certificate = @folder@/chain.pem
tls_privatekey = @folder@/key.pem
acl_smtp_rcpt = check_recipient
acl_smtp_data = accept

begin acl
check_recipient:
  deny
    recipients = nobody@@domain@
    message = no such mailbox
  accept

begin routers
by_smtp:
  driver = manualroute
  domains = ^smtp-\\d+\\.to\\.test\$
  transport = smtp
  route_data = 127.0.0.1
  self = send
by_lmtp:
  driver = manualroute
  domains = ^lmtp-\\d+\\.to\\.test\$
  transport = lmtp
  route_data = 127.0.0.1
  self = send
own:
  driver = accept
  transport = box

begin transports
box:
  driver = appendfile
  maildir_format
  directory = @folder@/box
  user = Debian-exim
smtp:
  driver = smtp
  port = ${sg{$domain}{\N^\w+-(\d+).*\N}{\$1}}
  allow_localhost
  hosts_require_tls = *
  tls_verify_certificates =
lmtp:
  driver = smtp
  protocol = lmtp
  port = ${sg{$domain}{\N^\w+-(\d+).*\N}{\$1}}
  allow_localhost
  hosts_require_tls = *
  tls_verify_certificates =

begin retry
"""


class Exim:
    """A running Exim that keeps all mail but that for to.test, which it passes on."""

    def __init__(self, place: Place, folder: Path) -> None:
        self.place = place
        self._folder = folder

    def messages(self) -> list[Arrived]:
        """Return every message in its mailbox."""
        return mailbox(self._folder / "box")


@contextlib.contextmanager
def exim(place: Place) -> Iterator[Exim]:
    """Run one at *place*."""
    values = {
        "name": place.name,
        "domain": place.name.partition(".")[2],
        "address": place.address,
        "port": str(place.port),
        "unpacked": str(UNPACKED),
    }
    with open_folder("exim") as folder:
        text = _CONFIGURATION
        for key, value in {**values, "folder": str(folder)}.items():
            text = text.replace(f"@{key}@", value)
        (folder / "exim.conf").write_text(text)
        for name in ("spool", "box"):
            (folder / name).mkdir()
            shutil.chown(folder / name, EXIM, EXIM)
        copied(place.certificate, folder, EXIM)
        daemon = f"{UNPACKED}/usr/sbin/exim4"
        command = in_private_view(folder, [daemon, "-C", f"{folder}/exim.conf", "-bdf"])
        with running(command, folder / "output", lambda: answers(place)):
            yield Exim(place, folder)
