"""The hooks are documented as they are, and a plugin that was really installed takes part."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from requiretls_lab.laboratory import Laboratory
from requiretls_plugin import hookspecs
from requiretls_plugin.plugin import RFC8689

PROJECT = Path(__file__).parents[1]
DOCUMENTATION = (PROJECT / "docs" / "hooks.md").read_text(encoding="utf-8")
EXAMPLE = PROJECT / "examples" / "third_party_plugin"

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


def test_every_hook_has_a_contract() -> None:
    """When it is called, what it may return, what an exception does."""
    for name in HOOKS:
        contract = inspect.getdoc(getattr(hookspecs, name)) or ""
        assert "return" in contract.lower(), name
        assert "exception" in contract, name


def test_the_documentation_shows_the_example_as_it_is() -> None:
    """What a reader copies has been installed and run."""
    source = (EXAMPLE / "confidential_senders.py").read_text(encoding="utf-8")
    code = source.split("from __future__ import annotations\n\n")[1]
    assert f"```python\n{code}```" in DOCUMENTATION
    assert "requiretls =\n    confidential-senders = confidential_senders\n" in DOCUMENTATION


def test_the_rfc_uses_the_deciding_hooks_itself() -> None:
    """No hook without a user."""
    for name in ("requiretls_receive", "requiretls_next_hop", "requiretls_deliver"):
        assert hasattr(getattr(RFC8689, name), "requiretls_impl")


# The example, installed


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the example was installed into by pip."""
    folder = tmp_path_factory.mktemp("installed")
    copy = tmp_path_factory.mktemp("source")  # setuptools leaves its build folder beside the source
    for file in EXAMPLE.iterdir():
        if file.is_file():
            (copy / file.name).write_bytes(file.read_bytes())
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    options = ["--no-index", "--disable-pip-version-check", "--target", str(folder), str(copy)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def send(
    config: Path, sender: str, recipient: str, *, plugins: Path | None = None
) -> tuple[int, dict[str, Any]]:
    """Run `requiretls send` in a process of its own, with what is installed in *plugins*."""
    paths = [str(plugins)] if plugins else []
    source = os.environ.get("REQUIRETLS_TESTS_WITHOUT_SOURCES")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*paths, *([] if source else [str(PROJECT)])])}
    command = [sys.executable, "-m", "requiretls_plugin", "send", "--config", str(config), "--json"]
    done = subprocess.run(
        [*command, "--from", sender, recipient],
        input=b"Subject: salaries\r\n\r\nsecret\r\n",
        capture_output=True,
        env=environment,
        check=False,
    )
    assert done.stdout, done.stderr.decode()
    return done.returncode, json.loads(done.stdout)


def test_an_installed_plugin_strengthens_a_message(lab: Laboratory, installed: Path, tmp_path: Path) -> None:
    """Nobody gave REQUIRETLS, and a destination without it gets nothing."""
    config = lab.write_settings(tmp_path / "requiretls.toml")
    code, result = send(config, "hr@sender.test", "bob@no-keyword.test", plugins=installed)
    [outcome] = result["recipients"]
    assert (code, result["requirement"]) == (69, "required")
    assert (outcome["outcome"], outcome["status"]) == ("failed", "5.7.30")
    assert lab.destination("mx.no-keyword.test").messages == []


@pytest.mark.parametrize(
    ("sender", "with_plugin"),
    [
        pytest.param("hr@sender.test", False, id="the same message without the plugin"),
        pytest.param("alice@sender.test", True, id="another sender with the plugin"),
    ],
)
def test_what_the_plugin_does_not_concern_is_delivered(
    lab: Laboratory, installed: Path, tmp_path: Path, sender: str, with_plugin: bool
) -> None:
    """So it was the plugin that held the first one back."""
    config = lab.write_settings(tmp_path / "requiretls.toml")
    code, result = send(config, sender, "bob@no-keyword.test", plugins=installed if with_plugin else None)
    assert (code, result["requirement"]) == (0, "unstated")
    assert len(lab.destination("mx.no-keyword.test").messages) == 1


def test_a_broken_plugin_stops_the_command(lab: Laboratory, tmp_path: Path) -> None:
    """Its name is told, and nothing is sent."""
    config = lab.write_settings(tmp_path / "requiretls.toml")
    metadata = tmp_path / "broken_rules-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: broken_rules\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[requiretls]\nbroken = no_such_module\n")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{PROJECT}"}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "requiretls_plugin",
            "send",
            "--config",
            config,
            "--from",
            "",
            "bob@dane-ee.test",
        ],
        input=b"\r\n",
        capture_output=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 78
    assert done.stderr.decode().startswith("plugin broken cannot be loaded: ModuleNotFoundError")
    assert lab.destination("mx.dane-ee.test").messages == []
