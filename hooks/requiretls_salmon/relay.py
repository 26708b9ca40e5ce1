"""`Relay` with Salmon's signature: sends through the engine, direct to MX or to a named server."""

# ruff: noqa: N803 - Salmon names the arguments after header fields
from __future__ import annotations

import time
from typing import Any, Literal

from salmon import server

from requiretls_plugin.delivery.outcome import Outcome
from requiretls_plugin.engine import Engine
from requiretls_plugin.errors import EngineStopped
from requiretls_plugin.policy.next_hop import Login, NamedHop, Protocol, UNIXSocket, Wrapping
from requiretls_plugin.reply import INTERNAL_ERROR
from requiretls_plugin.server_address import ServerAddress
from requiretls_salmon.delivery_error import DeliveryError
from requiretls_salmon.failures import error_for, may_raise, report_success, settle, unsuccessful
from requiretls_salmon.handling import current_handling
from requiretls_salmon.outgoing import Addresses, Outgoing, outgoing
from requiretls_salmon.preparation import prepare_salmon
from requiretls_salmon.shared_engine import running_engine, shared_engine

OnFailure = Literal["raise", "bounce"]

# A delivery ends by itself after `delivery.total_timeout`; a handler waits this much longer for it.
GRACE_SECONDS = 30.0


class Relay(server.Relay):  # type: ignore[misc] # Salmon has no types
    """Send mail; takes the place of `salmon.server.Relay`.

    Where to, in this order: `delivery.smarthost` of the settings, *host* if it
    is given, the MX hosts of each recipient.
    """

    def __init__(
        self,
        host: str | None = None,
        port: int = 25,
        username: str | None = None,
        password: str | None = None,
        ssl: bool = False,
        starttls: bool = False,
        debug: int = 0,
        lmtp: bool = False,
        *,
        on_failure: OnFailure = "raise",
    ) -> None:
        """Connect to nothing yet; raises ValueError if *host* is no name, and SettingsError.

        With *on_failure* `bounce` a failure is never raised but always reported
        to the sender of the message, as an app needs that sends one message to
        many. *debug* is Salmon's and means nothing here.
        """
        super().__init__(host, port, username, password, ssl, starttls, debug, lmtp)
        shared_engine()
        prepare_salmon()
        self.on_failure = on_failure
        self._next_hop = self._named_hop()

    def _named_hop(self) -> NamedHop | None:
        if not self.hostname:
            return None
        by_path = self.lmtp and str(self.hostname).startswith("/")
        return NamedHop(
            UNIXSocket(self.hostname) if by_path else _server(str(self.hostname), self.port),
            wrapping=Wrapping.IMPLICIT if self.ssl else Wrapping.STARTTLS,
            protocol=Protocol.LMTP if self.lmtp else Protocol.SMTP,
            login=Login(self.username, self.password) if self.username and self.password else None,
            encrypted=bool(self.starttls),
        )

    def deliver(
        self,
        message: Any,
        To: Addresses = None,
        From: str | None = None,
        *,
        require_tls: bool = False,
    ) -> tuple[Outcome, ...]:
        """Send *message* and return what became of each recipient.

        *To* and *From* are the envelope, if it is not the message's own; a
        *From* of `<>` is the null return path. *require_tls* gives a message
        REQUIRETLS. Raises DeliveryError if nobody has the message and the
        caller can still tell its sender; ConflictingRequirement if a new
        message says `TLS-Required: No` and *require_tls* is given.
        """
        sent = outgoing(message, To, From, require_tls=require_tls, next_hop=self._next_hop_now())
        engine = running_engine()
        try:
            outcomes = self._outcomes(engine, sent)
        except (EngineStopped, TimeoutError) as error:
            raise DeliveryError(INTERNAL_ERROR) from error
        self._conclude(engine, sent, outcomes)
        return outcomes

    def _next_hop_now(self) -> NamedHop | None:
        """Return the server that the app names, unless the settings name one."""
        return None if shared_engine().settings.delivery.smarthost else self._next_hop

    def _outcomes(self, engine: Engine, sent: Outgoing) -> tuple[Outcome, ...]:
        longest = engine.settings.delivery.total_timeout + GRACE_SECONDS
        return engine.run(engine.deliver(sent.message, sent.recipients), timeout=longest)

    def _conclude(self, engine: Engine, sent: Outgoing, outcomes: tuple[Outcome, ...]) -> None:
        """Raise, bounce or keep what did not arrive, and remember what did."""
        handling = current_handling()
        bad = unsuccessful(outcomes)
        if bad and self.on_failure == "raise" and may_raise(handling, sent.accepted, outcomes):
            raise error_for(bad)
        arrived = sent.accepted.arrived if sent.accepted else int(time.time())
        if bad and not settle(engine, sent.message, bad, arrived):
            # The sender tries again, and who has the message gets it twice: better than never.
            raise error_for(bad)
        report_success(engine, sent.message, outcomes, arrived)
        if handling is not None:
            handling.delivered += len(outcomes) - len(bad)

    def resolve_relay_host(self, To: str) -> str:
        """Return the domain of *To*: its MX hosts are looked up on delivery."""
        return str(To).rpartition("@")[2].rstrip(".>")

    def configure_relay(self, hostname: str) -> Any:
        """Refuse: what an smtplib connection would send is beyond our control."""
        raise NotImplementedError("mail goes through Relay.deliver only")

    def __repr__(self) -> str:
        return f"<Relay to ({self.hostname or 'MX'}:{self.port})>"


def _server(host: str, port: int) -> ServerAddress:
    return ServerAddress(ServerAddress.parse(host).host, port)
