"""`requiretls explain`: why mail to an address travels as it does, step by step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from requiretls_plugin.cli.exit_code import ExitCode
from requiretls_plugin.cli.options import HELP, config_option, json_option, print_json, run_engine
from requiretls_plugin.cli.terminal import say
from requiretls_plugin.delivery.outcome import Disposition
from requiretls_plugin.engine import Engine
from requiretls_plugin.errors import InvalidFindings, InvalidMailAddress
from requiretls_plugin.explain import Explained, explain
from requiretls_plugin.findings import Findings, Judgement
from requiretls_plugin.findings_file import MAX_BYTES, findings_as_json, findings_from_json
from requiretls_plugin.message import Recipient
from requiretls_plugin.observe.log import printable
from requiretls_plugin.requirement import Requirement
from requiretls_plugin.security import Security

_MESSAGES = {
    Requirement.REQUIRED: "with REQUIRETLS",
    Requirement.UNSTATED: "without a wish",
    Requirement.OPTIONAL: "with TLS-Required: No",
}

_SESSIONS = {
    Security.DANE: "authenticated by DANE",
    Security.DNSSEC_PKIX: "authenticated by a trusted CA, the name by DNSSEC",
    Security.STS_PKIX: "authenticated by a trusted CA, the name by MTA-STS",
    Security.IMPLICIT_PKIX: "authenticated by a trusted CA, the name being the domain's own",
    Security.NAMED_PKIX: "authenticated by a trusted CA, the name by settings or plugin",
    Security.ENCRYPTED: "encrypted, nobody authenticated",
    Security.CLEARTEXT: "in cleartext",
}

_EXIT_CODES = {
    Disposition.DELIVERED: ExitCode.OK,
    Disposition.DEFERRED: ExitCode.TRY_AGAIN,
    Disposition.FAILED: ExitCode.FAILED,
}


@click.command("explain", context_settings=HELP)
@click.argument("address", required=False)
@click.option(
    "--save", type=click.Path(path_type=Path, dir_okay=False), help="Also keep what was found in this file."
)
@click.option(
    "--replay",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Explain what --save kept in this file; nothing is looked up.",
)
@config_option
@json_option
def explain_address(
    address: str | None, save: Path | None, replay: Path | None, config: Path | None, as_json: bool
) -> int:
    """Explain what happens to mail for ADDRESS, a mail address or a domain; nothing is sent.

    Each step names the section that asks for it. At the end: what would become
    of a message with REQUIRETLS, without a wish, and with TLS-Required: No, and
    what the domain's postmaster could publish. Exit, for the first of the
    three: 0 handed over; 75 deferred; 69 failed; 64 usage; 78 settings.
    """
    if (address is None) == (replay is None):
        raise click.UsageError("give either an ADDRESS or --replay FILE")
    findings = _kept(replay) if replay is not None else _gathered(address or "", config)
    if save is not None:
        _keep(findings, save)
    explained = explain(findings)
    if as_json:
        print_json(explained_as_json(explained))
    else:
        _print(explained)
    return _EXIT_CODES[explained.required.disposition]


def _gathered(address: str, config: Path | None) -> Findings:
    try:
        recipient = Recipient.parse(address if "@" in address else f"postmaster@{address}")
    except InvalidMailAddress as error:
        raise click.UsageError(str(error)) from None

    async def work(engine: Engine) -> Findings:
        return await engine.findings(recipient)

    return run_engine(config, work)


def _kept(file: Path) -> Findings:
    try:
        with file.open("rb") as opened:
            return findings_from_json(opened.read(MAX_BYTES + 1))
    except OSError as error:
        raise click.FileError(str(file), error.strerror) from None
    except InvalidFindings as error:
        raise click.UsageError(f"--replay {file}: {printable(str(error))}") from None


def _keep(findings: Findings, file: Path) -> None:
    try:
        file.write_text(findings_as_json(findings), encoding="utf-8")
    except OSError as error:
        raise click.FileError(str(file), error.strerror) from None
    except InvalidFindings as error:
        raise click.UsageError(f"--save {file}: {error}; leave it out") from None


def explained_as_json(explained: Explained) -> dict[str, Any]:
    """Return the form of *explained* that machines get."""
    return {
        "next_hop": explained.next_hop,
        "steps": [
            {"subject": step.subject, "section": step.section, "found": list(step.found)}
            for step in explained.steps
        ],
        "verdicts": [_judgement_as_json(judgement) for judgement in explained.judgements],
        "advice": [{"what": each.what, "lines": list(each.lines)} for each in explained.advice],
    }


def _judgement_as_json(judgement: Judgement) -> dict[str, Any]:
    return {
        "requirement": judgement.requirement.value,
        "outcome": judgement.disposition.value,
        "code": judgement.reply.code if judgement.reply is not None else None,
        "status": judgement.reply.status if judgement.reply is not None else None,
        "text": judgement.reply.text if judgement.reply is not None else None,
        "reason": judgement.reason.value if judgement.reason is not None else None,
        "hosts": [
            {
                "host": str(judged.host.host),
                "security": judged.security.value if judged.security is not None else None,
                "requiretls": judged.requiretls,
                "reason": judged.refusal.reason.value if judged.refusal is not None else None,
                "why": judged.refusal.why if judged.refusal is not None else None,
            }
            for judged in judgement.hosts
        ],
    }


def _print(explained: Explained) -> None:
    for number, step in enumerate(explained.steps, start=1):
        say(f"{number}. {step.subject} [{step.section}]")
        for sentence in step.found:
            say(f"   {sentence}")
    say("\nA message to it would now be")
    for judgement in explained.judgements:
        say(f"   {_MESSAGES[judgement.requirement]}: {_verdict(judgement)}")
    if explained.advice:
        say("\nFor REQUIRETLS mail to get through, this would have to be done:")
    for advice in explained.advice:
        say(f"   - {advice.what}")
        for line in advice.lines:
            say(f"         {line}")


def _verdict(judgement: Judgement) -> str:
    if judgement.reply is not None:
        reason = f", reason {judgement.reason.value}" if judgement.reason is not None else ""
        return f"{judgement.disposition.value} with {judgement.reply}{reason}"
    taken = next(judged for judged in judgement.hosts if judged.refusal is None)
    keyword = ", with REQUIRETLS" if taken.requiretls else ""
    session = _SESSIONS[taken.security] if taken.security is not None else ""
    return f"handed to {taken.host.host}, {session}{keyword}"
