"""Mailman's own tests of its runners, with the adapter on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

_LMTP = "mailman.runners.tests.test_lmtp.TestLMTP."
_STATUS = "compares the reply's text, which begins with an enhanced status code here"

# What does not pass, and why that is right.
EXCEPTIONS = {
    f"{_LMTP}test_alias_domain": "compares the whole header, which has a Received field here (RFC 5321)",
    f"{_LMTP}test_missing_subaddress": _STATUS,
    f"{_LMTP}test_nonexistent_domain": _STATUS,
    f"{_LMTP}test_nonexistent_mailing_list": _STATUS,
    "mailman.runners.tests.test_digest.TestI18nDigest.test_multilingual_digest": (
        "fails without the adapter too: the translation differs from the one it expects"
    ),
}


def test_mailmans_own_tests_of_its_runners_pass_but_for_those_listed(tmp_path: Path) -> None:
    """In a process of their own, on the ports that they have fixed."""
    command = [sys.executable, "-m", "tests.hooks.mailman.mailmans_own", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "hooks")])}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-4000:]

    results = json.loads(done.stdout)
    failing = {name: outcome for name, outcome in results.items() if outcome not in ("ok", "skipped")}
    unexpected = {name: outcome[-1000:] for name, outcome in failing.items() if name not in EXCEPTIONS}
    assert unexpected == {}
    assert set(failing) == set(EXCEPTIONS)
    assert len(results) > 100
