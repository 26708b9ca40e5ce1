"""Plugins are collected by name and by entry point; one that cannot work stops the start."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from requiretls_plugin import hookspecs
from requiretls_plugin.errors import PluginError
from requiretls_plugin.plugins import ENTRY_POINT_GROUP, plugin_manager

GOOD = """
from requiretls_plugin.hookspecs import hookimpl

@hookimpl
def requiretls_receive(message):
    return None
"""


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that is searched for modules; what is imported from it is forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def install(folder: Path, distribution: str, name: str, source: str, *, place: str = "") -> None:
    """Put a distribution with one module *distribution* into *folder*, its entry point called *name*.

    *place* is what that names; by default the module.
    """
    (folder / f"{distribution}.py").write_text(textwrap.dedent(source))
    metadata = folder / f"{distribution}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[{ENTRY_POINT_GROUP}]\n{name} = {place or distribution}\n")


def test_an_installed_plugin_is_loaded_under_the_name_of_its_entry_point(modules: Path) -> None:
    """Nobody has to name it in the settings."""
    install(modules, "acme_rules", "acme", GOOD)
    assert plugin_manager().has_plugin("acme")
    assert not plugin_manager(installed=False).has_plugin("acme")


def test_installed_plugins_can_be_left_out_by_the_environment(
    modules: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """To find out whether one is to blame; the log says so, because a rule may be missing now."""
    install(modules, "acme_rules", "acme", GOOD)
    monkeypatch.setenv("REQUIRETLS_NO_PLUGINS", "1")

    assert not plugin_manager().has_plugin("acme")
    assert "REQUIRETLS_NO_PLUGINS=1" in caplog.text


def test_a_plugin_is_loaded_by_the_name_of_its_module(modules: Path) -> None:
    """For what is not installed as a distribution."""
    (modules / "local_rules.py").write_text(GOOD)
    assert plugin_manager(["local_rules"], installed=False).has_plugin("local_rules")


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        pytest.param("import does_not_exist_at_all", "ModuleNotFoundError", id="an import fails"),
        pytest.param("def (", "SyntaxError", id="a syntax error"),
        pytest.param("1 / 0", "ZeroDivisionError", id="it raises"),
        pytest.param("raise SystemExit(0)", "SystemExit: 0", id="it exits as if all were well"),
        pytest.param("class Odd(BaseException): ...\nraise Odd", "Odd: ", id="an error of its own kind"),
        pytest.param(
            GOOD.replace("_receive", "_recieve"), "unknown hook 'requiretls_recieve'", id="no such hook"
        ),
        pytest.param(GOOD.replace("(message)", "(mail)"), "mail", id="no such argument"),
        pytest.param(GOOD.replace("@hookimpl", ""), "implements no hook", id="the marker is missing"),
        pytest.param("", "implements no hook", id="an empty module"),
    ],
)
@pytest.mark.parametrize("how", ["by name", "installed"])
def test_a_plugin_that_cannot_work_stops_the_start(
    modules: Path, source: str, complaint: str, how: str
) -> None:
    """A rule that is silently missing would let mail out that it should hold; the error names the plugin."""
    if how == "installed":
        install(modules, "broken_rules", "broken", source)
    else:
        (modules / "broken.py").write_text(source)
    with pytest.raises(PluginError, match="broken") as raised:
        plugin_manager(["broken"] if how == "by name" else [], installed=how == "installed")
    assert complaint in str(raised.value)


def test_a_module_that_is_not_there_stops_the_start() -> None:
    """Named as it was given."""
    with pytest.raises(PluginError, match=r"plugin no\.such\.module cannot be loaded"):
        plugin_manager(["no.such.module"], installed=False)


def test_attack_a_second_plugin_of_the_same_name_does_not_replace_the_first(modules: Path) -> None:
    """pluggy would leave one of them out without a word."""
    install(modules, "acme_rules", "acme", GOOD)
    install(modules, "other_rules", "acme", GOOD)
    with pytest.raises(PluginError, match="plugin acme is installed more than once"):
        plugin_manager()


def test_an_entry_point_that_names_nothing_stops_the_start(modules: Path) -> None:
    """The module is there, the object is not."""
    install(modules, "acme_rules", "acme", GOOD, place="acme_rules:rules")
    with pytest.raises(PluginError, match=r"^plugin acme cannot be loaded: AttributeError: .*'rules'"):
        plugin_manager()


@pytest.mark.parametrize("name", ["rfc8689", "requiretls.log", "requiretls.anything"])
def test_attack_a_plugin_does_not_take_the_name_of_our_own(modules: Path, name: str) -> None:
    """In errors, logs and lists it would pass for this package's."""
    install(modules, "acme_rules", name, GOOD)
    with pytest.raises(
        PluginError, match=f"^plugin {name} has a name of this package's own: give it another"
    ):
        plugin_manager()


def test_managers_are_independent_of_each_other() -> None:
    """What one engine loads is not in another."""
    first, second = plugin_manager(installed=False), plugin_manager(installed=False)
    first.register(object(), "only here")
    assert not second.has_plugin("only here")
    assert first.project_name == hookspecs.PROJECT == "requiretls"
