"""Salmon has one Router for a process: every test gets it empty and leaves it empty."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from salmon import queue
from salmon.routing import Router, nolocking, route, stateless

from requiretls_plugin.settings import Settings
from requiretls_salmon import LMTPReceiver, SMTPReceiver
from tests.hooks.aiosmtpd.serving import write_certificate
from tests.hooks.salmon.post_office import PostOffice, open_post_office

Handler = Callable[[Any], object]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a certificate, so that receivers offer STARTTLS."""
    certificate, key = write_certificate(tmp_path)
    table = {
        "hostname": "relay.test",
        "receive": {"certificate": str(certificate), "private_key": str(key)},
    }
    return Settings.from_table(table, source="test", folder=tmp_path)


@pytest.fixture
def office(settings: Settings) -> Iterator[PostOffice]:
    """Where relays send to."""
    with open_post_office(settings) as office:
        yield office


@pytest.fixture(autouse=True)
def _empty_router() -> Iterator[None]:
    _reset()
    yield
    _reset()


def _reset() -> None:
    Router.clear_routes()
    Router.clear_states()
    Router.HANDLERS.clear()
    Router.RELOAD = False
    Router.LOG_EXCEPTIONS = True
    Router.UNDELIVERABLE_QUEUE = None


@pytest.fixture
def undeliverable(tmp_path: Path) -> queue.Queue:
    """The app's undeliverable queue."""
    Router.UNDELIVERABLE_QUEUE = queue.Queue(str(tmp_path / "undeliverable"))
    return Router.UNDELIVERABLE_QUEUE


@pytest.fixture
def handle() -> Callable[[Handler], None]:
    """Return a function that lets a handler have every message."""

    def routed(handler: Handler) -> None:
        def everything(message: Any, user: str | None = None, host: str | None = None) -> None:
            handler(message)

        route("(user)@(host)", user=".+", host=".+")(stateless(nolocking(everything)))

    return routed


@pytest.fixture
def smtp_port(office: PostOffice) -> Iterator[int]:
    """The port of a running SMTPReceiver."""
    receiver = SMTPReceiver("127.0.0.1", 0, workers=2)
    yield from _running(receiver)


@pytest.fixture
def lmtp_port(office: PostOffice) -> Iterator[int]:
    """The port of a running LMTPReceiver."""
    receiver = LMTPReceiver("127.0.0.1", 0, workers=2)
    yield from _running(receiver)


def _running(receiver: SMTPReceiver | LMTPReceiver) -> Iterator[int]:
    listener: socket.socket = receiver.listener
    port = listener.getsockname()[1]
    # Not from the main thread, whose signal handlers are pytest's.
    starter = threading.Thread(target=receiver.start)
    starter.start()
    starter.join()
    yield port
    receiver.stop(timeout=2)
