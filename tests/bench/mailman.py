"""A post to 10,000 members in 1,000 domains: the adapter beside Mailman's own bulk delivery.

`python -m tests.bench.mailman` measures and prints. Each run is a process of
its own, so that its memory is its own; what is timed is the delivery of one
message of 10 KB by the function named as `[mta] outgoing`. All go to the same
sink in another process, over TLS 1.3 with its certificate verified. Only the
adapter demands REQUIRETLS; straight to the MX hosts it also looks up and
verifies 1,000 domains by DNSSEC and DANE.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from requiretls_lab.domains import Domain, MailHost
from requiretls_lab.laboratory import Laboratory
from tests.bench.delivery import sink

MEMBERS, DOMAINS, ROUNDS = 10_000, 1_000, 3

# Mailman itself spends so long on each copy of its own that fewer have to do.
VERP_MEMBERS = 1_000

ROOT = Path(__file__).resolve().parents[2]
ZONE = Domain(
    "sink.test",
    (MailHost(tlsa=("3 1 1",), listening=False),),
    records=tuple(f"d{number} MX 10 mx" for number in range(DOMAINS)),
)


@dataclass(frozen=True, slots=True)
class Run:
    """One way to send the post: the lines for mailman.cfg, and changes of the adapter's settings.

    With *verp* every member gets a copy with a return path of its own.
    """

    name: str
    mta: str
    delivery: dict[str, object] | None
    verp: bool = False


def runs(address: str, port: int) -> Iterator[Run]:
    """Return what is compared."""
    stock = f"smtp_host: {address}\nsmtp_port: {port}\nsmtp_secure_mode: starttls\nsmtp_verify_hostname: no\n"
    for chunk in (10, 100):
        yield Run(f"Mailman's own, max_recipients {chunk}", f"{stock}max_recipients: {chunk}\n", None)
    ours = "outgoing: requiretls_mailman.deliver\nmax_recipients: 0\n"
    yield Run("adapter, smarthost", ours, {"smarthost": f"mx.sink.test:{port}"})
    yield Run("adapter, straight to 1,000 domains", ours, {})
    yield Run("VERP, 1,000 members: Mailman's own", stock, None, verp=True)
    yield Run(
        "VERP, 1,000 members: adapter, smarthost", ours, {"smarthost": f"mx.sink.test:{port}"}, verp=True
    )
    yield Run("VERP, 1,000 members: adapter, straight to 1,000 domains", ours, {}, verp=True)


def measured(lab: Laboratory, run: Run, folder: Path) -> dict[str, float]:
    """Return seconds, CPU seconds and MB of one run in a process of its own."""
    settings = lab.write_settings(folder / "requiretls.toml", delivery=run.delivery or {})
    plugin = (
        "[plugin.requiretls]\nclass: requiretls_mailman.RequireTLSPlugin\nenabled: yes\n"
        f"component_package: requiretls_mailman\nconfiguration: {settings}\n"
    )
    cfg = folder / "mailman.cfg"
    cfg.write_text(
        f"[mailman]\nsite_owner: site@sender.test\nlayout: bench\n[paths.bench]\nvar_dir: {folder}/var\n"
        f"[mta]\nincoming: mailman.mta.null.NullMTA\n{run.mta}" + (plugin if run.delivery is not None else "")
    )
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "hooks")]),
        "SSL_CERT_FILE": str(lab.authority.ca_file),
    }
    command = [sys.executable, "-m", "tests.bench.mailman", str(cfg), *(["verp"] if run.verp else [])]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def deliver_once(cfg: str, *, verp: bool) -> None:
    """Be the process that delivers: start Mailman, time the delivery, print the figures as JSON."""
    warnings.simplefilter("ignore")
    from mailman.app.lifecycle import create_list
    from mailman.config import config
    from mailman.core.initialize import initialize
    from mailman.database.transaction import transaction
    from mailman.interfaces.domain import IDomainManager
    from mailman.testing.helpers import specialized_message_from_string
    from mailman.utilities.modules import find_name
    from zope.component import getUtility

    initialize(cfg)
    with transaction():
        getUtility(IDomainManager).add("lists.test")
        mlist = create_list("team@lists.test")
    body = "".join(f"{number:076d}\n" for number in range(128))
    msg = specialized_message_from_string(
        f"From: a@sender.test\nTo: team@lists.test\nSubject: bench\nMessage-ID: <1@sender.test>\n\n{body}"
    )
    recipients = {
        f"m{number}@d{number % DOMAINS}.sink.test" for number in range(VERP_MEMBERS if verp else MEMBERS)
    }
    msgdata = {"recipients": recipients, "listid": mlist.list_id, "to_list": True, "verp": verp}
    msgdata["requiretls"] = "required"
    deliver = find_name(config.mta.outgoing)
    before, wall, cpu = _peak(), time.perf_counter(), time.process_time()
    deliver(mlist, msg, msgdata)
    seconds, busy = time.perf_counter() - wall, time.process_time() - cpu
    if config.switchboards["virgin"].files:  # a summary of members who did not get it
        raise RuntimeError("not everybody was reached")
    print(json.dumps({"seconds": seconds, "cpu": busy, "growth": _peak() - before, "peak": _peak()}))


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure and print."""
    console = Console()
    table = Table("10,000 members in 1,000 domains", "seconds", "CPU seconds", "MB more", "MB at most")
    with Laboratory([ZONE]) as lab, sink(lab) as place:
        for run in runs(*place):
            with tempfile.TemporaryDirectory() as folder:
                rounds = [measured(lab, run, _fresh(Path(folder), number)) for number in range(ROUNDS)]
            medians = [statistics.median(found[key] for found in rounds) for key in rounds[0]]
            table.add_row(run.name, *(f"{value:,.1f}" for value in medians))
    console.print(table)


def _fresh(folder: Path, number: int) -> Path:
    path = folder / str(number)
    path.mkdir()
    return path


if __name__ == "__main__":
    if sys.argv[1:]:
        deliver_once(sys.argv[1], verp="verp" in sys.argv)
    else:
        main()
