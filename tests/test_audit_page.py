"""The audit's HTML page, looked at in a browser without a window."""

from __future__ import annotations

import http.server
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path

import pytest

from requiretls_plugin.audit import Audit, DomainReport
from requiretls_plugin.audit_page import audit_page
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.policy.evidence import NameProof
from requiretls_plugin.preflight import HostReadiness, Readiness, Verdict
from requiretls_plugin.reason import Reason

NOW = 1_795_000_000.0

# A page has to be looked at with what its reader has; Debian: apt-get install chromium.
BROWSER = shutil.which("chromium") or "chromium"


def report(domain: str, subscribers: int, verdict: Verdict, why: str = "") -> DomainReport:
    """Return a report about a domain with one host."""
    reason = None if verdict is Verdict.READY else Reason.NAME_NOT_PROVEN
    host = HostReadiness("mx.x.test", 10, NameProof.NONE, "none", True, False, verdict, reason, why)
    return DomainReport(Readiness(DomainName(domain), verdict, reason, (host,)), subscribers, NOW)


def page(*reports: DomainReport, unusable: tuple[str, ...] = ()) -> str:
    """Return the page about *reports*."""
    return audit_page(Audit(reports, unusable), title="team@lists.example", now=NOW)


def rendered(text: str, folder: Path) -> str:
    """Return the document as the browser has it once all scripts ran."""
    file = folder / "page.html"
    file.write_text(text, encoding="utf-8")
    command = [
        BROWSER,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        f"--user-data-dir={folder / 'profile'}",
        "--dump-dom",
        file.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


class Cells(HTMLParser):
    """Collects the rows of the table's body."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._in_cell = False
        self.feed(document)

    def handle_starttag(self, tag: str, attributes: object) -> None:
        """Begin a row or a cell."""
        if tag == "tr":
            self.rows.append([])
        elif tag == "td":
            self._in_cell = True
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        """End a cell."""
        if tag == "td":
            self._in_cell = False

    def handle_data(self, data: str) -> None:
        """Add to the cell."""
        if self._in_cell:
            self.rows[-1][-1] += data


def column(document: str, number: int) -> list[str]:
    """Return a column of the table's body, from top to bottom."""
    return [row[number] for row in Cells(document).rows if row]


def clicking(text: str, column_name: str, times: int) -> str:
    """Return the page with somebody in it who clicks on a column's head."""
    script = (
        "document.querySelectorAll('th button').forEach(function (button) {"
        f"if (button.textContent === '{column_name}') {{ {'button.click();' * times} }} }});"
    )
    return text.replace("</body>", f"<script>{script}</script></body>")


REPORTS = (
    report("b.example", 9, Verdict.NOT_READY),
    report("c.example", 100, Verdict.READY),
    report("a.example", 20, Verdict.UNKNOWN),
)


def test_a_browser_shows_every_domain_and_the_count(tmp_path: Path) -> None:
    """In the order they were given."""
    document = rendered(page(*REPORTS), tmp_path)

    assert column(document, 0) == ["b.example", "c.example", "a.example"]
    assert "Reaches 100 of 129 members under REQUIRETLS today; 20 could not be judged." in document


@pytest.mark.parametrize(
    ("name", "times", "number", "expected"),
    [
        ("domain", 1, 0, ["a.example", "b.example", "c.example"]),
        ("domain", 2, 0, ["c.example", "b.example", "a.example"]),
        ("members", 1, 1, ["9", "20", "100"]),
        ("members", 2, 1, ["100", "20", "9"]),
    ],
    ids=["text", "text, falling", "numbers", "numbers, falling"],
)
def test_a_click_on_a_columns_head_sorts_by_it(
    tmp_path: Path, name: str, times: int, number: int, expected: list[str]
) -> None:
    """Numbers as numbers; a second click turns the order round."""
    document = rendered(clicking(page(*REPORTS), name, times), tmp_path)

    assert column(document, number) == expected
    assert f'aria-sort="{"ascending" if times == 1 else "descending"}"' in document


@contextmanager
def listening() -> Iterator[tuple[int, list[str]]]:
    """Run a web server that remembers what it was asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1], asked
        finally:
            server.shutdown()
            thread.join()


def test_attack_what_a_server_said_becomes_neither_script_nor_request(tmp_path: Path) -> None:
    """Not even if it got past the escaping: the page allows no loads."""
    with listening() as (port, asked):
        leak = f"http://127.0.0.1:{port}/leak"
        hostile = f'"><img src="{leak}"><script>document.title="owned"</script>'
        text = page(report("a.example", 1, Verdict.NOT_READY, hostile), unusable=(hostile,))
        document = rendered(text, tmp_path)
        rendered(text.replace("<tbody>", f'<tbody><img src="{leak}">'), tmp_path)

    assert asked == []
    assert "<title>owned" not in document
    assert column(document, 0) == ["a.example"]


def test_the_page_names_no_other_place() -> None:
    """Nothing to load, nothing to follow."""
    assert not re.search(r"(?i)\b(?:src|href|action)\s*=|url\(|@import|https?:", page(*REPORTS))


@pytest.mark.parametrize("unusable", [(), ("nobody",)])
def test_an_empty_list_has_a_page(unusable: tuple[str, ...]) -> None:
    """There is nothing to divide by."""
    assert f"Reaches 0 of {len(unusable)} members" in page(unusable=unusable)
