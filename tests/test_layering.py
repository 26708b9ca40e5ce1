"""Imports go one way: adapters know the core, the core knows no host server; importing does nothing."""

from __future__ import annotations

import ast
import io
import os
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

import requiretls_aiosmtpd
import requiretls_lab
import requiretls_plugin

CORE = Path(requiretls_plugin.__file__).parent
ADAPTERS = Path(requiretls_aiosmtpd.__file__).parents[0].parent
LAB = Path(requiretls_lab.__file__).parent

HOSTS = frozenset({"aiosmtpd", "mailman", "salmon"})
ADAPTER_NAMES = frozenset({f"requiretls_{host}" for host in HOSTS})

# What judges servers; an adapter that needs one of these is deciding something itself.
DECIDING = ("requiretls_plugin.policy", "requiretls_plugin.certificate", "dns", "cryptography", "OpenSSL")
# Where mail goes is for hosts to say.
ALLOWED = "requiretls_plugin.policy.next_hop"
TLS_WORDS = re.compile(
    r"dane|tlsa|pkix|\bsts\b|mta.sts|dnssec|verify_mode|check_hostname|CERT_(NONE|REQUIRED)"
    r"|RFC ?(6698|7671|7672|8460|8461|8689)",
    re.IGNORECASE,
)


def modules(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.py"))


def adapter_modules() -> list[Path]:
    return [path for name in sorted(ADAPTER_NAMES) for path in modules(ADAPTERS / name)]


def imported(path: Path) -> Iterator[str]:
    """Yield the names of all modules that *path* imports anywhere, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write imports in full"
            module = node.module or ""
            yield from (f"{module}.{alias.name}" for alias in node.names)


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def test_there_is_something_to_look_at() -> None:
    """A test of no files would pass."""
    assert len(modules(CORE)) > 40
    assert len(adapter_modules()) > 5


def test_the_core_imports_no_host_server() -> None:
    """Nor an adapter."""
    wrong = [
        f"{path.relative_to(CORE)} imports {name}"
        for path in modules(CORE)
        for name in imported(path)
        if name.partition(".")[0] in HOSTS | ADAPTER_NAMES | {"hooks"}
    ]
    assert wrong == []


def test_only_the_self_test_needs_the_laboratory() -> None:
    """And imports it where it is used: nothing else of what is installed loads it or depends on it."""
    users = {path.name for path in [*modules(CORE), *adapter_modules()] if "requiretls_lab" in used(path)}
    assert users == {"selftest.py"}
    assert "requiretls_lab" not in used(CORE / "cli" / "selftest.py", at_import=True)


def used(path: Path, *, at_import: bool = False) -> set[str]:
    """Return the top-level packages that *path* imports, with *at_import* only those it always does."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if at_import else list(ast.walk(tree))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in names}


def test_adapters_do_not_import_each_other_but_for_the_sessions() -> None:
    """Salmon's and Mailman's stand on the SMTP sessions, and on nothing of one another."""
    wrong = []
    for path in adapter_modules():
        own = path.relative_to(ADAPTERS).parts[0]
        others = ADAPTER_NAMES - {own, "requiretls_aiosmtpd"} | {"hooks"}
        wrong += [f"{path} imports {name}" for name in imported(path) if name.partition(".")[0] in others]
    assert wrong == []


def test_adapters_do_not_reach_for_what_decides() -> None:
    """What an adapter needs to know about TLS, the core has a function for."""
    wrong = [
        f"{path.relative_to(ADAPTERS)} imports {name}"
        for path in adapter_modules()
        for name in imported(path)
        if any(within(name, package) for package in DECIDING) and not within(name, ALLOWED)
    ]
    assert wrong == []


def code_words(source: str) -> Iterator[str]:
    """Yield names and strings of *source*; comments and docstrings may explain."""
    docstrings = {
        node.body[0].value.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
        and isinstance(node.body[0].value, ast.Constant)
    }
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME or (
            token.type == tokenize.STRING and token.start[0] not in docstrings
        ):
            yield token.string


def test_adapters_do_not_speak_of_how_servers_are_judged() -> None:
    """No word of DANE, MTA-STS or certificates in their code, no number of the RFCs about them."""
    wrong = [
        f"{path.relative_to(ADAPTERS)}: {word}"
        for path in adapter_modules()
        for word in code_words(path.read_text(encoding="utf-8"))
        if TLS_WORDS.search(word)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("source", "found"),
    [('x = "dane"', True), ("check_hostname = 1", True), ('"""About DANE."""\n# dane\nx = 1', False)],
    ids=["a string", "a name", "prose"],
)
def test_the_search_for_words_finds_them(source: str, found: bool) -> None:
    """Or the test above would prove nothing."""
    assert any(TLS_WORDS.search(word) for word in code_words(source)) is found


_IMPORT_EVERYTHING = """
import importlib, logging, os, pkgutil, sys, threading, warnings

class Forbidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in FORBIDDEN:
            raise AssertionError(f"{name} was imported")

FORBIDDEN = set(sys.argv[2].split(","))
sys.meta_path.insert(0, Forbidden())
before = set(os.listdir("/proc/self/fd")), dict(os.environ), len(logging.root.handlers), os.getcwd()
package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
    if not module.name.endswith(("__main__", "cache_redis")) and ".metrics" not in module.name:
        importlib.import_module(module.name)
assert threading.enumerate() == [threading.main_thread()], threading.enumerate()
after = set(os.listdir("/proc/self/fd")), dict(os.environ), len(logging.root.handlers), os.getcwd()
assert before == after, (before, after)
"""


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        pytest.param("requiretls_plugin", HOSTS | ADAPTER_NAMES | {"requiretls_lab"}, id="core"),
        pytest.param("requiretls_aiosmtpd", {"salmon", "mailman"}, id="aiosmtpd adapter"),
        pytest.param("requiretls_lab", {"salmon", "mailman"}, id="laboratory"),
    ],
)
def test_importing_does_nothing_but_import(package: str, forbidden: frozenset[str]) -> None:
    """No thread, no open file, no logging set up, and no host server behind our back."""
    folders = [CORE.parent] if package == "requiretls_plugin" else [CORE.parent, ADAPTERS, LAB.parent]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _IMPORT_EVERYTHING, package, ",".join(sorted(forbidden))],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")
