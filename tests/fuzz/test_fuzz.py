"""Every target holds for its seeds and what is close to them; `make fuzz` goes on from there."""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz import blind
from tests.fuzz.catalogue import FOLDER, TARGETS, corpus_folder, load, load_long, seeds
from tests.fuzz.long_inputs import SIZE, find_slowest
from tests.fuzz.mutation import Stretched, mutations

MUTATIONS = 200

# A corpus is to begin with, not to keep what was found.
MAX_CORPUS = 16 * 1024


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@pytest.mark.parametrize("name", TARGETS)
def test_attack_nothing_close_to_a_seed_breaks_a_target(name: str) -> None:
    """The same inputs each time, so that whoever breaks one finds out."""
    target, known = load(name), seeds(name)

    for data in itertools.chain(known, itertools.islice(mutations(known, random.Random(name)), MUTATIONS)):
        target(data)


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_has_a_few_seeds(name: str) -> None:
    """More than one, each with a name of its own, and small together."""
    files = list(corpus_folder(name).iterdir())

    assert len(files) > 1
    assert sum(file.stat().st_size for file in files) <= MAX_CORPUS


def test_every_corpus_belongs_to_a_target() -> None:
    """Seeds of a target that has another name now would never be looked at."""
    assert {folder.name for folder in (FOLDER / "corpus").iterdir()} == set(TARGETS)


def test_what_fails_is_kept(tmp_path: Path) -> None:
    """With the input as it was."""

    def fragile(data: bytes) -> None:
        assert b"\0" not in data

    with pytest.raises(AssertionError):
        blind.fuzz(fragile, [b"a seed"], 60.0, tmp_path)

    [kept] = tmp_path.iterdir()
    assert kept.name.startswith("crash-")
    assert b"\0" in kept.read_bytes()


@pytest.mark.parametrize(("exponent", "too_slow"), [(1, False), (2, True)], ids=["linear", "quadratic"])
def test_a_target_that_takes_too_long_is_noticed(tmp_path: Path, exponent: int, too_slow: bool) -> None:
    """Quadratic time shows in how it grows, and the input is kept."""

    def pretended(target: object, data: bytes) -> float:
        return 0.004 * (len(data) / SIZE) ** exponent

    found = find_slowest(lambda data: None, [b"a seed"], 0.0, tmp_path, pretended)

    assert found.too_slow is too_slow
    assert len((tmp_path / "grew-most").read_bytes()) >= SIZE - 10


def test_a_target_that_is_slow_at_once_is_noticed(tmp_path: Path) -> None:
    """However little it grows."""
    found = find_slowest(lambda data: None, [b"a seed"], 0.0, tmp_path, lambda target, data: 0.06)

    assert found.too_slow
    assert (tmp_path / "slowest").exists()


def test_a_seed_can_be_stretched_to_any_size() -> None:
    """Some octets of it again and again, the rest as it is."""
    rng = random.Random(1)
    for size in (100, 5_000, 100_000):
        for seed in (b"", b"x", b"a seed of a few words"):
            stretched = Stretched(seed, rng).to(size)
            assert size - len(seed) <= len(stretched) <= size
            assert stretched.startswith(seed[:1])


@pytest.mark.parametrize("module", ["blind", "long_inputs"])
def test_a_target_can_be_run_alone(module: str, tmp_path: Path) -> None:
    """As the runner does it, for a moment."""
    name = "sts_record"
    command = [sys.executable, "-m", f"tests.fuzz.{module}", name, "0.1", str(tmp_path)]

    done = subprocess.run(
        [*command, str(corpus_folder(name))],
        capture_output=True,
        text=True,
        cwd=FOLDER.parents[1],
        check=True,
    )

    if module == "blind":
        assert int(done.stdout.split()[1]) > 0
    else:
        assert json.loads(done.stdout)["inputs"] > 0


def test_every_target_has_something_to_time() -> None:
    """The target itself, or its arrival alone."""
    assert all(callable(load_long(name)) for name in TARGETS)
