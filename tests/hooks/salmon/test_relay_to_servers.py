"""`Relay` to real servers of the laboratory, named by the app."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP
from salmon import mail

from requiretls_aiosmtpd import LMTPSession, Transaction, bound_unix_socket
from requiretls_lab.laboratory import Laboratory
from requiretls_plugin.engine import Engine
from requiretls_plugin.plugins import plugin_manager
from requiretls_salmon import DeliveryError, Relay
from requiretls_salmon.shared_engine import running_engine, share_engine
from tests.hooks.aiosmtpd.serving import Keeper

MakeRelay = Callable[..., Relay]


@pytest.fixture
def make_relay(lab: Laboratory) -> Iterator[MakeRelay]:
    """Return a function that makes a relay with the laboratory's settings and some changes."""
    undone: list[Callable[[], object]] = []

    def make(*arguments: Any, delivery: dict[str, Any] | None = None, **keywords: Any) -> Relay:
        engine = Engine(lab.settings(delivery=delivery or {}), plugin_manager(installed=False))
        undone.extend([engine.stop, share_engine(engine)])
        return Relay(*arguments, **keywords)

    yield make
    for undo in reversed(undone):
        undo()


def message(to: str = "b@dane-ee.test") -> Any:
    """Return a message of an app."""
    return mail.MailResponse(To=to, From="a@sender.test", Subject="s", Body="b")


def test_direct_to_mx(make_relay: MakeRelay, lab: Laboratory) -> None:
    """Without a host, two domains in one call, each by its own way."""
    outcomes = make_relay().deliver(message(), To=["b@dane-ee.test", "c@sts.test"], require_tls=True)

    assert [outcome.requiretls for outcome in outcomes] == [True, True]
    assert lab.destination("mx.dane-ee.test").messages[0].requiretls
    assert lab.destination("mx.sts.test").messages[0].requiretls


@pytest.mark.parametrize(
    ("starttls", "taken"), [(False, True), (True, False)], ids=["opportunistic", "starttls=True"]
)
def test_starttls_true_sends_nothing_in_cleartext(
    starttls: bool, taken: bool, make_relay: MakeRelay, lab: Laboratory
) -> None:
    """As with Salmon's own relay, where the server has no STARTTLS."""
    relay = make_relay("mx.no-starttls.test", lab.port, starttls=starttls)
    with contextlib.suppress(DeliveryError):
        relay.deliver(message("b@elsewhere.test"))

    assert bool(lab.destination("mx.no-starttls.test").messages) == taken


def test_a_named_server_has_to_prove_its_name_under_requiretls(
    make_relay: MakeRelay, lab: Laboratory
) -> None:
    """The right certificate passes, another name does not."""
    make_relay("mx.dnssec-pkix.test", lab.port).deliver(message("b@elsewhere.test"), require_tls=True)
    with pytest.raises(DeliveryError) as error:
        make_relay("mx.wrong-name.test", lab.port).deliver(message("b@elsewhere.test"), require_tls=True)

    assert lab.destination("mx.dnssec-pkix.test").messages[0].requiretls
    assert str(error.value).startswith("550 5.7.10 ")
    assert lab.destination("mx.wrong-name.test").messages == []


def test_lmtp_over_a_unix_socket_delivers_to_a_trusted_server_with_an_answer_for_each(
    make_relay: MakeRelay, lab: Laboratory, tmp_path: Path
) -> None:
    """Ours, here: some recipients are taken and some are not."""
    path = str(tmp_path / "lmtp")

    class Choosy(Keeper):
        async def handle_DATA(self, server: SMTP, session: object, envelope: Transaction) -> object:
            await super().handle_DATA(server, session, envelope)
            return ["550 5.2.2 mailbox full" if "full" in one else "250 OK" for one in envelope.rcpt_tos]

    choosy = Choosy()
    relay = make_relay(path, lmtp=True, delivery={"trusted_local_hops": [f"unix:{path}"]})
    loop = running_engine().loop
    listener = bound_unix_socket(path)

    async def serve() -> asyncio.Server:
        return await loop.create_unix_server(
            lambda: LMTPSession(choosy, hostname="store.test", loop=loop), sock=listener
        )

    server = asyncio.run_coroutine_threadsafe(serve(), loop).result(10)
    outcomes = relay.deliver(message(), To=["a@store.test", "full@store.test"])
    loop.call_soon_threadsafe(server.close)

    assert [outcome.reply.code for outcome in outcomes] == [250, 550]
    assert len(choosy.taken) == 1
