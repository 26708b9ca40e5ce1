"""Debian's Postfix with a configuration, a queue and a mailbox of its own."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.interop.next_hop import Arrived, Place, answers, copied, mailbox, open_folder
from tests.interop.process import NOBODY, POSTDROP, POSTFIX, UNPACKED, in_private_view, running

# u@smtp-2525.to.test goes to port 2525 of this machine by SMTP, u@lmtp-2525.to.test by LMTP, both in TLS.
_MAIN = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
daemon_directory = {unpacked}/usr/lib/postfix/sbin
command_directory = {unpacked}/usr/sbin
shlib_directory = {unpacked}/usr/lib/postfix
meta_directory = {folder}/conf
import_environment = MAIL_CONFIG TZ LANG=C LD_LIBRARY_PATH
maillog_file = {folder}/maillog
maillog_file_prefixes = {folder}
inet_protocols = ipv4
inet_interfaces = 127.0.0.1
myhostname = {place.name}
mydestination =
alias_maps =
smtpd_tls_security_level = may
smtpd_tls_chain_files = {folder}/key.pem, {folder}/chain.pem
smtpd_tls_received_header = yes
virtual_mailbox_domains = {domain}
virtual_mailbox_maps = inline:{{ u@{domain}=box/ }}
virtual_mailbox_base = {folder}
virtual_uid_maps = static:{nobody}
virtual_gid_maps = static:{nobody}
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions = check_recipient_access regexp:{folder}/to_test
smtp_tls_security_level = encrypt
lmtp_tls_security_level = encrypt
lmtp_assume_final = yes
"""

# Transport tables have no substitution (transport(5)), access tables have.
_TO_TEST = r"""
/@smtp-([0-9]+)\.to\.test$/ FILTER smtp:[127.0.0.1]:$1
/@lmtp-([0-9]+)\.to\.test$/ FILTER lmtp:inet:127.0.0.1:$1
"""

_MASTER = """\
{place.address}:{place.port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
lmtp unix - - n - - lmtp
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""

_PRIVATE = ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private")


class Postfix:
    """A running Postfix that takes mail for u@ its domain, and passes on anything else."""

    def __init__(self, place: Place, folder: Path) -> None:
        self.place = place
        self._folder = folder

    def messages(self) -> list[Arrived]:
        """Return every message in its mailbox."""
        return mailbox(self._folder / "box")

    @property
    def log(self) -> str:
        """What it logged so far."""
        return (self._folder / "maillog").read_text()

    def postconf(self, *names: str) -> str:
        """Return what `postconf NAME…` prints of its parameters."""
        command = [f"{UNPACKED}/usr/sbin/postconf", "-c", f"{self._folder}/conf", *names]
        view = in_private_view(self._folder, command)
        return subprocess.run(view, capture_output=True, text=True, check=True).stdout


@contextlib.contextmanager
def postfix(place: Place) -> Iterator[Postfix]:
    """Run one at *place* that is the mail server of the domain above its name."""
    with open_folder("postfix") as folder:
        _write_configuration(place, folder)
        _make_queue(folder)
        copied(place.certificate, folder, 0)
        daemon = f"{UNPACKED}/usr/lib/postfix/sbin/master"
        command = in_private_view(folder, [daemon, "-d", "-c", f"{folder}/conf"])
        with running(command, folder / "maillog", lambda: answers(place)):
            yield Postfix(place, folder)


def _write_configuration(place: Place, folder: Path) -> None:
    domain = place.name.partition(".")[2]
    values = {"folder": folder, "place": place, "unpacked": UNPACKED, "domain": domain, "nobody": NOBODY}
    (folder / "conf").mkdir()
    (folder / "conf" / "main.cf").write_text(_MAIN.format(**values))
    (folder / "conf" / "master.cf").write_text(_MASTER.format(**values))
    (folder / "to_test").write_text(_TO_TEST)


def _make_queue(folder: Path) -> None:
    for name in (*(f"queue/{each}" for each in (*_PRIVATE, "saved", "trace", "pid")), "data", "box"):
        (folder / name).mkdir(parents=True)
        shutil.chown(folder / name, NOBODY if name == "box" else POSTFIX)
    shutil.chown(folder / "queue" / "pid", 0)
    for name, mode in (("maildrop", 0o730), ("public", 0o710)):
        (folder / "queue" / name).mkdir()
        (folder / "queue" / name).chmod(mode)
        shutil.chown(folder / "queue" / name, POSTFIX, POSTDROP)
