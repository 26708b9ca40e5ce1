"""What is read from setup.cfg."""

from __future__ import annotations

import configparser

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.supply import declared

SETUP = """
[metadata]
name = some-package
[options]
packages =
    some
    some.thing
install_requires =
    aiosmtpd >= 1.4.6, < 2
    # a comment
    idna >= 3.7
[options.extras_require]
cap =
    sqlalchemy < 2.1
redis =
    redis ~= 5.1; python_version > "3"
everything =
    some-package[cap, redis]
test =
    pytest >= 8
"""


@pytest.fixture
def setup() -> configparser.ConfigParser:
    """The file above."""
    parser = configparser.ConfigParser()
    parser.read_string(SETUP)
    return parser


def test_what_only_developers_need_is_not_a_requirement_of_users(setup: configparser.ConfigParser) -> None:
    """Nor is the package itself, that an extra may name to put others together."""
    names = {extra: [each.name for each in needed] for extra, needed in declared.requirements(setup).items()}
    assert names == {"": ["aiosmtpd", "idna"], "cap": ["sqlalchemy"], "redis": ["redis"], "everything": []}
    assert declared.extras(setup) == "cap,everything,redis"


def test_constraints_leave_only_the_lowest_versions(setup: configparser.ConfigParser) -> None:
    """A mere upper bound leaves the choice to pip."""
    assert declared.constraints(setup) == "aiosmtpd==1.4.6\nidna==3.7\nredis==5.1\n"


def test_packages_are_listed(setup: configparser.ConfigParser) -> None:
    """By their dotted names."""
    assert declared.packages(setup) == ("some", "some.thing")


OURS = [each for needed in declared.requirements(declared.read()).values() for each in needed]


@pytest.mark.parametrize("requirement", OURS, ids=lambda requirement: requirement.name)
def test_every_requirement_of_ours_has_a_bound_that_can_be_tested(requirement: Requirement) -> None:
    """The lowest version, or a cap on what something else needs."""
    assert {clause.operator for clause in requirement.specifier} & {">=", "==", "~=", "<"}


@pytest.mark.parametrize(
    ("name", "mended"),
    [
        pytest.param("aiosmtpd", "1.4.6", id="CVE-2024-34083 commands before STARTTLS count"),
        pytest.param("h11", "0.16", id="CVE-2025-43859 malformed chunks"),
        pytest.param("idna", "3.7", id="CVE-2024-3651 time over a long name"),
    ],
)
def test_attack_no_version_is_allowed_that_a_stranger_could_harm(name: str, mended: str) -> None:
    """Of what reads strangers' octets here."""
    lowest = dict(line.split("==") for line in declared.constraints(declared.read()).split())
    assert Version(lowest[name]) >= Version(mended)
