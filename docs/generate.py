"""Write what follows from the code: settings.md, command_line.md and reasons.md, or man pages.

python docs/generate.py
python docs/generate.py FOLDER-FOR-MAN-PAGES
"""

from __future__ import annotations

import inspect
import sys
import types
import typing
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import click
from pydantic.fields import FieldInfo

from requiretls_plugin import __version__
from requiretls_plugin.cli import requiretls
from requiretls_plugin.explanations import EXPLANATIONS
from requiretls_plugin.level import Level
from requiretls_plugin.reason import Reason
from requiretls_plugin.settings import Settings
from requiretls_plugin.settings_section import Section

HERE = Path(__file__).parent
NOTE = "<!-- written by docs/generate.py; change the code, then run it -->\n\n"

# Settings

_SETTINGS_HEAD = """\
# Settings

One TOML file: the one `--config` names, else `$REQUIRETLS_CONFIG`, else `/etc/requiretls.toml`. Without
any, the defaults count. Unknown keys are errors, and all mistakes are reported together, each with its
key path and what to write. File names are relative to the folder of the settings file. Times are in
seconds.

```toml
hostname = "mx.sender.example"

[dns]
nameservers = ["127.0.0.1:53"]             # a validating resolver on this machine

[receive]
certificate = "/etc/ssl/mx.sender.example/fullchain.pem"
private_key = "/etc/ssl/mx.sender.example/key.pem"

[cache]
url = "sqlite:///var/lib/requiretls/cache.sqlite"

[levels]
"partner.example" = "opportunistic+starttls"
```

`requiretls doctor` looks at the settings and at the machine around them.
"""

_LEVELS = """\
How strictly destinations are held to REQUIRETLS. The keys are domains in quotes: the exact domain counts
before `.parent` (all domains below it), and that before `*`. What is named nowhere is held to `enforce`.
Only these lines weaken what a sender asked for; no plugin, list or app can.

"""


def settings_page() -> str:
    """Return settings.md, from the model and its docstrings."""
    plain = {name: field for name, field in Settings.model_fields.items() if not _is_section(field)}
    del plain["levels"]
    parts = [_SETTINGS_HEAD, "## At the top\n", _table_of(plain)]
    for name, field in Settings.model_fields.items():
        if _is_section(field):
            parts += _section(name, field)
        elif name == "levels":
            words = "".join(f"| `{level.value}` | {_level_meaning(level)} |\n" for level in Level)
            parts.append(f"## `[levels]`\n\n{_LEVELS}| level | meaning |\n|---|---|\n{words}")
    return NOTE + "\n".join(parts)


def _is_section(field: FieldInfo) -> bool:
    return inspect.isclass(field.annotation) and issubclass(field.annotation, Section)


def _section(name: str, field: FieldInfo) -> list[str]:
    model = typing.cast(type[Section], field.annotation)
    return [f"## `[{name}]`\n", f"{inspect.getdoc(model)}\n", _table_of(model.model_fields)]


def _table_of(fields: dict[str, FieldInfo]) -> str:
    rows = [f"| `{name}` | {_default(field)} | {_meaning(field)} |" for name, field in fields.items()]
    return "\n".join(["| key | default | meaning |", "|---|---|---|", *rows, ""])


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None or field.default is None:
        return ""
    return f"`{_toml(field.default)}`"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | frozenset):
        return f"[{', '.join(_toml(each) for each in value)}]"
    if isinstance(value, int | float):
        return f"{value:g}" if value != int(value) else str(value)
    return f'"{value.value if isinstance(value, Enum) else value}"'


def _meaning(field: FieldInfo) -> str:
    words = " ".join((field.description or "").split())
    literals = [arguments for arguments in _literals(field.annotation) if arguments]
    missing = [word for word in (literals[0] if literals else ()) if f"`{word}`" not in words]
    if missing and literals:
        words += f" One of {', '.join(f'`{word}`' for word in literals[0])}."
    return words


def _literals(annotation: Any) -> Iterator[tuple[str, ...]]:
    if typing.get_origin(annotation) is typing.Literal:
        yield typing.get_args(annotation)
    elif isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        for each in typing.get_args(annotation):
            yield from _literals(each)


def _level_meaning(level: Level) -> str:
    source = inspect.getsource(Level)
    after = source.split(f"{level.name} =", 1)[1]
    return after.split('"""')[1]


# Command line

_COMMANDS_HEAD = """\
# Command line

    requiretls COMMAND …

Every command takes `--config FILE` (else `$REQUIRETLS_CONFIG`, else `/etc/requiretls.toml`) and `--json`
for machines. Exit codes are those of sysexits.h: 0 all well, 64 usage, 69 something failed for good or is
wrong, 75 something is still open, 78 settings.

Shell completion, for bash, zsh and fish:

    eval "$(_REQUIRETLS_COMPLETE=bash_source requiretls)"

Man pages are made by `make man`.
"""


def command_line_page() -> str:
    """Return command_line.md: the help of every command as it is shown."""
    return NOTE + "\n".join([_COMMANDS_HEAD, *_commands(requiretls, "requiretls", None)])


def _commands(command: click.Command, name: str, parent: click.Context | None) -> Iterator[str]:
    context = command.make_context(
        name, [], parent, resilient_parsing=True, terminal_width=100, max_content_width=100
    )
    # click keeps the first help option made for a command, and click-man makes another one.
    command._help_option = None
    yield f"## `{context.command_path}`\n\n```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for child in sorted(command.commands):
            yield from _commands(command.commands[child], child, context)


# Reasons

