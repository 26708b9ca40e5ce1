"""From sessions to the report in the recipient domain's mailbox, with tlsrpt-reporter's own programs."""

from __future__ import annotations

import email
import email.message
import email.policy
import gzip
import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from requiretls_lab.laboratory import Laboratory
from requiretls_plugin.delivery.outcome import Disposition
from requiretls_plugin.requirement import Requirement
from tests.observe.sending import message, send
from tests.observe.tlsrpt_reporter import Reporter, wait_for_report

_PAGE = Path(__file__).parents[2] / "docs" / "tls_reports.md"


def _documented_script(file: Path) -> Path:
    script = re.search(r"```sh\n(.*?)```", _PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert script is not None
    file.write_text(textwrap.dedent(script[1].replace("\n   ", "\n").removeprefix("   ")), encoding="utf-8")
    file.chmod(0o755)
    return file


def test_the_documented_upload_is_tlsrpt_reportds_own_but_for_fail() -> None:
    """What that does without: any answer counts as taken (RFC 8460 section 5.4)."""
    program = "from tlsrpt_reporter.tlsrpt import options_reportd as o; print(o['http_script']['default'])"
    own = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    documented = re.search(r"^   http_script = (.*)$", _PAGE.read_text(encoding="utf-8"), re.MULTILINE)

    assert documented is not None
    assert documented[1] == own.strip().replace("curl --silent", "curl --silent --fail")


def _report_in(content: bytes) -> tuple[email.message.EmailMessage, dict[str, Any]]:
    parsed = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(parsed, email.message.EmailMessage)
    [attachment] = parsed.iter_attachments()
    return parsed, json.loads(gzip.decompress(attachment.get_content()))


@pytest.mark.requirement("8460-3-14", "8460-3-15", "8460-5.3.1-1", "8460-4-2", "8460-4.4-4")
def test_the_domain_gets_a_report_of_what_happened_in_spite_of_its_own_broken_tlsa(
    reporting: Laboratory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Collector, fetcher and reporter are real; the report is mailed by the script of docs/tls_reports.md."""
    folder = tmp_path / "tlsrpt"
    folder.mkdir()
    own = reporting.write_settings(tmp_path / "requiretls.toml")
    monkeypatch.setenv("REQUIRETLS_CONFIG", str(own))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    reporter = Reporter(folder, str(_documented_script(tmp_path / "mail-report")))
    settings = reporting.settings(reports={"tlsrpt_socket": str(reporter.socket)})

    with reporter.collecting() as collectd:
        good = send(settings, "testing.test", message(Requirement.UNSTATED))[0]
        bad = send(settings, "testing-name.test", message(Requirement.UNSTATED))[0]
        reporter.end_of_day(collectd, sessions=2)
        with reporter.reporting():
            mailbox = reporting.destination("mx.reports.test")
            wait_for_report(lambda: len(mailbox.messages) == 2)

    assert {outcome.disposition for outcome in good + bad} == {Disposition.DELIVERED}
    assert reporter.invalid() == []
    found = [_report_in(each.content) for each in mailbox.messages]
    reports = {mail["TLS-Report-Domain"]: (mail, report) for mail, report in found}
    mail, report = reports["testing-name.test"]
    assert mail["TLS-Required"] == "No"
    [entry] = report["policies"]
    assert entry["policy"]["policy-type"] == "sts"
    assert entry["policy"]["mx-host"] == ["mx.testing-name.test"]
    assert entry["summary"] == {"total-successful-session-count": 0, "total-failure-session-count": 1}
    [failure] = entry["failure-details"]
    assert failure["result-type"] == "certificate-host-mismatch"
    assert failure["receiving-mx-hostname"] == "mx.testing-name.test"
    [entry] = reports["testing.test"][1]["policies"]
    assert entry["summary"] == {"total-successful-session-count": 1, "total-failure-session-count": 0}
    assert not any(each.requiretls for each in mailbox.messages)
