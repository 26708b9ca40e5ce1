"""Is this the Mailman that we know? What is wrapped is compared before anything is wrapped.

Mailman has hooks for the larger part of what we need; the rest are functions
and classes of its own. If one of them changed its shape, mail could leave
without its tag and nobody would notice, so the plugin refuses to start.
"""

from __future__ import annotations

import inspect
from importlib import import_module

from mailman.version import VERSION

from requiretls_mailman.errors import UnknownMailmanError

OLDEST = (3, 3, 10)
TOO_NEW = (3, 4)

# What is subclassed, wrapped or called behind Mailman's own interfaces, and how it is called.
SHAPES = {
    "mailman.app.bounces.bounce_message": "(mlist, msg, error=None)",
    "mailman.app.moderator.handle_message": "(mlist, id, action, comment=None, forward=None)",
    "mailman.chains.base.TerminalChainBase._process": "(self, mlist, msg, msgdata)",
    "mailman.core.chains.process": "(mlist, msg, msgdata, start_chain='default-posting-chain')",
    "mailman.core.runner.Runner._dispose": "(self, mlist, msg, msgdata)",
    "mailman.core.runner.Runner._process_one_file": "(self, msg, msgdata)",
    "mailman.core.switchboard.Switchboard.enqueue": "(self, _msg, _metadata=None, **_kws)",
    "mailman.handlers.to_digest.ToDigest.process": "(self, mlist, msg, msgdata)",
    "mailman.mta.base.BaseDelivery._deliver_to_recipients": "(self, mlist, msg, msgdata, recipients)",
    "mailman.mta.base.IndividualDelivery.deliver": "(self, mlist, msg, msgdata)",
    "mailman.mta.bulk.BulkDelivery.deliver": "(self, mlist, msg, msgdata)",
    "mailman.mta.connection.Connection.quit": "(self)",
    "mailman.mta.connection.Connection.sendmail": "(self, envsender, recipients, msg)",
    "mailman.mta.deliver.deliver": "(mlist, msg, msgdata)",
    "mailman.runners.digest.Mailbox.__enter__": "(self)",
    "mailman.runners.lmtp.LMTPController.factory": "(self)",
    "mailman.runners.lmtp.LMTPHandler.handle_DATA": "(self, server, session, envelope)",
    "mailman.runners.outgoing.OutgoingRunner._fake_dsn": "(self, mlist, recipient, code, smtp_message)",
}


def check_mailman(version: str = VERSION) -> None:
    """Return if what we wrap has the shape we know; raises UnknownMailmanError with what differs."""
    numbers = tuple(int(part) for part in version.split(".")[:3] if part.isdigit())
    if not OLDEST <= numbers < TOO_NEW:
        raise UnknownMailmanError(
            f"Mailman {version} is installed; this release of requiretls-plugin is for 3.3.10 and later"
            " 3.3 releases. Install one of these, or the release of requiretls-plugin made for yours."
        )
    differing = [problem for name, shape in SHAPES.items() if (problem := _difference(name, shape))]
    if differing:
        raise UnknownMailmanError(
            f"Mailman {version} differs from the one known here: {'; '.join(differing)}."
            " Install Mailman 3.3.10, or a newer release of requiretls-plugin."
        )


def _difference(name: str, shape: str) -> str | None:
    found = _shape_of(name)
    return None if found == shape else f"{name}{found or ' is missing'} where {shape} is expected"


def _shape_of(name: str) -> str | None:
    """Return the signature of the function or method *name*, None if there is no such thing."""
    steps = name.split(".")
    depth = 2 if steps[-2][:1].isupper() else 1
    thing: object = import_module(".".join(steps[:-depth]))
    for step in steps[-depth:]:
        thing = getattr(thing, step, None)
    return str(inspect.signature(thing)) if callable(thing) else None
