"""What a list makes of the tags of posts."""

from __future__ import annotations

from pathlib import Path

import pytest

from requiretls_plugin.errors import SettingsError
from requiretls_plugin.list_policy import ListPolicy, MailmanSettings
from requiretls_plugin.requirement import Origin, Requirement, Tag
from requiretls_plugin.settings import Settings

REQUIRED = Tag(Requirement.REQUIRED, Origin.MAIL_PARAMETER)
OPTIONAL = Tag(Requirement.OPTIONAL, Origin.HEADER_FIELD)
BY_LIST = Tag(Requirement.REQUIRED, Origin.LIST_RULE)
NOTHING = Tag()


@pytest.mark.parametrize(
    ("policy", "required", "nothing", "optional"),
    [
        ({}, REQUIRED, NOTHING, OPTIONAL),
        ({"require": "always"}, REQUIRED, BY_LIST, BY_LIST),
        ({"require": "never"}, NOTHING, NOTHING, OPTIONAL),
        ({"tls_required_no": "ignore"}, REQUIRED, NOTHING, NOTHING),
        ({"require": "never", "tls_required_no": "ignore"}, NOTHING, NOTHING, NOTHING),
        ({"require": "always", "tls_required_no": "ignore"}, REQUIRED, BY_LIST, BY_LIST),
    ],
    ids=["by default", "always", "never", "No ignored", "never and ignored", "always and ignored"],
)
def test_policy_decides_what_copies_ask(
    policy: dict[str, str], required: Tag, nothing: Tag, optional: Tag
) -> None:
    """For a post that requires TLS, one that asks nothing, and one that says TLS-Required: No."""
    found = ListPolicy.model_validate(policy)
    assert [found.tag_of(tag) for tag in (REQUIRED, NOTHING, OPTIONAL)] == [required, nothing, optional]


def test_applying_a_policy_twice_changes_nothing_more() -> None:
    """A message may pass it on its way in and out."""
    for require in ("inherit", "always", "never"):
        policy = ListPolicy.model_validate({"require": require})
        for tag in (REQUIRED, NOTHING, OPTIONAL):
            assert policy.tag_of(policy.tag_of(tag)) == policy.tag_of(tag)


def test_a_list_differs_in_the_keys_it_names() -> None:
    """The others are those of all lists; letter case of the address does not matter."""
    settings = MailmanSettings.model_validate(
        {"digest": "omit", "nntp": "send", "lists": {"Team@lists.example": {"digest": "tag"}}}
    )
    team, other = settings.policy_of("team@LISTS.example"), settings.policy_of("other@lists.example")
    assert (team.digest, team.nntp) == ("tag", "send")
    assert (other.digest, other.nntp) == ("omit", "send")


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ({"require": "allways"}, "mailman.require: has to be 'inherit', 'always' or 'never'"),
        ({"unreachabel": "skip"}, "mailman.unreachabel: unknown key; is unreachable meant?"),
        ({"lists": {"a@b.example": {"digst": "tag"}}}, "unknown key; is digest meant?"),
        ({"lists": {"nobody": {}}}, "'nobody' is no mail address"),
        ({"lists": {"a@b.example": {}, "A@b.example": {}}}, "a@b.example is there twice"),
        ({"lists": {"a@b.example": {"lists": {}}}}, "unknown key"),
    ],
    ids=["a word", "a key", "a key of one list", "no address", "a list twice", "lists within a list"],
)
def test_mistakes_in_the_section_are_named(section: dict[str, object], expected: str) -> None:
    """With the remedy, as everywhere in the settings."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_table({"mailman": section}, source="test", folder=Path())
    assert expected in str(caught.value)
