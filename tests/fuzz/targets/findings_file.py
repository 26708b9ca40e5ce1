"""A file for `requiretls explain --replay`."""

from __future__ import annotations

import atexit
import contextlib
import io
import json
import tempfile
from pathlib import Path

from requiretls_plugin.cli.explain import explain_address, explained_as_json
from requiretls_plugin.errors import InvalidFindings
from requiretls_plugin.explain import explain
from requiretls_plugin.findings import Findings
from requiretls_plugin.findings_file import findings_as_json, findings_from_json

_FOLDER = tempfile.TemporaryDirectory(prefix="requiretls-fuzz-")
atexit.register(_FOLDER.cleanup)
FILE = Path(_FOLDER.name) / "findings.json"


def kept(written: str) -> Findings:
    """Return what is read again; not being able to is none of the errors expected here."""
    try:
        return findings_from_json(written.encode())
    except InvalidFindings as error:
        raise AssertionError(error) from error


def target(data: bytes) -> None:
    """Findings or our error; whatever is accepted is explained in printable lines, and kept as it is."""
    try:
        findings = findings_from_json(data)
    except InvalidFindings:
        return
    explained = explain(findings)
    with contextlib.suppress(InvalidFindings):  # which are too many to be written
        written = findings_as_json(findings)
        assert findings_as_json(kept(written)) == written
    json.dumps(explained_as_json(explained))
    FILE.write_bytes(data)
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        explain_address.main(["--replay", str(FILE)], standalone_mode=False)
    assert all(line.isprintable() for line in shown.getvalue().split("\n"))


def arrive(data: bytes) -> None:
    """Only read: nobody's mail waits for an explanation."""
    with contextlib.suppress(InvalidFindings):
        findings_from_json(data)
