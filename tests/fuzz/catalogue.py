"""Which targets there are, and their seeds. Importing it imports nothing of what is fuzzed."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

FOLDER = Path(__file__).parent
TARGETS = tuple(sorted(path.stem for path in (FOLDER / "targets").glob("*.py") if path.stem != "__init__"))

Target = Callable[[bytes], None]


def load(name: str) -> Target:
    """Return the target called *name*."""
    target: Target = importlib.import_module(f"tests.fuzz.targets.{name}").target
    return target


def load_long(name: str) -> Target:
    """Return what a long input is timed with: the arrival alone, where the target does much else."""
    module = importlib.import_module(f"tests.fuzz.targets.{name}")
    arrive: Target = getattr(module, "arrive", module.target)
    return arrive


def corpus_folder(name: str) -> Path:
    """Return the folder with the seeds of a target."""
    return FOLDER / "corpus" / name


def seeds(name: str) -> list[bytes]:
    """Return the seeds of a target, always in the same order."""
    return [path.read_bytes() for path in sorted(corpus_folder(name).iterdir())]
