"""Nothing is imported while mail is delivered: a server may have given up its view of the files by then."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from requiretls_lab.laboratory import Laboratory

PROGRAM = """
import asyncio, sys
from requiretls_plugin.bounce import notices_for
from requiretls_plugin.engine import Engine
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message, Recipient
from requiretls_plugin.settings import Settings
from datetime import datetime, UTC

DOMAINS = ["dane-ee", "dane-ta", "dnssec-pkix", "sts", "implicit", "null-mx", "no-such", "bogus"]

async def main():
    settings = Settings.load(sys.argv[1])
    async with Engine(settings) as engine:
        before = set(sys.modules)
        for required in (True, False):
            content = b"Subject: x\\r\\n\\r\\nhello\\r\\n"
            message = await engine.receive(Message(MailAddress.parse("a@sender.test"), content, required))
            recipients = [Recipient.parse(f"b@{name}.test") for name in DOMAINS]
            recipients.append(Recipient.parse("b@b\u00fccher.test"))
            outcomes = await engine.deliver(message, recipients)
            assert any(outcome.requiretls for outcome in outcomes) is required
            notices_for(message, outcomes, hostname=settings.hostname, now=datetime.now(UTC))
        print(*sorted(set(sys.modules) - before))

asyncio.run(main())
"""


def test_delivering_imports_nothing(lab: Laboratory, tmp_path: Path) -> None:
    """Every module that a lookup, a session or a notice needs is there when the engine runs."""
    settings = lab.write_settings(tmp_path / "requiretls.toml")

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(settings)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.stdout.split(), done.returncode) == ([], 0), done.stderr
