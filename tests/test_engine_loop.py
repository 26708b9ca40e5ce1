"""The engine's one thread: started, stopped, forked, and alive while the interpreter ends."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from requiretls_lab.laboratory import Laboratory
from requiretls_lab.smtp_script import Act, Script
from requiretls_plugin.delivery.outcome import Disposition, Outcome
from requiretls_plugin.engine import Engine
from requiretls_plugin.errors import EngineStopped, SettingsError
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message, Recipient
from tests.plugin_objects import manager_of

PROJECT = Path(__file__).parents[1]
PLAIN = Message(MailAddress.parse("alice@sender.test"), b"Subject: hello\r\n\r\nhello\r\n")
BOB = Recipient.parse("bob@dane-ee.test")


@pytest.fixture
def engine(lab: Laboratory) -> Iterator[Engine]:
    """An engine that is not started, and is stopped in the end."""
    engine = Engine(lab.settings(), manager_of())
    yield engine
    engine.stop(timeout=1.0)


def deliver(engine: Engine) -> Outcome:
    [outcome] = engine.run(engine.deliver(PLAIN, [BOB]), timeout=10)
    return outcome


def started(engine: Engine) -> Engine:
    engine.start()
    return engine


@pytest.fixture
def new_threads() -> Callable[[], list[str]]:
    """Return the names of threads that there were not at the start: other engines may run in this process."""
    before = set(threading.enumerate())
    return lambda: [thread.name for thread in threading.enumerate() if thread not in before]


def test_threads_deliver_through_one_loop(lab: Laboratory, engine: Engine) -> None:
    """However many they are."""
    engine.start()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda _: deliver(engine), range(24)))
    assert {outcome.disposition for outcome in outcomes} == {Disposition.DELIVERED}
    assert len(lab.destination("mx.dane-ee.test").messages) == 24


@pytest.mark.parametrize("cache", ["memory:", "sqlite"])
def test_the_engine_has_one_thread_and_no_other(
    lab: Laboratory, tmp_path: Path, cache: str, new_threads: Callable[[], list[str]]
) -> None:
    """A process that is shutting down could not start another."""
    url = cache if cache == "memory:" else f"sqlite://{tmp_path}/cache.sqlite"
    engine = Engine(lab.settings(cache={"url": url}), manager_of())
    engine.start()
    try:
        deliver(engine)
        engine.run(engine.deliver(PLAIN, [Recipient.parse("bob@sts.test")]), timeout=10)
        assert new_threads() == ["requiretls"]
    finally:
        engine.stop()
    assert new_threads() == []


def test_starting_twice_is_starting_once(engine: Engine, new_threads: Callable[[], list[str]]) -> None:
    """Also by several threads at once: nobody goes on before it runs."""
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        loops = set(pool.map(lambda _: started(engine).loop, range(8)))
    assert len(loops) == 1
    assert new_threads() == ["requiretls"]


def test_before_the_start_and_after_the_end_there_is_no_loop(engine: Engine) -> None:
    """Whoever asks is told, and nothing is left unawaited."""
    for _ in range(2):
        with pytest.raises(EngineStopped):
            deliver(engine)
        with pytest.raises(EngineStopped):
            _ = engine.loop
        assert deliver(started(engine)).disposition is Disposition.DELIVERED
        engine.stop()


def test_a_start_that_fails_leaves_nothing_behind(
    lab: Laboratory, new_threads: Callable[[], list[str]]
) -> None:
    """And can be tried again."""

    class Hopeless(Engine):
        async def _open(self) -> None:
            raise SettingsError("requiretls.toml", ["no resolver"])

    engine = Hopeless(lab.settings(), manager_of())
    for _ in range(2):
        with pytest.raises(SettingsError, match="no resolver"):
            engine.start()
        assert new_threads() == []


def test_what_takes_too_long_is_cancelled(engine: Engine) -> None:
    """The caller goes on, and so does the engine."""
    ended = threading.Event()

    async def slow() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    engine.start()
    with pytest.raises(TimeoutError):
        engine.run(slow(), timeout=0.05)
    assert ended.wait(5)
    assert deliver(engine).disposition is Disposition.DELIVERED


def under_way(engine: Engine, lab: Laboratory) -> concurrent.futures.Future[Outcome]:
    """Begin a delivery in another thread; return when the server has been connected to."""
    future: concurrent.futures.Future[Outcome] = concurrent.futures.Future()

    def work() -> None:
        try:
            future.set_result(deliver(engine))
        except (EngineStopped, TimeoutError) as error:
            future.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    deadline = time.monotonic() + 5
    while not lab.destination("mx.dane-ee.test").connections and time.monotonic() < deadline:
        time.sleep(0.005)
    return future


def test_stopping_waits_for_deliveries_under_way(lab: Laboratory, engine: Engine) -> None:
    """They end as they would have."""
    lab.destination("mx.dane-ee.test").script = Script(delay=0.05)
    engine.start()
    future = under_way(engine, lab)
    engine.stop(timeout=5)
    assert future.result(0.5).disposition is Disposition.DELIVERED


def test_stopping_cancels_what_does_not_end(
    lab: Laboratory, engine: Engine, new_threads: Callable[[], list[str]]
) -> None:
    """Nobody waits for ever for an engine that is gone."""
    lab.destination("mx.dane-ee.test").script = Script(replies={"EHLO": Act.SILENCE})
    engine.start()
    future = under_way(engine, lab)
    before = time.monotonic()
    engine.stop(timeout=0.2)
    with pytest.raises(EngineStopped):
        future.result(2)
    assert time.monotonic() - before < 2
    assert "requiretls" not in new_threads()
    lab.settle()


# In processes of their own

_PREAMBLE = """
import os, sys, threading
from pathlib import Path
from requiretls_plugin.engine import Engine
from requiretls_plugin.errors import EngineStopped
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message, Recipient
from requiretls_plugin.settings import Settings

