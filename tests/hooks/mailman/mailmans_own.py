"""Run Mailman's own tests with the adapter on: `python -m tests.hooks.mailman.mailmans_own FOLDER`.

Mailman is set up once for a process, by its own test layers, so this is a
process of its own. Prints JSON: every test by name with "ok" or what went wrong.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import unittest
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MODULES = (
    "mailman.runners.tests.test_archiver",
    "mailman.runners.tests.test_bounce",
    "mailman.runners.tests.test_confirm",
    "mailman.runners.tests.test_digest",
    "mailman.runners.tests.test_incoming",
    "mailman.runners.tests.test_join",
    "mailman.runners.tests.test_leave",
    "mailman.runners.tests.test_lmtp",
    "mailman.runners.tests.test_outgoing",
    "mailman.runners.tests.test_owner",
    "mailman.runners.tests.test_pipeline",
    "mailman.runners.tests.test_request",
    "mailman.runners.tests.test_retry",
)


class AnyFunction(str):
    """Equal to every name: Mailman's tests of the out runner give it functions of their own."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = str.__hash__


def configure(folder: Path) -> None:
    """Write what switches the adapter on, where Mailman's test layers look for it."""
    from requiretls_mailman.readiness import RUNNERS

    settings = folder / "requiretls.toml"
    settings.write_text(
        'hostname = "lists.test"\n[dns]\nnameservers = ["127.0.0.1:9"]\n'
        '[delivery]\nsmarthost = "127.0.0.1:9025"\n'
    )
    extra = folder / "extra.cfg"
    sections = "".join(
        f"[runner.{name}]\nclass: requiretls_mailman.runners.{runner.__name__}\n"
        for name, runner in RUNNERS.items()
    )
    extra.write_text(
        "[plugin.requiretls]\nclass: requiretls_mailman.RequireTLSPlugin\nenabled: yes\n"
        f"component_package: requiretls_mailman\nconfiguration: {settings}\n"
        f"[mta]\noutgoing: requiretls_mailman.deliver\n{sections}"
    )
    os.environ["MAILMAN_EXTRA_TESTING_CFG"] = str(extra)


def use_our_runners(module: Any) -> None:
    """Let the tests in *module* test our runners instead of Mailman's."""
    from requiretls_mailman import runners

    for name in runners.__all__:
        if hasattr(module, name):
            setattr(module, name, getattr(runners, name))
    runners.OUTGOING = AnyFunction()


def tests_by_layer() -> dict[Any, list[unittest.TestCase]]:
    """Return all tests, those of each layer together."""
    found: dict[Any, list[unittest.TestCase]] = {}

    def collect(suite: Any) -> None:
        if isinstance(suite, unittest.TestCase):
            found.setdefault(getattr(type(suite), "layer", None), []).append(suite)
            return
        for part in suite:
            collect(part)

    for name in MODULES:
        module = importlib.import_module(name)
        use_our_runners(module)
        collect(unittest.defaultTestLoader.loadTestsFromModule(module))
    return found


def call(layer: Any, name: str, *, backwards: bool = False) -> None:
    """Call a hook of *layer* and of those it stands on, each once."""
    steps = [step for step in reversed(layer.__mro__) if name in vars(step)]
    for step in reversed(steps) if backwards else steps:
        getattr(step, name)()


def run_all() -> dict[str, str]:
    """Run the tests layer by layer; the ground they all stand on is laid once."""
    from mailman.testing.layers import ConfigLayer

    results: dict[str, str] = {}
    ConfigLayer.setUp()
    for layer, tests in tests_by_layer().items():
        with standing_on(layer, ConfigLayer):
            for test in tests:
                call(layer, "testSetUp")
                results[test.id()] = outcome(test)
                call(layer, "testTearDown", backwards=True)
    ConfigLayer.tearDown()
    return results


@contextlib.contextmanager
def standing_on(layer: Any, ground: Any) -> Iterator[None]:
    """Set *layer* up for a while, unless it is the *ground* itself."""
    if layer is not ground:
        layer.setUp()
    try:
        yield
    finally:
        if layer is not ground:
            layer.tearDown()


def outcome(test: unittest.TestCase) -> str:
    """Run *test* and return "ok" or the last line of what went wrong."""
    result = unittest.TestResult()
    test.run(result)
    wrong = [*result.errors, *result.failures]
    return wrong[0][1].strip() if wrong else "skipped" if result.skipped else "ok"


def main(folder: Path) -> None:
    """Configure, run, print."""
    configure(folder)
    results = run_all()
    print(json.dumps(results))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]))
