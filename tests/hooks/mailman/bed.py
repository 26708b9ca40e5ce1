"""A real Mailman in this process: SQLite, its own var directory, runners that stop at an empty queue."""

from __future__ import annotations

import os
import smtplib
import ssl
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Mailman's own imports are not our business
    from mailman.app.lifecycle import create_list
    from mailman.config import config
    from mailman.core.initialize import initialize_1, initialize_2, initialize_3
    from mailman.database.transaction import transaction
    from mailman.email.message import Message
    from mailman.interfaces.domain import IDomainManager
    from mailman.interfaces.member import DeliveryMode, MemberRole
    from mailman.testing.helpers import get_queue_messages, make_testable_runner, reset_the_world, subscribe
    from zope.component import getUtility

    import requiretls_mailman.runners as runners
    from requiretls_mailman.adapter import Adapter

from requiretls_aiosmtpd import quiet_aiosmtpd
from requiretls_lab.laboratory import Laboratory
from requiretls_plugin.settings import Settings
from tests.hooks.salmon.apps import free_port

LIST = "team@lists.test"
POSTER = "anne@sender.test"

# In the order in which mail goes through them.
QUEUES = {
    "command": runners.CommandRunner,
    "in": runners.IncomingRunner,
    "bounces": runners.BounceRunner,
    "pipeline": runners.PipelineRunner,
    "digest": runners.DigestRunner,
    "archive": runners.ArchiveRunner,
    "virgin": runners.VirginRunner,
    "nntp": runners.NNTPRunner,
    "out": runners.OutgoingRunner,
}

POST = f"""\
From: Anne <{POSTER}>
To: {LIST}
Subject: a secret subject
Message-ID: <post@sender.test>
Date: Tue, 24 Nov 2026 12:00:00 +0000

the secret body
"""


class Bed:
    """Mailman with the adapter on, between a client and the laboratory."""

    def __init__(self, lab: Laboratory, settings_file: Path) -> None:
        self.lab = lab
        self.settings_file = settings_file

    @property
    def adapter(self) -> Adapter:
        """What the plugin made of the settings."""
        adapter = config.plugins["requiretls"].adapter
        assert isinstance(adapter, Adapter)
        return adapter

    def use(self, **changes: Any) -> None:
        """Use other settings from now on: the laboratory's with *changes* by section."""
        self.use_settings(self.lab.settings(**changes))

    def use_settings(self, settings: Settings) -> None:
        """Use *settings* from now on."""
        self.adapter.engine.stop(1.0)
        config.plugins["requiretls"].adapter = Adapter(settings)

    def reset(self) -> None:
        """Forget all lists and messages, and use the laboratory's settings."""
        reset_the_world()
        with transaction():
            getUtility(IDomainManager).add("lists.test")
        self.use()

    # Lists

    def create_list(self, members: Iterable[str] = (), address: str = LIST, **attributes: Any) -> Any:
        """Return a new list with *members*; its poster may post and gets no copy."""
        with transaction():
            mlist = create_list(address, ["owner@sender.test"])
            mlist.admin_immed_notify = False
            mlist.respond_to_post_requests = False
            mlist.archive_policy = mlist.archive_policy.__class__.never
            mlist.send_welcome_message = False
            for name, value in attributes.items():
                setattr(mlist, name, value)
        for number, member in enumerate(members):
            subscribe(mlist, f"M{number}", email=member)
        subscribe(mlist, "Anne", role=MemberRole.nonmember, email=POSTER)
        with transaction():
            mlist.nonmembers.get_member(POSTER).moderation_action = _accept(mlist)
        return mlist

    # Mail

    @contextmanager
    def lmtp(self, *, tls: bool = True) -> Iterator[smtplib.SMTP]:
        """Run the LMTP server and yield a client that said LHLO, inside TLS unless told otherwise."""
        runner = runners.LMTPRunner("lmtp")
        quiet_aiosmtpd()
        self.adapter.engine.start()
        runner.lmtp.start()
        try:
            with smtplib.LMTP("127.0.0.1", int(config.mta.lmtp_port), local_hostname="mta.test") as client:
                client.ehlo()
                if tls:
                    client.starttls(context=self._context())
                    client.ehlo()
                yield client
        finally:
            runner.lmtp.stop()

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.lab.authority.ca_file))
        context.check_hostname = False
        return context

    def post(
        self,
        text: str = POST,
        *options: str,
        to: str | tuple[str, ...] = LIST,
        sender: str = POSTER,
        tls: bool = True,
    ) -> None:
        """Send *text* by LMTP with the MAIL parameters *options*."""
        with self.lmtp(tls=tls) as client:
            recipients = [to] if isinstance(to, str) else list(to)
            refused = client.sendmail(sender, recipients, text, options)
            assert refused == {}
            for _ in recipients[1:]:  # smtplib forgets that LMTP answers for each recipient
                assert client.getreply()[0] == 250

    def run(self, *names: str) -> None:
        """Run the runners *names*, or all of them until nothing is left to do."""
        for _ in range(1 if names else 10):
            waiting = [name for name in QUEUES if config.switchboards[name].files]
            if not names and not waiting:
                return
            for name in names or waiting:
                make_testable_runner(QUEUES[name], name).run()
        assert names, f"still waiting: {waiting}"

    def queued(self, name: str) -> list[Any]:
        """Return and clear the messages in a queue, each with its `msg` and `msgdata`."""
        found: list[Any] = get_queue_messages(name)
        return found

    def delivered(self, domain: str, host: str = "mx") -> list[Any]:
        """Return what the mail server of *domain* accepted."""
        return self.lab.destination(f"{host}.{domain}").messages


def _accept(mlist: Any) -> Any:
    from mailman.interfaces.action import Action

    return Action.accept


def start_mailman(folder: Path, lab: Laboratory) -> Bed:
    """Start Mailman in *folder*, once for this process."""
    settings_file = lab.write_settings(folder / "requiretls.toml")
    cfg = folder / "mailman.cfg"
    cfg.write_text(
        f"""
[mailman]
site_owner: site@sender.test
layout: bed
[paths.bed]
var_dir: {folder}/var
[mta]
incoming: mailman.mta.null.NullMTA
outgoing: requiretls_mailman.deliver
lmtp_host: 127.0.0.1
lmtp_port: {free_port()}
[plugin.requiretls]
class: requiretls_mailman.RequireTLSPlugin
enabled: yes
component_package: requiretls_mailman
configuration: {settings_file}
"""
    )
    umask = os.umask(0o022)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        initialize_1(str(cfg))
        initialize_2(testing=True)
        initialize_3()
    os.umask(umask)  # Mailman's own keeps other tests' servers out of their folders
    return Bed(lab, settings_file)


__all__ = [
    "LIST",
    "POST",
    "POSTER",
    "Bed",
    "DeliveryMode",
    "Message",
    "config",
    "start_mailman",
    "transaction",
]
