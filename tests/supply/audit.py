"""Known vulnerabilities, as pip-audit finds them in a list that is fetched from the internet."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from tests.supply.findings import NotLookedAtError, SupplyError

SERVICES = ("pypi", "osv")

# CVE-2024-3651. A service, or a mirror of one, that does not know it knows nothing.
KNOWN_TO_BE_VULNERABLE = "idna==3.6"


def audit(site_packages: Path, own: str) -> str:
    """Return how many packages in *site_packages*, *own* left out, have no known vulnerability.

    Raises SupplyError if one has, and NotLookedAtError if no service can be asked.
    """
    for service in SERVICES:
        if _knows_something(service):
            return judge(_ask(service, "--path", str(site_packages)), own)
    raise NotLookedAtError(
        f"of {' and '.join(SERVICES)}, none knows from here that {KNOWN_TO_BE_VULNERABLE} is vulnerable:"
        " known vulnerabilities were not looked up"
    )


def judge(report: Any, own: str) -> str:
    """Return what pip-audit's *report* (JSON) comes to; raises SupplyError if it is no clean bill."""
    if report is None:
        raise SupplyError("pip-audit gave no report")
    packages = [each for each in report["dependencies"] if canonicalize_name(each["name"]) != own]
    bad = [
        f"{each['name']} {each.get('version', '')}: {finding}"
        for each in packages
        for finding in ([flaw["id"] for flaw in each.get("vulns", ())] or [each.get("skip_reason")])
        if finding
    ]
    if bad:
        raise SupplyError("\n".join(bad))
    return f"{len(packages)} packages without known vulnerability"


def _knows_something(service: str) -> bool:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(KNOWN_TO_BE_VULNERABLE)
        file.flush()
        report = _ask(service, "--requirement", file.name, "--no-deps", "--disable-pip")
    return report is not None and any(each.get("vulns") for each in report["dependencies"])


def _ask(service: str, *what: str) -> Any:
    options = ["--vulnerability-service", service, "--format", "json", "--progress-spinner", "off"]
    command = [sys.executable, "-m", "pip_audit", *options, *what]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        return json.loads(done.stdout)
    except json.JSONDecodeError:
        return None
