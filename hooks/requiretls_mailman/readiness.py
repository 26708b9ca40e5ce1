"""What in this installation would break the promise or lose it silently: `mailman requiretls check`."""

from __future__ import annotations

import asyncio
import ipaddress
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

from lazr.config import as_boolean
from mailman.config import config

from requiretls_mailman import runners
from requiretls_mailman.adapter import installed, load_settings
from requiretls_mailman.errors import NotInstalledError
from requiretls_plugin.engine import Engine
from requiretls_plugin.errors import PluginError, SettingsError
from requiretls_plugin.postfix_front import PARAMETERS, front_problems, parse_postconf
from requiretls_plugin.settings import Settings

PLUGIN = "requiretls_mailman.RequireTLSPlugin"

# Sections [runner.NAME] and the class each needs.
RUNNERS = {
    "archive": runners.ArchiveRunner,
    "bounces": runners.BounceRunner,
    "command": runners.CommandRunner,
    "digest": runners.DigestRunner,
    "in": runners.IncomingRunner,
    "lmtp": runners.LMTPRunner,
    "nntp": runners.NNTPRunner,
    "out": runners.OutgoingRunner,
    "pipeline": runners.PipelineRunner,
    "virgin": runners.VirginRunner,
}

POSTCONF_SECONDS = 10.0


def problems_of_installation() -> list[str]:
    """Return every problem on one line with its remedy; none means that all is well."""
    problems = [*_section_problems()]
    try:
        settings = load_settings(plugin_name())
    except SettingsError as error:
        return [*problems, *(f"{error.source}: {problem}" for problem in error.problems)]
    return [
        *problems,
        *_lmtp_problems(settings),
        *_smarthost_problems(settings),
        *_postfix_problems(settings),
    ]


def plugin_name() -> str:
    """Return the name of our section [plugin.NAME]; `requiretls` if there is none."""
    for name, section in config.plugin_configs:
        if section["class"].strip() == PLUGIN:
            return str(name)
    return "requiretls"


def _section_problems() -> Iterator[str]:
    sections = dict(config.plugin_configs)
    section = sections.get(plugin_name())
    if section is None or section["class"].strip() != PLUGIN:
        yield f"no section for the plugin: write [plugin.requiretls] with class: {PLUGIN}"
    elif not as_boolean(section["enabled"]):
        yield f"[plugin.{plugin_name()}] is not enabled: write enabled: yes"
    else:
        try:
            installed()
        except NotInstalledError as error:
            yield str(error)
    if config.mta.outgoing != runners.OUTGOING:
        yield f"[mta] outgoing is {config.mta.outgoing}, tags are lost there: write {runners.OUTGOING}"
    for name, runner in RUNNERS.items():
        own, found = f"requiretls_mailman.runners.{runner.__name__}", _runner_class(name)
        if found is not None and found != own:
            yield f"[runner.{name}] class is {found}, tags are lost there: write {own}"


def _runner_class(name: str) -> str | None:
    """Return the class of the runner *name*, None if it is not started."""
    section = getattr(config, f"runner.{name}", None)
    if section is None or not as_boolean(section.start):
        return None
    return str(section["class"])


def _lmtp_problems(settings: Settings) -> Iterator[str]:
    if settings.receive.certificate is None:
        yield (
            "LMTP is unprotected, so nobody can give us REQUIRETLS:"
            " set receive.certificate and receive.private_key"
        )
    if not settings.receive.advertise:
        yield "REQUIRETLS is not offered over LMTP: set receive.advertise = true"
    host = config.mta.lmtp_host
    if settings.receive.certificate is None and not _is_loopback(host):
        yield f"[mta] lmtp_host {host} takes mail over the network in cleartext: add a certificate"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _smarthost_problems(settings: Settings) -> Iterator[str]:
    async def ask() -> Any:
        async with Engine(settings) as engine:
            return await engine.check_smarthost()

    try:
        refusal = asyncio.run(ask())
    except (SettingsError, PluginError) as error:
        yield str(error)
        return
    if refusal is not None:
        yield (
            f"delivery.smarthost {settings.delivery.smarthost} cannot take REQUIRETLS mail"
            f" ({refusal.reason.value}: {refusal.why})"
        )


def _postfix_problems(settings: Settings) -> list[str]:
    postconf = shutil.which("postconf")
    if postconf is None or not config.mta.incoming.startswith("mailman.mta.postfix."):
        return []
    command = [postconf, *PARAMETERS]
    asked = subprocess.run(  # noqa: S603 - its own path, fixed arguments
        command, capture_output=True, text=True, timeout=POSTCONF_SECONDS, check=False
    )
    return front_problems(parse_postconf(asked.stdout), settings.receive.trusted_hops)


def notes_on_installation(settings: Settings) -> list[str]:
    """Return what an operator should know although it breaks nothing."""
    notes = []
    if settings.delivery.smarthost is None:
        notes.append("mail goes to the MX hosts; [mta] smtp_host is not used")
        if int(config.mta.max_recipients) > 0:
            notes.append("[mta] max_recipients: 0 lets all members of a list be served at once")
    else:
        notes.append(f"mail goes to {settings.delivery.smarthost}; [mta] smtp_host is not used")
    if config.mta.smtp_user:
        notes.append("[mta] smtp_user and smtp_pass are not used: see delivery.smarthost_user")
    return notes
