"""`QueueReceiver` with Salmon's signature: keeps a message in its queue until it is done with."""

from __future__ import annotations

import functools
import logging
import os
import threading
import time
from pathlib import Path
from typing import Any

from salmon import mail, queue, routing
from salmon.server import SMTPError, undeliverable_message

from requiretls_aiosmtpd import revive_loggers
from requiretls_plugin.delivery.outcome import Disposition, Outcome
from requiretls_plugin.reason import Reason
from requiretls_plugin.receiving.status_lines import reply_of
from requiretls_plugin.reply import Reply
from requiretls_salmon.delivery_error import DeliveryError
from requiretls_salmon.failures import bounce
from requiretls_salmon.hand_over import hand_over
from requiretls_salmon.handling import Handling, current_handling, handling_of
from requiretls_salmon.kept import Accepted, stored_or_none
from requiretls_salmon.preparation import prepare_salmon
from requiretls_salmon.queue_files import HeldFile, due_files, hold
from requiretls_salmon.shared_engine import shared_engine
from requiretls_salmon.signals import forget, stop_on_signals
from requiretls_salmon.workers import Workers

DAY = 86_400.0
STOP_SECONDS = 30.0


class QueueReceiver:
    """Hand the messages of a queue to the Router; takes the place of `salmon.server.QueueReceiver`.

    A message leaves the queue when handlers took it, or when its sender has
    been told that they could not. What is deferred is tried again later, at
    growing intervals. A process that dies leaves everything it had begun in the
    queue, so a message may be handled twice, and is never lost.
    """

    def __init__(
        self,
        queue_dir: str,
        sleep: float = 10,
        size_limit: int = 0,
        oversize_dir: str | None = None,
        workers: int = 10,
        *,
        shortest_wait: float = 300,
        longest_wait: float = 4000,
        lifetime: float = 5 * DAY,
    ) -> None:
        """Open the queue; raises SettingsError and OSError.

        The queue is looked at every *sleep* seconds. A deferred message waits
        as long again as it has been there, between *shortest_wait* and
        *longest_wait* seconds; after *lifetime* seconds it bounces, and after
        twice as many it is dropped, bounced or not.
        """
        self.engine = shared_engine()
        self.queue = queue.Queue(queue_dir, pop_limit=size_limit, oversize_dir=oversize_dir)
        self.sleep = sleep
        self.shortest_wait, self.longest_wait, self.lifetime = shortest_wait, longest_wait, lifetime
        self._workers = Workers(workers, type(self).__name__)
        self._free = threading.Semaphore(workers)
        self._held: set[Path] = set()
        self._stopping = threading.Event()
        prepare_salmon()

    def start(self, one_shot: bool = False) -> None:
        """Handle messages until `stop`; with *one_shot*, until none is due."""
        revive_loggers()
        self.engine.start()
        self._workers.start()
        stop_on_signals(self.stop)
        logging.info("Queue receiver started on queue dir %s", self.queue.dir)
        while not self._stopping.is_set():
            if self._hand_out():
                continue
            if one_shot and not self._held:
                break
            self._stopping.wait(0.05 if one_shot or self._held else self.sleep)
        forget(self.stop)
        self._workers.finish()
        self._workers.join(STOP_SECONDS)

    def stop(self, timeout: float = STOP_SECONDS) -> None:
        """Begin nothing more, and wait *timeout* seconds at the most for what was begun."""
        self._stopping.set()
        self._workers.finish()
        self._workers.join(timeout)

    def _hand_out(self) -> bool:
        """Give every message that is due to a worker; return whether there was one."""
        some = False
        for path in due_files(self.queue.dir, self.longest_wait):
            if path in self._held or self._too_large(path):
                continue
            self._free.acquire()
            held = None if self._stopping.is_set() else hold(path, self.longest_wait)
            if held is None:
                self._free.release()
                continue
            some = True
            self._held.add(path)
            self._workers.submit(functools.partial(self._work_on, held))
        return some

    def _too_large(self, path: Path) -> bool:
        """Move a message that is over the size limit out of the way, as Salmon does."""
        try:
            if not self.queue.pop_limit or path.stat().st_size <= self.queue.pop_limit:
                return False
            if self.queue.oversize_dir:
                logging.info("%s is over the size limit, moved to %s", path.name, self.queue.oversize_dir)
                path.rename(os.path.join(self.queue.oversize_dir, path.name))
            else:
                logging.warning("%s is over the size limit, DELETED: set oversize_dir", path.name)
                path.unlink()
        except FileNotFoundError:
            pass  # another process that shares the queue was faster
        return True

    def _work_on(self, held: HeldFile) -> None:
        try:
            self._handle(held)
        finally:
            held.release()
            self._held.discard(held.path)
            self._free.release()

    def _handle(self, held: HeldFile) -> None:
        """Handle one message and remove it, or let it wait; whatever fails, it stays."""
        data = held.read()
        accepted = stored_or_none(data)
        done = False
        try:
            with handling_of(Handling(accepted, reports=True)) as handling:
                self.process_message(self._request(data, accepted))
            refusal = handling.refusal
            done = refusal is None or self._concluded(refusal, held, data, accepted)
        finally:
            if done:
                held.remove()
            else:
                held.postpone(time.time() + self._wait(_age(held, accepted)))

    def _request(self, data: bytes, accepted: Accepted | None) -> Any:
        """Return the MailRequest for *data*, with the envelope it arrived with if that is known."""
        if accepted is None:
            return mail.MailRequest(self.queue.dir, None, None, data)
        sender = str(accepted.message.return_path or "")
        return mail.MailRequest(self.queue.dir, sender, str(accepted.recipient), data)

    def process_message(self, msg: Any) -> None:
        """Let the Router handle *msg*. Apps may override it, and tests call it."""
        error = hand_over(msg)
        handling = current_handling()
        if handling is not None:
            handling.refusal = error
        elif error is not None:
            undeliverable_message(msg.Data, str(error))

    def _concluded(self, refusal: SMTPError, held: HeldFile, data: bytes, accepted: Accepted | None) -> bool:
        """Return whether a message that was not taken is done with all the same."""
        expired = _age(held, accepted) > self.lifetime
        if _reply(refusal).code < 500 and not expired:
            return False
        if accepted is None:
            undeliverable_message(data, str(refusal))
            return routing.Router.UNDELIVERABLE_QUEUE is not None
        failed = _failures(refusal, accepted, expired=expired)
        told = bounce(self.engine, accepted.message, failed, accepted.arrived)
        # The notice has as much time as the message had: the way back may be closed for a while, too.
        return told or _age(held, accepted) > 2 * self.lifetime

    def _wait(self, age: float) -> float:
        return min(max(age, self.shortest_wait), self.longest_wait)


def _age(held: HeldFile, accepted: Accepted | None) -> float:
    return time.time() - (accepted.arrived if accepted else held.queued)


def _reply(refusal: SMTPError) -> Reply:
    return refusal.reply if isinstance(refusal, DeliveryError) else reply_of(str(refusal))


def _failures(refusal: SMTPError, accepted: Accepted, *, expired: bool) -> list[Outcome]:
    """Return what to report to the sender of a message that handlers did not take."""
    known = refusal.outcomes if isinstance(refusal, DeliveryError) else ()
    reply = _reply(refusal)
    if not expired and known:
        return [outcome for outcome in known if outcome.disposition is Disposition.FAILED]
    if expired:
        reply = Reply(550, "5.4.7", f"Delivery time expired; the last answer was: {reply}")
    return [Outcome(accepted.recipient, Disposition.FAILED, reply, reason=Reason.REJECTED)]
