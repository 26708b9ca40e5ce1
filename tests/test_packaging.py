"""What is shipped is what is there."""

from __future__ import annotations

import configparser
import importlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import entry_points, files, version
from pathlib import Path

import pytest

import requiretls_plugin
from tests.supply.environment import AS_ERRORS, IMPORT_EVERYTHING

PROJECT = Path(__file__).parents[1]
CORE = Path(requiretls_plugin.__file__).parent

SETUP = configparser.ConfigParser()
SETUP.read(PROJECT / "setup.cfg", encoding="utf-8")


def lines(section: str, option: str) -> list[str]:
    return SETUP.get(section, option).split("\n")[1:]


def package_folders(package: Path) -> list[str]:
    """Return the dotted names of *package* and all packages below it."""
    found = [path.parent.relative_to(package.parent).parts for path in package.glob("**/__init__.py")]
    return [".".join(parts) for parts in found]


def sources() -> dict[str, Path]:
    """Return where each top-level package is: in the checkout, or installed where that is what is tested."""
    packages = [name for name in lines("options", "packages") if "." not in name]
    if os.environ.get("REQUIRETLS_TESTS_WITHOUT_SOURCES"):
        return {name: CORE.parent / name for name in packages}
    folders = dict(line.split(" = ") for line in lines("options", "package_dir"))
    return {name: PROJECT / folders.get(name, name) for name in packages}


def test_the_list_of_packages_is_that_of_the_folders() -> None:
    """It is kept by hand; a forgotten folder would be missing from the wheel."""
    folders = [name for package in sources().values() for name in package_folders(package)]
    assert sorted(lines("options", "packages")) == sorted(folders)


def test_nothing_that_could_be_shipped_is_forgotten() -> None:
    """The core is where it is called; every adapter and the laboratory are found in their source roots."""
    roots = (PROJECT, PROJECT / "hooks", PROJECT / "tests" / "lab")
    found = {path.parent for root in roots for path in root.glob("requiretls_*/__init__.py")}
    if not os.environ.get("REQUIRETLS_TESTS_WITHOUT_SOURCES"):
        assert found == set(sources().values())


def test_every_python_file_is_in_a_package() -> None:
    """A folder without __init__.py is not shipped."""
    for package in sources().values():
        folders = {path.parent for path in package.rglob("*.py")}
        assert {folder for folder in folders if not (folder / "__init__.py").exists()} == set()


def shipped(folder: Path) -> set[str]:
    """Return the files of the wheel: of the one that is installed, or of one that is built in *folder*."""
    if os.environ.get("REQUIRETLS_TESTS_WITHOUT_SOURCES"):
        return {str(file) for file in files("requiretls-plugin") or ()}
    for name in ("requiretls_plugin", "hooks", "tests/lab"):
        shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE"):
        shutil.copy(PROJECT / name, folder)
    build = "from setuptools import build_meta; build_meta.build_wheel('.')"
    subprocess.run([sys.executable, "-c", build], cwd=folder, check=True, capture_output=True)
    [wheel] = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_has_the_laboratory_and_no_tests(tmp_path: Path) -> None:
    """`requiretls selftest` works from it; what tests the laboratory stays here."""
    names = shipped(tmp_path)

    assert {"requiretls_lab/laboratory.py", "requiretls_lab/selftest/outgoing/dane.py"} <= names
    assert "requiretls_lab/py.typed" in names
    tops = {name.partition("/")[0] for name in names if name.startswith("requiretls_")}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(sources())
    assert [name for name in names if re.search(r"(^|/)(tests?/|test_|conftest)", name)] == []


def test_type_checkers_find_our_hints() -> None:
    """PEP 561: a marker in every top-level package, and the marker is shipped."""
    for name, package in sources().items():
        assert (package / "py.typed").exists(), name
    assert "py.typed" in SETUP.get("options.package_data", "*")


def test_the_version_has_one_source() -> None:
    """The package says it; packaging, installation and changelog repeat it."""
    assert SETUP.get("metadata", "version") == "attr: requiretls_plugin.__version__"
    assert version("requiretls-plugin") == requiretls_plugin.__version__


def test_pyproject_holds_only_the_build_backend_and_ruff() -> None:
    """Everything else about the project is in setup.cfg."""
    table = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    assert set(table) == {"build-system", "tool"}
    assert set(table["tool"]) == {"ruff"}


def test_commands_lead_somewhere() -> None:
    """Every console script can be loaded and called."""
    for line in lines("options.entry_points", "console_scripts"):
        _, _, place = line.partition(" = ")
        module, _, function = place.partition(":")
        assert callable(getattr(importlib.import_module(module), function))
    [script] = entry_points(group="console_scripts", name="requiretls")
    assert callable(script.load())


def test_what_is_no_code_is_in_the_source_distribution() -> None:
    """Documentation, examples and tests go along, and what the metadata reads."""
    manifest = (PROJECT / "MANIFEST.in").read_text(encoding="utf-8").splitlines()
    for folder in ("docs", "examples", "tests"):
        assert f"graft {folder}" in manifest
    included = next(line for line in manifest if line.startswith("include ")).split()
    for name in ("build_backend.py", "CHANGELOG.md", "LICENSE", "Makefile", "pyproject.toml"):
        assert name in included


@pytest.mark.parametrize("top", [name for name in lines("options", "packages") if "." not in name])
def test_importing_warns_of_nothing(top: str) -> None:
    """With any Python that is supported: what is deprecated today is gone tomorrow."""
    if top == "requiretls_mailman":
        pytest.importorskip("mailman", reason="no Mailman for this Python")
    packages = [name for name in lines("options", "packages") if name.partition(".")[0] == top]
    roots = sorted({str(package.parent) for package in sources().values()})
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(roots)}
    command = [sys.executable, *AS_ERRORS, "-c", IMPORT_EVERYTHING, *packages]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
