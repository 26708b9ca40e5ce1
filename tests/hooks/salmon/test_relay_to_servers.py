"""`Relay` to real servers of the laboratory, named by the app."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from salmon import mail
from salmon.routing import Router

from requiretls_aiosmtpd import LMTPSession, Transaction, bound_unix_socket
from requiretls_lab.laboratory import Laboratory
from requiretls_lab.smtp_script import EXTENSIONS, Script
from requiretls_plugin.engine import Engine
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message, Notify, Recipient
from requiretls_plugin.requirement import Origin, Requirement, Tag
from requiretls_plugin.security import Security
from requiretls_salmon import DeliveryError, Relay
from requiretls_salmon.handling import Handling, handling_of
from requiretls_salmon.kept import Accepted
from requiretls_salmon.shared_engine import running_engine, share_engine
from tests.hooks.aiosmtpd.serving import Keeper
from tests.plugin_objects import Concluded, manager_of

MakeRelay = Callable[..., Relay]


@pytest.fixture
def make_relay(lab: Laboratory) -> Iterator[MakeRelay]:
    """Return a function that makes a relay with the laboratory's settings and some changes."""
    undone: list[Callable[[], object]] = []

    def make(
        *arguments: Any, delivery: dict[str, Any] | None = None, hook: object = None, **keywords: Any
    ) -> Relay:
        manager = manager_of(**({"hook": hook} if hook is not None else {}))
        engine = Engine(lab.settings(delivery=delivery or {}), manager)
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


def test_a_handler_and_a_hook_get_the_same_receipt(make_relay: MakeRelay, lab: Laboratory) -> None:
    """Host, address, TLS version, cipher, certificate, what proved it, and that REQUIRETLS was given."""
    hook = Concluded(None)
    relay = make_relay(hook=hook)

    dane, sts = relay.deliver(message(), To=["b@dane-ee.test", "c@sts.test"], require_tls=True)

    [(_, told)] = hook.calls
    assert told == (dane, sts)
    for outcome, host in ((dane, "mx.dane-ee.test"), (sts, "mx.sts.test")):
        server = lab.destination(host)
        leaf = x509.load_pem_x509_certificates(server.certificate.chain_file.read_bytes())[0]
        assert outcome.receipt is not None
        assert (outcome.host, outcome.receipt.address, outcome.requiretls) == (host, server.address, True)
        assert outcome.receipt.tls_version == server.connections[0].tls_version == "TLSv1.3"
        assert outcome.receipt.cipher in {"TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256"}
        assert outcome.receipt.certificate_sha256 == leaf.fingerprint(hashes.SHA256()).hex()
    assert [dane.security, sts.security] == [Security.DANE, Security.STS_PKIX]
    assert dane.receipt is not None
    assert dane.receipt.tlsa is not None
    assert dane.receipt.tlsa.startswith("3 1 1 ")
    assert sts.receipt is not None
    assert (sts.receipt.tlsa, sts.receipt.sts_policy_id) == (None, "1")


@pytest.mark.requirement("3461-5.2.2-2")
@pytest.mark.parametrize("dsn", [False, True], ids=["a server without DSN", "a server with DSN"])
def test_a_success_notice_goes_back_under_requiretls_where_the_next_server_sends_none(
    make_relay: MakeRelay, handle: Callable[[Callable[[Any], object]], None], lab: Laboratory, dsn: bool
) -> None:
    """NOTIFY=SUCCESS, from the receiver's envelope to the sender's mailbox; nobody reports twice."""
    host = lab.destination("mx.dane-ee.test")
    host.script = Script(extensions=EXTENSIONS if dsn else ("PIPELINING", "8BITMIME"))
    wish = Recipient(MailAddress.parse("b@dane-ee.test"), notify=frozenset({Notify.SUCCESS}))
    tag = Tag(Requirement.REQUIRED, Origin.MAIL_PARAMETER)
    content = b"Subject: hello\r\n\r\nthe plan\r\n"
    one = Accepted(Message(MailAddress.parse("a@sender.test"), content, mail_parameter=True, tag=tag), wish)

    relay = make_relay()
    handle(relay.deliver)
    with handling_of(Handling(one, reports=True)):
        Router.deliver(mail.MailRequest("peer", "a@sender.test", "b@dane-ee.test", one.salmon_data()))

    [sent] = host.messages
    assert ("NOTIFY=SUCCESS" in sent.recipients[0].parameters) is dsn
    notices = lab.destination("mx.sender.test").messages
    assert len(notices) == (not dsn)
    for notice in notices:
        assert (notice.mail_from, notice.requiretls) == ("", True)
        assert b"Action: relayed" in notice.content
        assert b"the plan" not in notice.content


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
