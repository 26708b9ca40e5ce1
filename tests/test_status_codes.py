"""Every enhanced status code in the program is registered and goes with its reply code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import requiretls_plugin
from requiretls_plugin import reply
from requiretls_plugin.reply import Reply

# IANA "SMTP Enhanced Status Codes": for each subject its highest detail; all details below are registered.
REGISTERED = {0: 0, 1: 10, 2: 4, 3: 6, 4: 7, 5: 7, 6: 10, 7: 30}

# The reply codes that go with the codes this package lives by. X.7.10 is registered with 523; RFC 8689
# section 4.2.1 names it without one, and 4yz says that the same may change.
REPLY_CODES = {"1.10": {556}, "7.10": {523, 530, 550, 451}, "7.27": {550}, "7.30": {550}}

SOURCES = [Path(requiretls_plugin.__file__).parent, Path(__file__).parents[1] / "hooks"]
_STATUS = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})")


def codes_in_sources() -> Iterator[tuple[str, str]]:
    """Yield every enhanced status code in a string of the sources, and where it stands.

    Docstrings are left out: what looks like a code there is a section number.
    """
    for folder in SOURCES:
        for file in sorted(folder.rglob("*.py")):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
            for node in ast.walk(tree):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
                    yield from (
                        (match[0], f"{file.name}:{node.lineno}")
                        for match in re.finditer(
                            r"(?<![\d.])(?<!section )[245]\.\d{1,3}\.\d{1,3}(?![\d.]*\d)", node.value
                        )
                    )


@pytest.mark.requirement("5248-2-1")
def test_every_code_in_the_program_is_registered() -> None:
    """Also those in texts and in the adapters."""
    codes = list(codes_in_sources())

    unknown = []
    for code, place in codes:
        match = _STATUS.fullmatch(code)
        assert match is not None
        if int(match[3]) > REGISTERED.get(int(match[2]), -1):
            unknown.append(f"{place}: {code}")
    assert unknown == []
    assert {"5.7.30", "5.7.10", "5.1.10"} <= {code for code, _ in codes}


@pytest.mark.requirement("5248-2-1", "3463-2-1")
@pytest.mark.parametrize(
    "name", sorted(name for name, value in vars(reply).items() if isinstance(value, Reply))
)
def test_every_reply_fits_its_status(name: str) -> None:
    """The class agrees with the reply code, and registered pairs are kept."""
    value: Reply = getattr(reply, name)

    assert value.status[0] == str(value.code)[0]
    allowed = REPLY_CODES.get(value.status[2:])
    assert allowed is None or value.code in allowed
