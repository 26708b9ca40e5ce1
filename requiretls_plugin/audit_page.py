"""An audit as one HTML page that needs nothing else: no network, no files beside it."""

from __future__ import annotations

import datetime
import html
import time
from collections.abc import Sequence

from requiretls_plugin.audit import Audit, DomainReport
from requiretls_plugin.preflight import Verdict

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem;
       color: #1b1f24; background: #fff; }
h1 { font-size: 1.4rem; }
.bar { display: flex; height: .8rem; border-radius: .4rem; overflow: hidden; background: #ddd;
       margin: 1rem 0; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid #e3e6ea; vertical-align: top; }
th button { font: inherit; font-weight: 600; border: 0; background: none; padding: 0; cursor: pointer; }
th[aria-sort=ascending] button::after { content: " \\2191"; }
th[aria-sort=descending] button::after { content: " \\2193"; }
td.number { text-align: right; }
.ready { background: #2e7d4f; } .not-ready { background: #b3382c; } .unknown { background: #b8860b; }
td .mark { display: inline-block; width: .7em; height: .7em; border-radius: 50%; margin-right: .4em; }
@media (prefers-color-scheme: dark) {
  body { color: #e6e8eb; background: #16191d; } th, td { border-color: #333; } th button { color: inherit; }
}
"""

# Sorts by the data-key of a cell: as numbers where both are, else as text.
_SCRIPT = """
document.querySelectorAll("th button").forEach(function (button) {
  button.addEventListener("click", function () {
    var head = button.closest("th"), column = head.cellIndex, body = document.querySelector("tbody");
    var falling = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    function key(row) { return row.cells[column].getAttribute("data-key"); }
    function order(one, other) {
      var a = key(one), b = key(other), difference = Number(a) - Number(b);
      return falling * (Number.isNaN(difference) ? a.localeCompare(b) : difference);
    }
    document.querySelectorAll("th").forEach(function (th) { th.removeAttribute("aria-sort"); });
    head.setAttribute("aria-sort", falling === 1 ? "ascending" : "descending");
    Array.from(body.rows).sort(order).forEach(function (row) { body.appendChild(row); });
  });
});
"""

COLUMNS = (
    "domain",
    "members",
    "verdict",
    "why",
    "DNSSEC",
    "DANE",
    "MTA-STS",
    "policy age",
    "STARTTLS",
    "REQUIRETLS",
    "checked",
)


def audit_page(found: Audit, *, title: str, now: float | None = None) -> str:
    """Return the page; *title* says whose subscribers they are, *now* is Unix time."""
    now = time.time() if now is None else now
    heads = "".join(f'<th scope="col"><button type="button">{name}</button></th>' for name in COLUMNS)
    rows = "\n".join(_row(report, now) for report in found.reports)
    # Loads nothing and sends nothing, whatever a domain wrote into its records.
    policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{html.escape(title)}: REQUIRETLS</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{html.escape(title)}</h1>\n<p>{html.escape(_capitalized(str(found)))}.</p>\n"
        f"{_bar(found)}\n{_unusable(found.unusable)}"
        f"<table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>\n"
        f"<p>Made {_time(now)}.</p>\n<script>{_SCRIPT}</script>\n</body>\n</html>\n"
    )


def _row(report: DomainReport, now: float) -> str:
    readiness = report.readiness
    verdict = readiness.verdict.value
    reason = readiness.reason.value if readiness.reason else ""
    details = "; ".join(f"{host.host}: {host.why}" for host in readiness.hosts if host.why)
    age = None if report.sts_fetched is None else max(0.0, now - report.sts_fetched)
    cells = (
        _cell(str(readiness.domain)),
        _cell(str(report.subscribers), kind="number"),
        f'<td data-key="{verdict}"><span class="mark {verdict}"></span>{verdict}</td>',
        f'<td data-key="{html.escape(reason)}" title="{html.escape(details)}">{html.escape(reason)}</td>',
        _cell(_word(report.dnssec)),
        _cell(_word(report.dane)),
        _cell(report.mta_sts),
        _cell("" if age is None else f"{age / 3600:.0f} h", key="-1" if age is None else f"{age:.0f}"),
        _cell(_word(report.starttls)),
        _cell(_word(report.requiretls)),
        _cell(_time(report.checked), key=f"{report.checked:.0f}"),
    )
    return f"<tr>{''.join(cells)}</tr>"


def _cell(text: str, *, key: str | None = None, kind: str = "") -> str:
    css = f' class="{kind}"' if kind else ""
    return f'<td{css} data-key="{html.escape(text if key is None else key)}">{html.escape(text)}</td>'


def _bar(found: Audit) -> str:
    counts = [(verdict.value, found.counted(verdict)) for verdict in Verdict]
    parts = "".join(
        f'<span class="{word}" style="width:{100 * count / found.total:.2f}%"></span>'
        for word, count in counts
        if count
    )
    return f'<div class="bar" role="img" aria-label="{html.escape(str(found))}">{parts}</div>'


def _unusable(addresses: Sequence[str]) -> str:
    if not addresses:
        return ""
    return f"<p>No mail can go to: {html.escape(', '.join(addresses))}.</p>\n"


def _word(value: bool | None) -> str:
    return {True: "yes", False: "no", None: "?"}[value]


def _time(when: float) -> str:
    return datetime.datetime.fromtimestamp(when, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


def _capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]
