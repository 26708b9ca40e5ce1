"""The hooks are documented as they are, each with a test and a user, and a broken plugin stops the start."""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import requiretls_plugin
from requiretls_lab.laboratory import Laboratory
from requiretls_plugin import hookspecs
from requiretls_plugin.delivery.outcome import Attempt, Notice, Outcome, Receipt
from requiretls_plugin.message import Message, Recipient
from requiretls_plugin.plugin import RFC8689
from tests.plugin_installing import EXAMPLES, PROJECT, announce, run_requiretls

DOCUMENTATION = (PROJECT / "docs" / "hooks.md").read_text(encoding="utf-8")

HOOKS = {
    name: list(inspect.signature(function).parameters)
    for name, function in vars(hookspecs).items()
    if hasattr(function, "requiretls_spec")
}


def test_there_are_five_hooks() -> None:
    """Others rely on their names and arguments."""
    assert HOOKS == {
        "requiretls_receive": ["message"],
        "requiretls_next_hop": ["domain", "message"],
        "requiretls_deliver": ["message", "recipients"],
        "requiretls_attempted": ["attempt"],
        "requiretls_concluded": ["message", "outcomes"],
    }


def test_every_hook_has_a_heading_with_its_exact_arguments() -> None:
    """And no other has one."""
    headings = re.findall(r"^### `(.*)`$", DOCUMENTATION, re.MULTILINE)
    assert headings == [f"{name}({', '.join(arguments)})" for name, arguments in HOOKS.items()]


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_has_a_contract(name: str) -> None:
    """When it is called, what it may return, what an exception does."""
    contract = inspect.getdoc(getattr(hookspecs, name)) or ""
    assert re.search(r"\b(Called|after|before)\b", contract)
    assert "return" in contract.lower()
    assert "exception" in contract


READABLE = [Message, Recipient, Outcome, Receipt, Attempt, Notice]


@pytest.mark.parametrize("kind", READABLE, ids=lambda kind: kind.__name__)
def test_every_field_a_plugin_can_read_is_documented_with_its_type(kind: type[Any]) -> None:
    """In the order of the class, and no other; each with a meaning."""
    _, heading, section = DOCUMENTATION.partition(f"\n### {kind.__name__}\n")
    rows = re.findall(r"^\| `(\w+)` \| `(.+?)` \| (.+) \|$", section.split("\n### ")[0], re.MULTILINE)

    assert heading
    assert f"`{kind.__module__}.{kind.__name__}`" in section
    assert [(name, type_) for name, type_, _ in rows] == [
        (field.name, str(field.type).replace(" | ", " or ")) for field in dataclasses.fields(kind)
    ]


def test_everything_a_hook_is_given_is_documented() -> None:
    """No class among the arguments and answers of the hooks is left out, but for plain values."""
    given = " ".join(str(inspect.signature(getattr(hookspecs, name), eval_str=False)) for name in HOOKS)
    classes = {kind.__name__ for kind in READABLE}
    named = set(re.findall(r"\b([A-Z]\w+)\b", given)) - {"Maybe", "Sequence", "Awaitable", "None"}

    assert named - classes == {"Requirement", "NextHop", "DomainName", "AddressLiteral"}
    for name in named:
        assert name in DOCUMENTATION


def test_the_documentation_shows_the_example_as_it_is() -> None:
    """What a reader copies has been installed and run."""
    source = (EXAMPLES / "confidential_senders" / "confidential_senders.py").read_text(encoding="utf-8")
    code = source.split("from __future__ import annotations\n\n")[1]
    assert f"```python\n{code}```" in DOCUMENTATION
    assert "requiretls =\n    confidential-senders = confidential_senders\n" in DOCUMENTATION


@functools.cache
def _implemented_in(folder: Path) -> set[str]:
    """Return the hooks that functions with the mark `@hookimpl` in *folder* implement."""
    found = set()
    for file in folder.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)) if "@hookimpl" in text else ():
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                marks = [ast.unparse(each).partition("(")[0] for each in node.decorator_list]
                found |= {node.name} if "hookimpl" in marks else set()
    return found & set(HOOKS)


CORE = Path(requiretls_plugin.__file__).parent


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_has_a_user_in_the_package_and_a_test(name: str) -> None:
    """No hook for its own sake: RFC 8689, the log and the metrics are plugins like any other."""
    assert name in _implemented_in(CORE)
    assert name in _implemented_in(PROJECT / "tests")
    tests = (PROJECT / "tests" / "test_plugin_calls.py").read_text(encoding="utf-8")
    assert "\ndef test_" in tests.partition(f"\n# {name}\n")[2].split("\n# ")[0]


def test_the_rfc_uses_the_deciding_hooks_itself() -> None:
    """What decides about a message passes through the same door as everybody's plugin."""
    for name in ("requiretls_receive", "requiretls_next_hop", "requiretls_deliver"):
        assert hasattr(getattr(RFC8689, name), "requiretls_impl")


# Plugins in a process of their own


_EXITS = """
import sys
from requiretls_plugin.hookspecs import hookimpl

@hookimpl
def requiretls_receive(message):
    sys.exit(0)
"""


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        pytest.param("raise SystemExit(0)", "plugin eager cannot be loaded: SystemExit: 0", id="on import"),
        pytest.param(_EXITS, "plugin eager: requiretls_receive(message): SystemExit: 0", id="in a hook"),
    ],
)
def test_attack_a_plugin_that_exits_does_not_make_an_unsent_message_look_sent(
    lab: Laboratory, tmp_path: Path, source: str, complaint: str
) -> None:
    """Exit 0 means delivered to whoever called `requiretls send`."""
    config = lab.write_settings(tmp_path / "requiretls.toml")
    (tmp_path / "eager_rules.py").write_text(source)
    announce(tmp_path, "eager_rules", "eager = eager_rules")

    done = run_requiretls("send", "--config", str(config), "--from", "", "bob@dane-ee.test", plugins=tmp_path)

    assert (done.returncode, done.stderr.decode().strip()) == (78, complaint)
    assert lab.destination("mx.dane-ee.test").messages == []


def test_a_broken_plugin_stops_the_command(lab: Laboratory, tmp_path: Path) -> None:
    """Its name is told, and nothing is sent."""
    config = lab.write_settings(tmp_path / "requiretls.toml")
    announce(tmp_path, "broken_rules", "broken = no_such_module")

    done = run_requiretls("send", "--config", str(config), "--from", "", "bob@dane-ee.test", plugins=tmp_path)

    assert done.returncode == 78
    assert done.stderr.decode().startswith("plugin broken cannot be loaded: ModuleNotFoundError")
    assert lab.destination("mx.dane-ee.test").messages == []
