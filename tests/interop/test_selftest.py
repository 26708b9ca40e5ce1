"""`requiretls selftest --smtp` against foreign servers says what docs/selftest.md says of them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from requiretls_lab.laboratory import Laboratory
from requiretls_lab.selftest.receiving import RECEIVING
from requiretls_plugin.cli import run
from tests.interop.next_hop import NextHop

PAGE = Path(__file__).parents[2] / "docs" / "selftest.md"
SERVERS = ["postfix_server", "exim_server", "smtp_server_on", "smtp_server_off"]
_ROW = re.compile(r"\| `(?P<case>[a-z-]+/[a-z0-9-]+)` \|(?P<verdicts>(?: (?:pass|\*\*fail\*\*|–) \|){5})")  # noqa: RUF001
_WORDS = {"pass": "pass", "**fail**": "fail", "–": "skip"}  # noqa: RUF001


def documented() -> dict[str, list[str]]:
    """Return the verdicts of the page by case: our receiver's, then those of SERVERS."""
    rows = (_ROW.fullmatch(line) for line in PAGE.read_text(encoding="utf-8").splitlines())
    return {
        row["case"]: [_WORDS[word] for word in row["verdicts"].strip(" |").split(" | ")]
        for row in rows
        if row
    }


def test_every_receiving_case_is_in_the_table() -> None:
    """In the order in which they are tried."""
    assert list(documented()) == [case.name for case in RECEIVING]


@pytest.mark.parametrize("server", SERVERS)
def test_foreign_servers_do_as_documented(
    foreign_lab: Laboratory,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    server: str,
) -> None:
    """Case by case, whether to their credit or not."""
    hop: NextHop = request.getfixturevalue(server)
    settings = foreign_lab.write_settings(tmp_path / "requiretls.toml")
    place = f"{hop.place.address}:{hop.place.port}"
    options = ["--config", str(settings), "--to", f"u@{hop.place.name.removeprefix('mx.')}"]

    code = run(["selftest", "--json", "--smtp", place, *options, "--verify", hop.place.name])

    found = {case["case"]: case["verdict"] for case in json.loads(capsys.readouterr().out)["cases"]}
    assert found == {case: verdicts[1 + SERVERS.index(server)] for case, verdicts in documented().items()}
    assert code == (69 if "fail" in found.values() else 0)
