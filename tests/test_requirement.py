"""What a sender can ask of TLS, and which wish wins."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from requiretls_plugin.requirement import Origin, Requirement, Tag, requirement_for, strongest

REQUIRED, UNSTATED, OPTIONAL = Requirement.REQUIRED, Requirement.UNSTATED, Requirement.OPTIONAL


@pytest.mark.requirement("8689-4.1-1", "8689-4.1-2", "8689-4.1-3")
@pytest.mark.parametrize(
    ("mail_parameter", "header_says_no", "requirement"),
    [
        pytest.param(True, False, REQUIRED, id="REQUIRETLS on MAIL"),
        pytest.param(False, True, OPTIONAL, id="TLS-Required: No"),
        pytest.param(True, True, REQUIRED, id="both: the MAIL parameter wins"),
        pytest.param(False, False, UNSTATED, id="neither"),
    ],
)
def test_parameter_and_field_make_the_requirement(
    mail_parameter: bool, header_says_no: bool, requirement: Requirement
) -> None:
    """The four cases of RFC 8689 section 4.1."""
    assert requirement_for(mail_parameter=mail_parameter, header_says_no=header_says_no) is requirement


@pytest.mark.parametrize(
    ("wishes", "winner"),
    [
        pytest.param([], UNSTATED, id="nobody says anything"),
        pytest.param([OPTIONAL], OPTIONAL, id="one alone"),
        pytest.param([OPTIONAL, UNSTATED], UNSTATED, id="unstated beats optional"),
        pytest.param([UNSTATED, REQUIRED], REQUIRED, id="required beats unstated"),
        pytest.param([OPTIONAL, REQUIRED], REQUIRED, id="required beats optional"),
    ],
)
def test_the_strongest_wish_wins_in_any_order(wishes: list[Requirement], winner: Requirement) -> None:
    """Whoever joins in can only strengthen."""
    for order in itertools.permutations(wishes):
        assert strongest(order) is winner


def test_one_more_wish_never_weakens() -> None:
    """The result of more wishes is at least as strong as the result of fewer."""
    for first, second in itertools.product(Requirement, repeat=2):
        assert strongest([strongest([first, second]), first]) is strongest([first, second])


def test_a_tag_says_who_put_it_there() -> None:
    """And the tag of a message nobody tagged says nobody."""
    assert Tag() == Tag(UNSTATED, None)
    assert Tag(REQUIRED, Origin.APP) != Tag(REQUIRED, Origin.PLUGIN)


def test_a_tag_does_not_change() -> None:
    """What was decided for one message cannot reach another."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        Tag().requirement = OPTIONAL  # type: ignore[misc] # the point of the test