engine = Engine(Settings.load(sys.argv[1]))
sender = MailAddress.parse("alice@sender.test")
message = Message(sender, b"Subject: hello\\r\\n\\r\\nhello\\r\\n", mail_parameter=True)

def deliver(*recipients):
    async def work():
        tagged = await engine.receive(message)
        return await engine.deliver(tagged, [Recipient.parse(each) for each in recipients])
    outcomes = engine.run(work(), timeout=20)
    return " ".join(outcome.reply.status for outcome in outcomes)
"""


def run_process(lab: Laboratory, folder: Path, code: str) -> str:
    """Run *code* after the preamble in another process and return what it printed."""
    config = lab.write_settings(folder / "requiretls.toml")
    (folder / "program.py").write_text(_PREAMBLE + textwrap.dedent(code))
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-W", "ignore::DeprecationWarning", str(folder / "program.py"), str(config)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_after_a_fork_the_child_starts_again(lab: Laboratory, tmp_path: Path) -> None:
    """It is told so, it can, and the parent goes on."""
    printed = run_process(
        lab,
        tmp_path,
        """
        engine.start()
        print("parent", deliver("a@dane-ee.test"), flush=True)
        child = os.fork()
        if child == 0:
            try:
                deliver("b@dane-ee.test")
            except EngineStopped as error:
                print("child", error, flush=True)
            engine.stop()
            engine.start()
            print("child", deliver("b@dane-ee.test"), flush=True)
            engine.stop()
            os._exit(0)
        os.waitpid(child, 0)
        print("parent", deliver("c@dane-ee.test"), flush=True)
        engine.stop()
        """,
    )
    assert printed.splitlines() == [
        "parent 2.0.0",
        "child the engine does not run in this process: call start() after a fork",
        "child 2.0.0",
        "parent 2.0.0",
    ]


def test_an_engine_that_another_thread_was_using_can_be_started_after_a_fork(
    lab: Laboratory, tmp_path: Path
) -> None:
    """Whoever held its lock in the parent does not exist in the child."""
    printed = run_process(
        lab,
        tmp_path,
        """
        engine.start()
        submitting = threading.Thread(target=engine._loop._changing.acquire)  # as one does for a moment
        submitting.start()
        submitting.join()
        child = os.fork()
        if child == 0:
            engine.start()
            print("child", deliver("b@dane-ee.test"), flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        """,
    )
    assert printed == "child 2.0.0\n"


def test_attack_a_signal_in_the_moment_of_submitting_does_not_end_in_waiting(
    lab: Laboratory, tmp_path: Path
) -> None:
    """The handler that stops the engine runs in the thread that was interrupted, and needs the same lock."""
    printed = run_process(
        lab,
        tmp_path,
        """
        import signal
        signal.signal(signal.SIGTERM, lambda number, frame: engine.stop())
        engine.start()
        with engine._loop._changing:
            os.kill(os.getpid(), signal.SIGTERM)
        print("stopped", flush=True)
        """,
    )
    assert printed == "stopped\n"


def test_mail_is_delivered_after_main_has_returned(lab: Laboratory, tmp_path: Path) -> None:
    """Salmon's main returns at once and its receivers live on, where no executor and no getaddrinfo works."""
    printed = run_process(
        lab,
        tmp_path,
        """
        engine.start()

        def handle():
            threading.main_thread().join()
            print(deliver("a@dane-ee.test", "b@sts.test", "c@no-keyword.test", "d@implicit.test"), flush=True)

        threading.Thread(target=handle).start()
        """,
    )
    assert printed == "2.0.0 2.0.0 5.7.30 2.0.0\n"
