"""The programs around us that can lose the promise: C library, Postfix, Mailman."""

from __future__ import annotations

import configparser
from collections.abc import Iterator, Mapping
from pathlib import Path

from requiretls_plugin.doctor import Diagnosis, Health
from requiretls_plugin.postfix_front import front_problems
from requiretls_plugin.settings import Settings

# The sections of mailman.cfg that have to be there, and what has to stand in them.
_MAILMAN_SECTIONS: Mapping[str, tuple[str, str]] = {
    "plugin.requiretls": ("class", "requiretls_mailman.RequireTLSPlugin"),
    "mta": ("outgoing", "requiretls_mailman.deliver"),
    "runner.archive": ("class", "requiretls_mailman.runners.ArchiveRunner"),
    "runner.bounces": ("class", "requiretls_mailman.runners.BounceRunner"),
    "runner.command": ("class", "requiretls_mailman.runners.CommandRunner"),
    "runner.digest": ("class", "requiretls_mailman.runners.DigestRunner"),
    "runner.in": ("class", "requiretls_mailman.runners.IncomingRunner"),
    "runner.lmtp": ("class", "requiretls_mailman.runners.LMTPRunner"),
    "runner.nntp": ("class", "requiretls_mailman.runners.NNTPRunner"),
    "runner.out": ("class", "requiretls_mailman.runners.OutgoingRunner"),
    "runner.pipeline": ("class", "requiretls_mailman.runners.PipelineRunner"),
    "runner.virgin": ("class", "requiretls_mailman.runners.VirginRunner"),
}


def diagnose_resolv_conf(path: Path, *, local_mta: str | None) -> Diagnosis | None:
    """Judge what the C library tells *local_mta*, a mail server on this machine that asks it about DNSSEC."""
    if local_mta is None:
        return None
    subject = str(path)
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        return Diagnosis(subject, Health.UNKNOWN, f"cannot be read: {error.strerror}", "look at it as root")
    options = [word for line in text.splitlines() for word in line.split()[1:] if line.startswith("options")]
    if "trust-ad" in options:
        return Diagnosis(subject, Health.GOOD, f"lets {local_mta} see the AD bit")
    what = f"the C library strips the AD bit, so {local_mta} silently does no DANE"
    remedy = "add the line: options edns0 trust-ad, if the resolver is on this machine"
    return Diagnosis(subject, Health.WRONG, what, remedy)


def diagnose_postfix(parameters: Mapping[str, str], settings: Settings) -> Iterator[Diagnosis]:
    """Judge the Postfix on this machine by its *parameters*, those of `postfix_front.PARAMETERS`."""
    subject = f"Postfix {parameters.get('mail_version', '')}".rstrip()
    problems = front_problems(parameters, settings.receive.trusted_hops)
    for problem in problems:
        what, _colon, remedy = problem.rpartition(": ")
        yield Diagnosis(subject, Health.WRONG, what, remedy)
    if not problems:
        yield Diagnosis(subject, Health.GOOD, "keeps the promise on the way to us")


def diagnose_mailman(file: Path) -> Iterator[Diagnosis]:
    """Judge which sections *file*, a mailman.cfg, lacks; `mailman requiretls check` sees more."""
    subject = f"Mailman {file}"
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        what = getattr(error, "strerror", None) or str(error).replace("\n", " ")
        yield Diagnosis(
            subject, Health.UNKNOWN, f"cannot be read: {what}", "name the right file with --mailman"
        )
        return
    missing = [
        (section, key, value)
        for section, (key, value) in _MAILMAN_SECTIONS.items()
        if parser.get(section, key, fallback="").strip() != value
    ]
    for section, key, value in missing:
        what = f"[{section}] {key} is not ours, so tags are lost there"
        yield Diagnosis(subject, Health.WRONG, what, f"write {key}: {value}")
    if not missing:
        yield Diagnosis(subject, Health.GOOD, "has all sections")
