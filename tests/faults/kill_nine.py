"""kill -9 at random moments, under load: `python -m tests.faults.kill_nine [ROUNDS]`, 200 by default.

A receiver that puts messages into a queue, a queue receiver that delivers what
is in it, and a forwarder that has no queue but a cache are killed in turn. What
was acknowledged has to be in a queue or delivered afterwards. Exit status 1 if
anything is missing.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import re
import smtplib
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from salmon import queue

from requiretls_lab.catalogue import CATALOGUE
from requiretls_lab.laboratory import Laboratory
from tests.hooks.salmon.apps import FORWARDER, RunningApp, accepts, copy_of, free_port, running, wait_until

CLIENTS = 3
WORKERS = 4
DOMAINS = ("dane-ee.test", "sts.test")

# A moment after something countable happened is a random one.
MOMENT = 0.05

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


@dataclass(frozen=True, slots=True)
class Kills:
    """What so many kills did: how many messages were acknowledged, which are lost, how many came twice."""

    what: str
    kills: int
    acknowledged: int
    lost: frozenset[int]
    twice: int

    def __str__(self) -> str:
        """Return one line."""
        return (
            f"{self.what}: {self.kills} kills, {self.acknowledged:,} acknowledged, {len(self.lost)} lost,"
            f" {self.twice} arrived twice"
        )


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
    """Clients that send numbered messages, each once, and note which were acknowledged."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.acknowledged: set[int] = set()
        self._numbers = itertools.count()
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
            if not accepts(self.port):
                self._stop.wait(0.05)
                continue
            with contextlib.suppress(OSError), smtplib.SMTP("127.0.0.1", self.port, timeout=10) as client:
                for _ in range(10):
                    number = next(self._numbers)
                    to = f"b@{DOMAINS[number % len(DOMAINS)]}"
                    client.sendmail("a@sender.test", to, f"X-Number: {number}\n\nx\n")
                    self.acknowledged.add(number)


def kill_when(app: RunningApp, true: Callable[[], bool]) -> None:
    """Wait for something to become true, and kill the app at some moment after that."""
    wait_until(true, app.folder)
    time.sleep(random.uniform(0, MOMENT))
    app.process.kill()
    app.process.wait()


def numbers_in(content: bytes) -> list[int]:
    """Return the number of a message."""
    return [int(number) for number in re.findall(rb"^X-Number: (\d+)", content, re.MULTILINE)]


def _arrived(lab: Laboratory) -> list[int]:
    hosts = (lab.destination(f"mx.{domain}") for domain in DOMAINS)
    return [number for host in hosts for message in host.messages for number in numbers_in(message.content)]


def _twice(numbers: list[int]) -> int:
    return len(numbers) - len(set(numbers))


def kill_receivers(lab: Laboratory, folder: Path, rounds: int, *, each: int = 30) -> tuple[Kills, set[int]]:
    """Kill a receiver that puts messages into the queue `queue` below *folder*.

    Each time it has acknowledged *each* messages at the most. Also returns the
    numbers of those that are in the queue afterwards.
    """
    settings = lab.write_settings(folder / "receiving.toml")
    app, port = storing_app(folder), free_port()
    (folder / "queue").symlink_to(app / "run" / "queue")
    with Load(port) as load:
        for _ in range(rounds):
            with running(app, port, settings=settings) as process:
                kill_when(process, load.acknowledged_another(random.randint(3, each)))
    store = queue.Queue(str(app / "run" / "queue"))
    queued = [number for key in store.mbox.iterkeys() for number in numbers_in(store.mbox.get_bytes(key))]
    lost = frozenset(load.acknowledged - set(queued))
    return Kills("receivers", rounds, len(load.acknowledged), lost, _twice(queued)), set(queued)


def kill_queue_receivers(lab: Laboratory, folder: Path, rounds: int, queued: set[int]) -> Kills:
    """Kill a queue receiver that delivers the messages *queued* in `queue` below *folder*.

    The last one is let live until the queue is empty. A message counts as lost
    if it never arrives.
    """
    settings = lab.write_settings(folder / "delivering.toml")
    store = queue.Queue(str(folder / "queue"))
    app = delivering_app(folder, (folder / "queue").resolve())
    kills = 0
    while kills < rounds and len(store):
        some = random.randint(1, max(1, 2 * len(store) // (rounds - kills + 1)))
        with running(app, 0, settings=settings, wait=False) as process:
            kill_when(process, _shorter(store, by=some))
        kills += 1
    with running(app, 0, settings=settings, wait=False) as process:
        wait_until(lambda: not len(store), app, seconds=120)
        process.end()
    arrived = _arrived(lab)
    return Kills("queue receivers", kills, len(queued), frozenset(queued - set(arrived)), _twice(arrived))


def _shorter(store: queue.Queue, *, by: int) -> Callable[[], bool]:
    """Return a function that tells whether *by* messages have left the queue since."""
    goal = max(len(store) - by, 0)
    return lambda: len(store) <= goal


def kill_forwarders(lab: Laboratory, folder: Path, rounds: int, *, each: int = 30) -> Kills:
    """Kill a forwarder that acknowledges what its next hop has; its cache has to be sound each time."""
    cache = folder / "cache.sqlite"
    settings = lab.write_settings(folder / "forwarding.toml", cache={"url": f"sqlite://{cache}"})
    app, port = copy_of(FORWARDER, folder), free_port()
    with Load(port) as load:
        for _ in range(rounds):
            with running(app, port, settings=settings) as process:
                kill_when(process, load.acknowledged_another(random.randint(3, each)))
            _examine(cache)
    arrived = _arrived(lab)
    lost = frozenset(load.acknowledged - set(arrived))
    return Kills("forwarders", rounds, len(load.acknowledged), lost, _twice(arrived))


def _examine(cache: Path) -> None:
    """Raise AssertionError if the cache is damaged, or has forgotten the policy that was used."""
    with contextlib.closing(sqlite3.connect(cache)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("SELECT domain FROM policy").fetchall() == [("sts.test",)]


def campaign(lab: Laboratory, folder: Path, rounds: int, *, each: int = 30) -> Iterator[Kills]:
    """Kill each of the three a third of *rounds* times."""
    third = rounds // 3
    received, queued = kill_receivers(lab, folder, rounds - 2 * third, each=each)
    yield received
    yield kill_queue_receivers(lab, folder, third, queued)
    lab.reset()
    yield kill_forwarders(lab, folder, third, each=each)


def main(rounds: int = 200) -> int:
    """Run it and print the figures; return the exit status."""
    lost = 0
    with Laboratory(CATALOGUE) as lab, tempfile.TemporaryDirectory(prefix="requiretls-kill-") as folder:
        for kills in campaign(lab, Path(folder), rounds):
            print(kills, flush=True)
            lost += len(kills.lost)
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
