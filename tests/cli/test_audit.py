"""`requiretls audit FILE-WITH-ADDRESSES`."""

from __future__ import annotations

from pathlib import Path

import pytest

from requiretls_plugin.cli.audit import addresses_in
from tests.cli.running import CommandLine


def test_addresses_stand_one_on_each_line() -> None:
    """Plain or with a name; blank lines and comments are passed over."""
    lines = ["a@x.test\n", "\n", "# the team\n", "Bea Smith <b@x.test>\n", "  nobody \n"]
    assert addresses_in(lines) == ["a@x.test", "b@x.test", "nobody"]


@pytest.mark.parametrize(
    ("addresses", "code"),
    [
        ("a@dane-ee.test\nb@sts.test\n", 0),
        ("a@dane-ee.test\nb@no-keyword.test\nc@sts-down.test\n", 69),
        ("a@dane-ee.test\nc@sts-down.test\n", 75),
        ("nobody\n", 69),
    ],
    ids=["all reached", "some not", "some unknown", "no address"],
)
def test_the_exit_code_says_whether_all_are_reached(
    requiretls: CommandLine, tmp_path: Path, addresses: str, code: int
) -> None:
    """As `requiretls check` does for domains."""
    file = tmp_path / "members"
    file.write_text(addresses)
    assert requiretls("audit", str(file)).code == code


def test_json_has_evidence_and_age_for_every_domain(requiretls: CommandLine, tmp_path: Path) -> None:
    """Of standard input as of a file; the bar is not among it."""
    page = tmp_path / "page.html"
    ran = requiretls("audit", "-", "--json", "--html", str(page), stdin=b"a@sts.test\nb@sts.test\n")

    assert ran.code == 0, ran.errors
    found = ran.json()
    assert (found["members"], found["reached"]) == (2, 2)
    [domain] = found["domains"]
    assert domain["mta_sts"] == "enforce"
    assert domain["mta_sts_fetched"] <= domain["checked"]
    assert domain["hosts"][0]["name_proof"] == "mta-sts"
    assert "<title>Addresses: REQUIRETLS</title>" in page.read_text()


def test_the_table_says_how_many_are_reached(requiretls: CommandLine, tmp_path: Path) -> None:
    """In one line below it."""
    file = tmp_path / "members"
    file.write_text("a@dane-ee.test\nb@no-keyword.test\n")
    assert "members: reaches 1 of 2 members under REQUIRETLS today" in requiretls("audit", str(file)).output


def test_a_file_that_is_not_there_is_a_usage_error(requiretls: CommandLine) -> None:
    """Exit 64."""
    assert requiretls("audit", "/no/such/file").code == 64
