"""`install()` takes the place of Salmon's classes, in time or not at all."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from tests.hooks.salmon.apps import ROOT


def python(program: str) -> subprocess.CompletedProcess[str]:
    """Run *program* in a fresh interpreter."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'hooks'}", "PATH": "/usr/bin:/bin"},
    )


def test_a_boot_module_that_comes_later_gets_ours() -> None:
    """Its import line stays as it is."""
    done = python(
        """
        import requiretls_salmon
        requiretls_salmon.install()
        requiretls_salmon.install()
        from salmon.server import LMTPReceiver, QueueReceiver, Relay, SMTPReceiver
        assert LMTPReceiver is requiretls_salmon.LMTPReceiver
        assert SMTPReceiver is requiretls_salmon.SMTPReceiver
        assert QueueReceiver is requiretls_salmon.QueueReceiver
        assert Relay is requiretls_salmon.Relay
        """
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["Relay", "LMTPReceiver", "SMTPReceiver", "QueueReceiver"])
def test_too_late_is_an_error_that_names_the_module(name: str) -> None:
    """Half an app with REQUIRETLS would look like a whole one."""
    done = python(
        f"""
        import sys, types
        from salmon import server
        sys.modules["config.boot"] = module = types.ModuleType("config.boot")
        module.{name} = server.{name}
        import requiretls_salmon
        requiretls_salmon.install()
        """
    )
    assert f"config.boot.{name}" in done.stderr
    assert "InstalledTooLateError" in done.stderr


def test_importing_the_package_changes_nothing_in_salmon() -> None:
    """Whoever only looks gets Salmon as it is."""
    done = python(
        """
        from salmon import bounce, routing, server
        before = dict(vars(server)), dict(vars(routing.Router)), dict(bounce.COMBINED_STATUS_CODES)
        import requiretls_salmon
        import threading
        assert (dict(vars(server)), dict(vars(routing.Router)), dict(bounce.COMBINED_STATUS_CODES)) == before
        assert threading.active_count() == 1
        """
    )
    assert done.returncode == 0, done.stderr
