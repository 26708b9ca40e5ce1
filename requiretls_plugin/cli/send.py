"""`requiretls send`: deliver one message through the engine that the hosts use."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from requiretls_plugin.cli.exit_code import ExitCode
from requiretls_plugin.cli.options import HELP, config_option, json_option, print_json, run_engine
from requiretls_plugin.cli.terminal import print_table
from requiretls_plugin.delivery.outcome import Disposition, Outcome
from requiretls_plugin.dsn_parameters import MAX_ENVID
from requiretls_plugin.engine import Engine
from requiretls_plugin.errors import ConflictingRequirement, InvalidHeaderField, InvalidMailAddress
from requiretls_plugin.header_field import read_tls_required, with_tls_required_no
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message, Recipient, Ret


@click.command(context_settings=HELP)
@click.option("--from", "sender", required=True, metavar="ADDR", help='Return path; "" is the null one.')
@click.option("--require-tls", is_flag=True, help="REQUIRETLS: only over authenticated TLS.")
@click.option("--tls-optional", is_flag=True, help="TLS-Required: No: deliver whatever policy says.")
@click.option(
    "--ret",
    type=click.Choice([ret.value for ret in Ret], case_sensitive=False),
    metavar=f"[{'|'.join(ret.value for ret in Ret)}]",
    help="DSN RET.",
)
@click.option("--envid", metavar="ID", help="DSN envelope identifier.")
@click.argument("recipients", nargs=-1, required=True, metavar="RCPT...")
@config_option
@json_option
def send(
    sender: str,
    require_tls: bool,
    tls_optional: bool,
    ret: str | None,
    envid: str | None,
    recipients: tuple[str, ...],
    config: Path | None,
    as_json: bool,
) -> int:
    """Deliver the message on standard input to each RCPT.

    Without --require-tls and --tls-optional the message's own header decides.
    Exit: 0 all delivered; 75 some deferred, none failed; 69 some failed;
    64 usage; 78 settings.
    """
    content = sys.stdin.buffer.read()
    if require_tls and tls_optional:
        raise click.UsageError("--require-tls and --tls-optional exclude each other")
    message, parsed = _parsed(sender, recipients, ret, envid)
    message = _asking(message, content, require_tls=require_tls, tls_optional=tls_optional)

    async def work(engine: Engine) -> tuple[Message, Sequence[Outcome]]:
        tagged = await engine.receive(message)
        return tagged, await engine.deliver(tagged, parsed)

    tagged, outcomes = run_engine(config, work)
    if as_json:
        print_json(
            {
                "requirement": tagged.requirement.value,
                "recipients": [outcome_as_json(outcome) for outcome in outcomes],
            }
        )
    else:
        print_table(_COLUMNS, map(_row, outcomes))
    return _exit_code(outcomes)


def _parsed(
    sender: str, recipients: Sequence[str], ret: str | None, envid: str | None
) -> tuple[Message, list[Recipient]]:
    problems: list[str] = []
    parsed: list[Recipient] = []
    return_path = None
    for text in recipients:
        try:
            parsed.append(Recipient.parse(text))
        except InvalidMailAddress as error:
            problems.append(str(error))
    if sender:
        try:
            return_path = MailAddress.parse(sender)
        except InvalidMailAddress as error:
            problems.append(f"--from: {error}")
    if envid is not None and not (envid.isascii() and envid.isprintable() and 0 < len(envid) <= MAX_ENVID):
        problems.append(f"--envid: write 1 to {MAX_ENVID} printable ASCII characters")
    if problems:
        raise click.UsageError("; ".join(problems))
    return Message(return_path, b"", ret=Ret(ret.upper()) if ret else None, envid=envid), parsed


def _asking(message: Message, content: bytes, *, require_tls: bool, tls_optional: bool) -> Message:
    """Return *message* with its content and what its sender asks of TLS (RFC 8689 section 4.3)."""
    message = replace(message, content=content, mail_parameter=require_tls)
    try:
        says_no = read_tls_required(content)
    except InvalidHeaderField:
        says_no = False  # and the engine logs it
    if require_tls and says_no:
        raise click.UsageError(
            str(ConflictingRequirement("--require-tls, but the message itself says TLS-Required: No"))
        )
    return replace(message, content=with_tls_required_no(content)) if tls_optional else message


def outcome_as_json(outcome: Outcome) -> dict[str, Any]:
    """Return the form of *outcome* that machines get."""
    return {
        "recipient": str(outcome.recipient),
        "outcome": outcome.disposition.value,
        "code": outcome.reply.code,
        "status": outcome.reply.status,
        "text": outcome.reply.text,
        "host": outcome.host,
        "security": outcome.security.value if outcome.security else None,
        "requiretls": outcome.requiretls,
        "reason": outcome.reason.value if outcome.reason else None,
    }


_COLUMNS = ("recipient", "outcome", "security", "host", "reply")


def _row(outcome: Outcome) -> tuple[str, ...]:
    security = outcome.security.value if outcome.security else "-"
    if outcome.requiretls:
        security += " + REQUIRETLS"
    row = (str(outcome.recipient), outcome.disposition.value, security, outcome.host or "-")
    return *row, str(outcome.reply)


def _exit_code(outcomes: Sequence[Outcome]) -> ExitCode:
    dispositions = {outcome.disposition for outcome in outcomes}
    if Disposition.FAILED in dispositions:
        return ExitCode.FAILED
    return ExitCode.TRY_AGAIN if Disposition.DEFERRED in dispositions else ExitCode.OK