_REASONS_HEAD = """\
# Reasons

Why a message did not travel, or a host was passed over. The words are the same everywhere: in `--json`,
in the [log](log.md), in the [metrics](metrics.md) and in `requiretls check`.

What the sender gets for a message under REQUIRETLS:

| what all hosts proved | reply |
|---|---|
| REQUIRETLS is missing on every host, after TLS | `550 5.7.30` |
| TLS, certificate or name failed, or hosts failed in different ways | `550 5.7.10` |
| some host could not be judged | `451 4.7.10`, or `451 4.4.x` for network and DNS |
| the settings here are at fault | `451 4.3.5`, never a bounce |
| the domain takes no mail | `556 5.1.10` |
| there is no such domain | `550 5.1.2` |

Mail that asks for nothing is deferred with `451 4.7.5` while the recipient's DANE or MTA-STS cannot be
met, and tried again. `requiretls explain ADDRESS` shows for one domain what was looked at, what decided,
and what would have to be published there.

"The sender reads" is what a notice says; {server}, {domain} and {reporter} are filled in.
"""

_OPERATOR = {
    Reason.REQUIRETLS_NOT_OFFERED: (
        "Nothing here. The recipient's server needs one that supports RFC 8689. If the recipient is a"
        " partner who has TLS but not the keyword, a line in `[levels]` passes REQUIRETLS on without "
        "insisting on it."
    ),
    Reason.STARTTLS_NOT_OFFERED: (
        "If it is not so for others (try from another network), something on the way strips STARTTLS:"
        " a firewall that inspects SMTP is the usual cause. Else it is up to the recipient's "
        "postmaster."
    ),
    Reason.STARTTLS_REFUSED: (
        "Up to the recipient's postmaster; a server that lists STARTTLS and refuses it has lost its key."
    ),
    Reason.TLS_HANDSHAKE_FAILED: (
        "See the words of the TLS library in the log. A server that knows only TLS 1.0 or 1.1 fails "
        "where authentication is demanded; `tls.minimum_version` goes no lower than 1.2."
    ),
    Reason.CERTIFICATE_NOT_TRUSTED: (
        "If the CA is one you trust, name it in `tls.ca_file`. Else it is up to the recipient's "
        "postmaster: a certificate of a known CA, all intermediate ones sent along, or DANE."
    ),
    Reason.CERTIFICATE_EXPIRED: (
        "Look at this machine's clock first; then it is up to the recipient's postmaster."
    ),
    Reason.CERTIFICATE_NAME_MISMATCH: (
        "Up to the recipient's postmaster: the certificate has to be for the host's name in the MX "
        "record. For a smarthost, name it in `delivery.smarthost` as its certificate does."
    ),
    Reason.DANE_MISMATCH: (
        "Up to the recipient's postmaster, who most likely replaced the certificate before the TLSA "
        "record. It may be an attack: do not work around it."
    ),
    Reason.NAME_NOT_PROVEN: (
        "See that the resolver validates (`requiretls doctor`): without that nobody's name is proven."
        " Else the domain has neither DNSSEC nor MTA-STS, and only its postmaster can change that."
    ),
    Reason.STS_MISMATCH: (
        "Up to the recipient's postmaster: MX records and MTA-STS policy disagree. The policy id is "
        "looked up again before a failure is final. It may be an attack: do not work around it."
    ),
    Reason.STS_UNAVAILABLE: (
        "See that this machine reaches other HTTPS sites (`mta_sts.port`, `mta_sts.ca_file`). A "
        "policy that was fetched before goes on to count; a `cache.url` that survives restarts keeps "
        "it."
    ),
    Reason.DNS_FAILURE: (
        "See that the resolver runs and has a way out. If only one domain fails, its name servers do."
    ),
    Reason.DNSSEC_BOGUS: (
        "If all signed domains fail, look at the clock and at the resolver's trust anchor. Else it is"
        " up to the domain's postmaster. Never turn validation off for it."
    ),
    Reason.NULL_MX: ("Nothing. The domain publishes a null MX (RFC 7505)."),
    Reason.NO_SUCH_DOMAIN: ("Nothing. The address is wrong."),
    Reason.HOST_UNREACHABLE: (
        "See that this machine may connect to port 25 of others; many networks forbid it."
    ),
    Reason.REJECTED: ("Read the server's own words in the log or notice."),
    Reason.CONNECTION_LOST: (
        "Nothing, if it is rare. If it is always at the same place, look for a firewall."
    ),
    Reason.PROTOCOL_VIOLATION: (
        "See the log for what the server said. Text between STARTTLS and the handshake is an attack."
    ),
    Reason.CONFIGURATION: (
        "Run `requiretls doctor`, and look at the log: it names a plugin that fails, and resolvers that"
        " do not validate DNSSEC."
    ),
}


def reasons_page() -> str:
    """Return reasons.md: what the sender reads and what the operator does, for each reason."""
    parts = [_REASONS_HEAD]
    for reason in Reason:
        words = EXPLANATIONS[reason]
        happened, meaning = (text[:1].upper() + text[1:] for text in (words.happened, words.meaning))
        parts.append(
            f"## `{reason.value}`\n\n"
            f"**The sender reads:** {happened} {meaning} {words.remedy}\n\n"
            f"**The operator:** {_OPERATOR[reason]}\n"
        )
    return NOTE + "\n".join(parts)


PAGES = {
    "settings.md": settings_page,
    "command_line.md": command_line_page,
    "reasons.md": reasons_page,
}


def write_man_pages(folder: Path) -> None:
    """Write a man page for each command to *folder*; needs click-man."""
    from click_man.core import write_man_pages as write

    folder.mkdir(parents=True, exist_ok=True)
    write("requiretls", requiretls, version=__version__, target_dir=str(folder))


if __name__ == "__main__":
    if sys.argv[1:]:
        write_man_pages(Path(sys.argv[1]))
    else:
        for file_name, page in PAGES.items():
            (HERE / file_name).write_text(page(), encoding="utf-8")
