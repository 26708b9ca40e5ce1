"""The error that a Salmon app sees when a message may not or cannot travel."""

from __future__ import annotations

import smtplib
from collections.abc import Sequence

from salmon.server import SMTPError

from requiretls_plugin.delivery.outcome import Outcome
from requiretls_plugin.reply import Reply


class DeliveryError(SMTPError, smtplib.SMTPException):  # type: ignore[misc] # Salmon has no types
    """A message was not delivered; *reply* is for its sender, *outcomes* say more.

    Salmon answers the sender with an SMTPError a handler lets through, and apps
    that catch smtplib's errors catch this one too.
    """

    def __init__(self, reply: Reply, outcomes: Sequence[Outcome] = ()) -> None:
        self.reply = reply
        self.outcomes = tuple(outcomes)
        super().__init__(reply.code, f"{reply.status} {reply.text}".rstrip())
