"""From what a handler gives to `Relay.deliver` to a message and its recipients."""

from __future__ import annotations

from dataclasses import dataclass, replace
from email.utils import getaddresses
from typing import Any

from requiretls_plugin.errors import InvalidHeaderField, InvalidMailAddress
from requiretls_plugin.header_field import read_tls_required
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message, Recipient
from requiretls_plugin.message_tag import strip_private_fields
from requiretls_plugin.policy.next_hop import NamedHop
from requiretls_plugin.reorigination import inherit_into, inherited, originated
from requiretls_plugin.reply import Reply
from requiretls_plugin.requirement import Requirement
from requiretls_salmon.delivery_error import DeliveryError
from requiretls_salmon.handling import inherited_tag
from requiretls_salmon.kept import Accepted, Kept, kept_with, raw_content

NULL_PATH = "<>"
BAD_ADDRESS = Reply(550, "5.1.3", "Address cannot be used")

Addresses = str | list[str] | tuple[str, ...] | None


@dataclass(frozen=True)
class Outgoing:
    """A message to be sent, to whom; *accepted* is the one it is, if it came from outside."""

    message: Message
    recipients: tuple[Recipient, ...]
    accepted: Accepted | None


def outgoing(
    message: Any, to: Addresses, sender: str | None, *, require_tls: bool, next_hop: NamedHop | None
) -> Outgoing:
    """Return what `Relay.deliver(message, to, sender)` means.

    A received message is passed on as it came, byte for byte unless a handler
    changed it. A new one inherits what is being handled. Raises DeliveryError
    for addresses nobody can use, and ConflictingRequirement.
    """
    kept = kept_with(message)
    if kept is None or kept.accepted is None:
        made = _new_message(message, kept, sender, require_tls=require_tls)
        return Outgoing(replace(made, next_hop=next_hop), _recipients(message, to), None)
    passed_on = _passed_on(message, kept, kept.accepted.message, sender, require_tls=require_tls)
    if to is None and message.To == kept.recipient:
        recipients: tuple[Recipient, ...] = (kept.accepted.recipient,)
    else:
        recipients = _recipients(message, to)
    return Outgoing(replace(passed_on, next_hop=next_hop), recipients, kept.accepted)


def _passed_on(
    request: Any, kept: Kept, message: Message, sender: str | None, *, require_tls: bool
) -> Message:
    """Return the accepted *message* as handlers left it."""
    if not kept.unchanged(request):
        content = inherit_into(_written(request), message.tag)
        message = replace(message, content=content, smtputf8=False)
    if require_tls:
        own = originated(require_tls=True, header_says_no=False)
        message = message.with_tag(inherited(message.tag, own))
    if sender is None and request.From == kept.sender:
        return message
    # Who sends it now asks for reports himself, or does not.
    return replace(message, return_path=_return_path(sender or request.From), ret=None, envid=None)


def _new_message(message: Any, kept: Kept | None, sender: str | None, *, require_tls: bool) -> Message:
    """Return the message that an app made, with what it inherits."""
    content = raw_content(message) if kept is not None and kept.unchanged(message) else _written(message)
    own = originated(require_tls=require_tls, header_says_no=_says_no(content))
    cause = inherited_tag()
    tag = own if cause.requirement is Requirement.UNSTATED else inherited(cause, own)
    return Message(
        return_path=_return_path(sender or getattr(message, "From", None) or message["From"]),
        content=inherit_into(content, tag),
        mail_parameter=tag.requirement is Requirement.REQUIRED,
        tag=tag,
    )


def _says_no(content: bytes) -> bool:
    try:
        return read_tls_required(content)
    except InvalidHeaderField:
        return False


def _written(message: Any) -> bytes:
    """Return *message* as Salmon writes it, without the fields that never leave."""
    return strip_private_fields(str(message).encode("utf-8", "surrogateescape"))


def _return_path(sender: str | None) -> MailAddress | None:
    if not sender or sender == NULL_PATH:
        return None
    parsed = _addresses([str(sender)])
    if not parsed:
        raise DeliveryError(BAD_ADDRESS.with_text(f"Sender {sender} cannot be used"))
    return parsed[0]


def _recipients(message: Any, to: Addresses) -> tuple[Recipient, ...]:
    wanted = to or getattr(message, "To", None) or message["To"] or []
    parsed = _addresses([wanted] if isinstance(wanted, str) else [str(part) for part in wanted])
    if not parsed:
        raise DeliveryError(BAD_ADDRESS.with_text("The message has no recipient"))
    return tuple(dict.fromkeys(Recipient(address) for address in parsed))


def _addresses(texts: list[str]) -> list[MailAddress]:
    """Return the addresses in *texts*, display names cut off; raises DeliveryError."""
    try:
        plain = [text.strip().removeprefix("<").removesuffix(">") for text in texts]
        return [MailAddress.parse(text) for text in plain]
    except InvalidMailAddress:
        pass
    try:
        return [MailAddress.parse(address) for _, address in getaddresses(texts)]
    except InvalidMailAddress as error:
        raise DeliveryError(BAD_ADDRESS.with_text(str(error))) from None
