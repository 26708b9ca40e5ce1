"""What a mailing list does with posts that ask something of TLS: the section [mailman] of the settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.requirement import Origin, Requirement, Tag
from requiretls_plugin.settings_section import Section


class ListPolicy(Section):
    """What one list does."""

    require: Literal["inherit", "always", "never"] = "inherit"
    """`inherit`: copies ask what the post asked; `always`: REQUIRETLS; `never`: it is not passed on."""
    unreachable: Literal["skip", "notice", "hold"] = "skip"
    """Members who cannot be reached under REQUIRETLS get nothing, or a `notice` without content;
    `hold`: the moderator is told their number and decides before anything is sent."""
    tls_required_no: Literal["honor", "ignore"] = "honor"
    """Whether copies of a post with `TLS-Required: No` say so too."""
    digest: Literal["tag", "omit"] = "tag"
    """`tag`: one REQUIRETLS post makes the digest REQUIRETLS; `omit`: such posts are left out."""
    nntp: Literal["drop", "send"] = "drop"
    """Whether REQUIRETLS posts go to a newsgroup, which knows no such promise."""
    archive: Literal["keep", "omit"] = "keep"
    """Whether REQUIRETLS posts go to the archivers; HyperKitty takes them by HTTP."""

    def tag_of(self, tag: Tag) -> Tag:
        """Return the tag of what this list sends because of a message that has *tag*."""
        if self.require == "always":
            return tag if tag.requirement is Requirement.REQUIRED else _BY_LIST
        if tag.requirement is Requirement.REQUIRED:
            return Tag() if self.require == "never" else tag
        if tag.requirement is Requirement.OPTIONAL and self.tls_required_no == "ignore":
            return Tag()
        return tag


_BY_LIST = Tag(Requirement.REQUIRED, Origin.LIST_RULE)


def _by_address(lists: Mapping[str, ListPolicy]) -> Mapping[str, ListPolicy]:
    by_address: dict[str, ListPolicy] = {}
    for key, policy in lists.items():
        address = MailAddress.parse(key).text.lower()
        if address in by_address:
            raise ValueError(f"{address} is there twice")
        by_address[address] = policy
    return by_address


class MailmanSettings(ListPolicy):
    """What all lists do, and the exceptions in [mailman.lists."list@example.org"]."""

    lists: Annotated[Mapping[str, ListPolicy], AfterValidator(_by_address)] = Field(default_factory=dict)
    """Posting addresses of lists with the keys that differ."""

    def policy_of(self, posting_address: str) -> ListPolicy:
        """Return what the list with *posting_address* does; letter case does not matter."""
        defaults = {name: getattr(self, name) for name in ListPolicy.model_fields}
        own = self.lists.get(posting_address.lower())
        exceptions = {name: getattr(own, name) for name in own.model_fields_set} if own else {}
        return ListPolicy(**(defaults | exceptions))
