"""Help for the tests of Salmon apps."""

from __future__ import annotations

import email.utils
from typing import Any

from salmon import mail, testing
from salmon.routing import Router

from requiretls_plugin.header_field import with_tls_required_no
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message, Recipient
from requiretls_plugin.requirement import Origin, Requirement, Tag
from requiretls_salmon.handling import Handling, handling_of
from requiretls_salmon.kept import Accepted
from requiretls_salmon.preparation import prepare_salmon


class RouterConversation(testing.RouterConversation):  # type: ignore[misc] # Salmon has no types
    """Salmon's `RouterConversation` whose messages ask something of TLS."""

    def __init__(self, From: str, Subject: str, requirement: Requirement = Requirement.UNSTATED) -> None:  # noqa: N803
        """Talk as *From*; every message has *requirement*."""
        super().__init__(From, Subject)
        self.requirement = requirement
        prepare_salmon()

    def deliver(self, To: Any, From: Any, Subject: str, Body: str) -> None:  # noqa: N803
        """Let the Router handle a message as if a receiver had taken it."""
        sample = mail.MailResponse(From=From, To=To, Subject=Subject, Body=Body)
        accepted = Accepted(_message(sample, self.requirement), Recipient(_address(sample["To"])))
        request = mail.MailRequest("localhost", sample["From"], sample["To"], accepted.salmon_data())
        with handling_of(Handling(accepted, reports=True)):
            Router.deliver(request)


def _message(sample: Any, requirement: Requirement) -> Message:
    content = str(sample).encode()
    return Message(
        return_path=_address(sample["From"]),
        content=with_tls_required_no(content) if requirement is Requirement.OPTIONAL else content,
        mail_parameter=requirement is Requirement.REQUIRED,
        tag=_TAGS[requirement],
    )


def _address(text: str) -> MailAddress:
    return MailAddress.parse(email.utils.parseaddr(text)[1])


_TAGS = {
    Requirement.REQUIRED: Tag(Requirement.REQUIRED, Origin.MAIL_PARAMETER),
    Requirement.UNSTATED: Tag(),
    Requirement.OPTIONAL: Tag(Requirement.OPTIONAL, Origin.HEADER_FIELD),
}
