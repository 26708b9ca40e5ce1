"""The classes for the sections [runner.*] of mailman.cfg: Mailman's own, and the tag goes along.

Everything a runner sends while it handles a message is held to what that
message asked. None starts without the plugin.
"""

from __future__ import annotations

import logging
from typing import Any

from mailman.config import config
from mailman.core.chains import process as process_chain
from mailman.runners import archive, bounce, command, digest, incoming, nntp, outgoing, pipeline, virgin

from requiretls_mailman.adapter import installed
from requiretls_mailman.bounce_filter import BounceFilter
from requiretls_mailman.cause import because_of, cause
from requiretls_mailman.digests import tag_of_digest
from requiretls_mailman.errors import NotInstalledError
from requiretls_mailman.kept import kept_tag, mark
from requiretls_mailman.lmtp import LMTPRunner
from requiretls_mailman.notices import one_line
from requiretls_mailman.reach import reason_to_hold
from requiretls_plugin.requirement import Requirement, Tag

__all__ = [
    "ArchiveRunner",
    "BounceRunner",
    "CommandRunner",
    "DigestRunner",
    "IncomingRunner",
    "LMTPRunner",
    "NNTPRunner",
    "OutgoingRunner",
    "PipelineRunner",
    "VirginRunner",
]

OUTGOING = "requiretls_mailman.deliver"

log = logging.getLogger("mailman.vette")


class Inheriting:
    """Mixed into a runner: what it sends because of a message inherits that message's tag."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        """Start; raises NotInstalledError."""
        self.adapter = installed()
        super().__init__(*arguments, **keywords)

    def _process_one_file(self, msg: Any, msgdata: Any) -> None:
        with because_of(self.tag_of(msg, msgdata)):
            super()._process_one_file(msg, msgdata)  # type: ignore[misc] # the runner's

    def tag_of(self, msg: Any, msgdata: Any) -> Tag:
        """Return the tag of the message about to be handled."""
        return kept_tag(msg, msgdata)

    def is_required(self, mlist: Any, msg: Any, msgdata: Any) -> bool:
        """Return whether *msg* may leave under REQUIRETLS only."""
        return self.adapter.tag_for_leaving(mlist, msg, msgdata).requirement is Requirement.REQUIRED


class IncomingRunner(Inheriting, incoming.IncomingRunner):
    """For `[runner.in]`."""


class CommandRunner(Inheriting, command.CommandRunner):
    """For `[runner.command]`."""


class VirginRunner(Inheriting, virgin.VirginRunner):
    """For `[runner.virgin]`."""


class PipelineRunner(Inheriting, pipeline.PipelineRunner):
    """For `[runner.pipeline]`: accepted posts, held once more if they would not reach everybody."""

    def _dispose(self, mlist: Any, msg: Any, msgdata: Any) -> bool:
        if self.adapter.policy_of(mlist).unreachable == "hold" and self.is_required(mlist, msg, msgdata):
            reason = reason_to_hold(self.adapter, mlist, msgdata)
            if reason is not None:
                msgdata["moderation_sender"] = msg.sender
                msgdata["moderation_reasons"] = [reason]
                process_chain(mlist, msg, msgdata, "hold")
                return False
        return bool(super()._dispose(mlist, msg, msgdata))


class OutgoingRunner(Inheriting, outgoing.OutgoingRunner):
    """For `[runner.out]`."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        """Start; raises NotInstalledError, also if mail would leave by another function than ours."""
        if config.mta.outgoing != OUTGOING:
            raise NotInstalledError(f"write in section [mta] of mailman.cfg: outgoing: {OUTGOING}")
        super().__init__(*arguments, **keywords)

    def _fake_dsn(self, *arguments: Any) -> Any:
        report = super()._fake_dsn(*arguments)
        mark(report, cause())
        return report


class BounceRunner(Inheriting, bounce.BounceRunner):
    """For `[runner.bounces]`."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        """Start; raises NotInstalledError."""
        super().__init__(*arguments, **keywords)
        self._processor: Any = BounceFilter(self._processor)


class ArchiveRunner(Inheriting, archive.ArchiveRunner):
    """For `[runner.archive]`."""

    def _dispose(self, mlist: Any, msg: Any, msgdata: Any) -> Any:
        if self.adapter.policy_of(mlist).archive == "omit" and self.is_required(mlist, msg, msgdata):
            log.info("%s not archived: REQUIRETLS", one_line(msg, "Message-ID"))
            return False
        return super()._dispose(mlist, msg, msgdata)


class DigestRunner(Inheriting, digest.DigestRunner):
    """For `[runner.digest]`: a digest asks what the posts in it ask, whoever triggered it."""

    def tag_of(self, msg: Any, msgdata: Any) -> Tag:
        """Return the tag of all the posts together."""
        return tag_of_digest(msgdata["digest_path"])


class NNTPRunner(Inheriting, nntp.NNTPRunner):
    """For `[runner.nntp]`: a newsgroup knows no REQUIRETLS."""

    def _dispose(self, mlist: Any, msg: Any, msgdata: Any) -> Any:
        if self.adapter.policy_of(mlist).nntp == "drop" and self.is_required(mlist, msg, msgdata):
            post = one_line(msg, "Message-ID")
            log.info("%s not sent to %s: REQUIRETLS", post, mlist.linked_newsgroup)
            return False
        return super()._dispose(mlist, msg, msgdata)
