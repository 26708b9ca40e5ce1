"""The function for `[mta] outgoing`: Mailman prepares each copy as ever, the engine delivers it.

Mailman's own delivery decorates, personalizes, signs, splits and logs; only
the connection to its one smarthost is replaced. What comes back is the dialect
of smtplib, which Mailman turns into retries and bounces.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lazr.config import as_boolean
from mailman.config import config
from mailman.interfaces.mta import SomeRecipientsFailed
from mailman.mta import base, connection
from mailman.mta import deliver as stock

from requiretls_mailman.adapter import installed
from requiretls_mailman.errors import NotInstalledError
from requiretls_mailman.refused import report_refusals
from requiretls_mailman.sending import Refused, Sending, current_sending, now_sending
from requiretls_plugin.delivery.outcome import Outcome
from requiretls_plugin.tls_refusal import is_tls_refusal


class EngineConnection(connection.Connection):
    """Takes the place of Mailman's connection to its smarthost."""

    def sendmail(self, envsender: str, recipients: Sequence[str], msg: Any) -> Refused:
        """Begin to deliver *msg*; the agent waits for what becomes of it once it has sent all copies."""
        if as_boolean(config.devmode.enabled):
            recipients = [config.devmode.recipient]
        return _allowed().start(envsender, recipients, msg)

    def quit(self) -> None:
        """Keep sessions: the engine knows how long."""


def _allowed() -> Sending:
    sending = current_sending()
    if sending is None:
        raise NotInstalledError("mail may leave by requiretls_mailman.deliver only: see [mta] in mailman.cfg")
    return sending


class _Waiting:
    """Mixed into Mailman's agents: the copies travel together, and the agent returns what became of all."""

    def deliver(self, mlist: Any, msg: Any, msgdata: Any) -> Refused:
        """See `IMailTransportAgentDelivery`."""
        refused: Refused = super().deliver(mlist, msg, msgdata)  # type: ignore[misc] # the agent's
        return refused | _allowed().finish()


class Deliver(_Waiting, stock.Deliver):
    """Mailman's agent for copies that differ from member to member."""


class BulkDelivery(_Waiting, stock.BulkDelivery):
    """Mailman's agent for copies that are all the same."""


def send_through_engine() -> None:
    """Let Mailman's delivery use our agents, and nothing connect past them."""
    base.Connection = EngineConnection
    stock.Deliver, stock.BulkDelivery = Deliver, BulkDelivery


def deliver(mlist: Any, msg: Any, msgdata: Any) -> None:
    """Deliver *msg* to `msgdata["recipients"]`; named as `[mta] outgoing` in mailman.cfg.

    Raises NotInstalledError, so that the message is shunted, and Mailman's
    SomeRecipientsFailed without those refused for REQUIRETLS: the members'
    addresses are good.
    """
    adapter = installed()
    sending = Sending(
        adapter,
        adapter.tag_for_leaving(mlist, msg, msgdata),
        keeps_tls_required_no=adapter.policy_of(mlist).tls_required_no == "honor",
    )
    failed = None
    with now_sending(sending):
        try:
            stock.deliver(mlist, msg, msgdata)
        except SomeRecipientsFailed as error:
            failed = _without_tls_refusals(error, sending.outcomes)
    report_refusals(adapter, mlist, msg, msgdata, sending.outcomes)
    if failed is not None and (failed.temporary_failures or failed.permanent_failures):
        raise failed


def _without_tls_refusals(error: SomeRecipientsFailed, outcomes: Sequence[Outcome]) -> SomeRecipientsFailed:
    blameless = {str(outcome.recipient) for outcome in outcomes if is_tls_refusal(outcome)}
    permanent = [failure for failure in error.permanent_failures if failure[0] not in blameless]
    return SomeRecipientsFailed(error.temporary_failures, permanent)
