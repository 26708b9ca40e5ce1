"""kill -9 at random moments, under load: what was acknowledged is delivered or still in a queue."""

from __future__ import annotations

import contextlib
import random
import re
import smtplib
import threading
from collections.abc import Callable
from pathlib import Path

from salmon import queue

from requiretls_lab.laboratory import Laboratory
from tests.hooks.salmon.apps import FORWARDER, RunningApp, accepts, copy_of, free_port, running, wait_until

CLIENTS = 3
KILLS = 3
WORKERS = 4

STORE_HANDLER = """
from salmon import queue
from salmon.routing import nolocking, route, stateless

store = queue.Queue("run/queue")

@route("(user)@(host)", user=".+")
@stateless
@nolocking
def STORE(message, user=None, host=None):
    store.push(message)
"""

QUEUE_RECEIVER = f"""
settings.receiver = QueueReceiver("run/queue", sleep=0.05, workers={WORKERS})
Router.defaults(**settings.router_defaults)
Router.load(settings.handlers)
Router.RELOAD = False
"""


def storing_app(folder: Path) -> Path:
    """Return the folder of an app that puts what it receives into run/queue."""
    app = copy_of(FORWARDER, folder / "storing")
    (app / "app" / "handlers" / "forward.py").write_text(STORE_HANDLER)
    return app


def delivering_app(folder: Path, store: Path) -> Path:
    """Return the folder of an app that delivers what is in the queue *store*."""
    app = copy_of(FORWARDER, folder / "delivering")
    boot = app / "config" / "boot.py"
    kept = boot.read_text().partition("_receiver = ")[0].replace("SMTPReceiver", "QueueReceiver")
    boot.write_text(kept + QUEUE_RECEIVER)
    (app / "run" / "queue").symlink_to(store)
    handler = app / "app" / "handlers" / "forward.py"
    handler.write_text(
        handler.read_text().replace(
            "    relay.deliver", "    import time; time.sleep(0.02)\n    relay.deliver"
        )
    )
    return app


class Load:
    """Clients that send numbered messages and note which were acknowledged."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.acknowledged: set[int] = set()
        self._numbers = iter(range(1_000_000))
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send) for _ in range(CLIENTS)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def acknowledged_another(self, count: int) -> Callable[[], bool]:
        """Return a function that tells whether *count* more messages have been acknowledged since."""
        goal = len(self.acknowledged) + count
        return lambda: len(self.acknowledged) >= goal

    def _send(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(OSError), smtplib.SMTP("127.0.0.1", self.port, timeout=10) as client:
                for _ in range(10):
                    number = next(self._numbers)
                    client.sendmail("a@sender.test", "b@dane-ee.test", f"X-Number: {number}\n\nx\n")
                    self.acknowledged.add(number)


def shorter(store: queue.Queue, *, by: int) -> Callable[[], bool]:
    """Return a function that tells whether *by* messages have left the queue since."""
    goal = max(len(store) - by, 0)
    return lambda: len(store) <= goal


def kill_when(app: RunningApp, true: Callable[[], bool]) -> None:
    """Wait for something to become true, and kill the app at once."""
    wait_until(true, app.folder)
    app.process.kill()


def numbers_in(content: bytes) -> list[int]:
    """Return the number of a message."""
    return [int(number) for number in re.findall(rb"^X-Number: (\d+)", content, re.MULTILINE)]


def test_attack_kill_9_at_random_moments_loses_no_acknowledged_message(
    lab: Laboratory, tmp_path: Path
) -> None:
    """First the receiver is killed again and again, then the queue receiver; some messages arrive twice."""
    settings = lab.write_settings(tmp_path / "requiretls.toml")
    app = storing_app(tmp_path)
    store = queue.Queue(str(app / "run" / "queue"))
    port = free_port()
    with Load(port) as load:
        for _ in range(KILLS):
            with running(app, port, settings=settings) as process:
                kill_when(process, load.acknowledged_another(random.randrange(5, 30)))
            wait_until(lambda: not accepts(port), app)

    queued = {number for key in store.mbox.iterkeys() for number in numbers_in(store.mbox.get_bytes(key))}
    assert load.acknowledged <= queued

    delivering = delivering_app(tmp_path, app / "run" / "queue")
    kills = 0
    while len(store):
        with running(delivering, 0, settings=settings, wait=False) as process:
            kill_when(process, shorter(store, by=random.randrange(3, 12)))
            kills += 1

    arrived = [
        number
        for message in lab.destination("mx.dane-ee.test").messages
        for number in numbers_in(message.content)
    ]
    twice = len(arrived) - len(set(arrived))
    print(f"{len(load.acknowledged)} acknowledged, {KILLS} + {kills} kills, {twice} arrived twice")
    assert load.acknowledged <= set(arrived)
    assert twice <= kills * WORKERS
