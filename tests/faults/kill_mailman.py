"""kill -9 for Mailman's runners under load: `python -m tests.faults.kill_mailman [ROUNDS]`, 20 by default.

Posts come in by LMTP all the time, and one runner after the other is killed at
a random moment; the master starts another. Every post that was acknowledged has
to reach the list's member. Exit status 1 if one does not.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import re
import smtplib
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from requiretls_lab.catalogue import CATALOGUE
from requiretls_lab.laboratory import Laboratory
from tests.faults.kill_nine import Kills, numbers_in
from tests.hooks.mailman.started import StartedMailman, until

LIST, MEMBER = "team@lists.test", "b@dane-ee.test"
KILLED = ("lmtp", "in", "pipeline", "out")
QUEUES = ("in", "pipeline", "out", "virgin", "shunt", "bad")


class Posts:
    """A member who posts all the time, and notes what was acknowledged."""

    def __init__(self, mailman: StartedMailman) -> None:
        self.acknowledged: set[int] = set()
        self._mailman = mailman
        self._numbers = itertools.count()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._post)

    def __enter__(self) -> Posts:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def another(self) -> Callable[[], bool]:
        """Return a function that tells whether one more post was acknowledged since."""
        before = len(self.acknowledged)
        return lambda: len(self.acknowledged) > before

    def _post(self) -> None:
        while not self._stop.wait(0.1):
            number = next(self._numbers)
            fields = {
                "From": MEMBER,
                "To": LIST,
                "Subject": "x",
                "Message-ID": f"<{number}@x.test>",
                "X-Number": number,
            }
            text = "".join(f"{name}: {value}\n" for name, value in fields.items()) + "\nx\n"
            with contextlib.suppress(OSError, smtplib.SMTPException):
                self._mailman.post(MEMBER, LIST, text, "REQUIRETLS")
                self.acknowledged.add(number)


def kill_runners(lab: Laboratory, folder: Path, rounds: int) -> Kills:
    """Kill runners of a started Mailman in turn, *rounds* times in all."""
    mailman = StartedMailman(folder, lab)
    text = mailman.cfg.read_text()
    mailman.cfg.write_text(
        re.sub(r"^\[runner\.\w+\]$", r"\g<0>\nmax_restarts: 1000", text, flags=re.MULTILINE)
    )
    members = folder / "members"
    members.write_text(f"{MEMBER}\n")
    mailman.command("create", "-d", "-o", "owner@sender.test", LIST)
    mailman.command("addmembers", "-W", str(members), "team.lists.test")
    with mailman.running():
        with Posts(mailman) as posts:
            for name in itertools.islice(itertools.cycle(KILLED), rounds):
                until(posts.another())
                time.sleep(random.uniform(0, 0.5))
                mailman.kill(name)
            until(posts.another())
        destination = lab.destination("mx.dane-ee.test")

        def arrived() -> list[int]:
            return [number for message in destination.messages for number in numbers_in(message.content)]

        with contextlib.suppress(AssertionError):
            until(lambda: posts.acknowledged <= set(arrived()), 120)
        lost = frozenset(posts.acknowledged - set(arrived()))
        if lost:
            print({queue: len(mailman.waiting(queue)) for queue in QUEUES}, mailman.log)
    twice = len(arrived()) - len(set(arrived()))
    return Kills("Mailman's runners", rounds, len(posts.acknowledged), lost, twice)


def main(rounds: int = 20) -> int:
    """Run it and print the figures; return the exit status."""
    with Laboratory(CATALOGUE) as lab, tempfile.TemporaryDirectory(prefix="requiretls-kill-") as folder:
        kills = kill_runners(lab, Path(folder), rounds)
    print(kills)
    return 1 if kills.lost else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
