"""`make demo`: a Salmon app takes mail with REQUIRETLS and delivers it only where it may go.

Everything is real: unbound validates the laboratory's signed zones, `salmon
start` runs examples/salmon_forwarder, and each message goes over SMTP with
STARTTLS to it and on to the destination. The second column comes from
`requiretls check`'s evaluator, the third from what the destination recorded.
"""

from __future__ import annotations

import asyncio
import smtplib
import ssl
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from requiretls_lab.catalogue import CATALOGUE
from requiretls_lab.errors import LabError
from requiretls_lab.laboratory import HOSTNAME, Laboratory
from requiretls_lab.smtp_record import AcceptedMessage
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.engine import Engine
from requiretls_plugin.preflight import HostReadiness, Readiness
from tests.demo.forwarder import Forwarder, forwarder

REQUIRETLS, HEADER, NOTHING = "REQUIRETLS", "TLS-Required: No", "nothing"

WIDTH = 150

MESSAGES = (
    (REQUIRETLS, "dane-ee.test"),
    (REQUIRETLS, "dane-ta.test"),
    (REQUIRETLS, "dnssec-pkix.test"),
    (REQUIRETLS, "sts.test"),
    (REQUIRETLS, "two-hosts.test"),
    (REQUIRETLS, "no-keyword.test"),
    (REQUIRETLS, "sticky-ehlo.test"),
    (REQUIRETLS, "no-starttls.test"),
    (REQUIRETLS, "half-dane.test"),
    (REQUIRETLS, "sts-down.test"),
    (REQUIRETLS, "null-mx.test"),
    (NOTHING, "dane-ee.test"),
    (NOTHING, "wrong-tlsa.test"),
    (HEADER, "wrong-tlsa.test"),
    (HEADER, "no-starttls.test"),
)


@dataclass(frozen=True, slots=True)
class Story:
    """One message: what was asked, of whom, and what came of it."""

    asked: str
    domain: str
    reply: str
    arrived: Sequence[tuple[str, AcceptedMessage]]


def main() -> int:
    """Run the demo; return the exit status."""
    console = Console()
    if not console.is_terminal or console.width < WIDTH:
        console = Console(width=WIDTH)
    try:
        with Laboratory(CATALOGUE) as lab:
            settings = lab.write_settings(lab.folder / "requiretls.toml")
            with forwarder(lab.folder, settings) as app:
                console.print(f"Salmon listens at {app.address}:{app.port}, unbound at {lab.resolver}.\n")
                stories = [_send(lab, app, asked, domain) for asked, domain in MESSAGES]
            readiness = asyncio.run(_readiness(lab))
    except LabError as error:
        console.print(str(error), style="red", markup=False)
        return 69
    console.print(_table(stories, readiness))
    return 0


def _send(lab: Laboratory, app: Forwarder, asked: str, domain: str) -> Story:
    """Send one message to the forwarder as any SMTP client would."""
    lab.reset()
    content = b"From: alice@sender.test\r\nSubject: demo\r\n\r\nHello\r\n"
    if asked == HEADER:
        content = b"TLS-Required: No\r\n" + content
    context = ssl.create_default_context(cafile=str(lab.authority.ca_file))
    with smtplib.SMTP(app.address, app.port, local_hostname="client.test") as client:
        client._host = HOSTNAME  # type: ignore[attr-defined] # the name to verify; smtplib takes no other
        client.starttls(context=context)
        client.ehlo()
        options = ["REQUIRETLS"] if asked == REQUIRETLS else []
        try:
            client.sendmail("alice@sender.test", [f"bob@{domain}"], content, mail_options=options)
            reply = "250 accepted"
        except smtplib.SMTPResponseException as error:
            reply = f"{error.smtp_code} {error.smtp_error.decode('ascii')}"  # type: ignore[union-attr]
    arrived = _arrived(lab)
    return Story(asked, domain, reply, arrived)


def _arrived(lab: Laboratory) -> list[tuple[str, AcceptedMessage]]:
    hosts = [host.name(domain.name) for domain in CATALOGUE for host in domain.hosts]
    return [(host, message) for host in hosts for message in lab.destination(host).messages]


async def _readiness(lab: Laboratory) -> dict[str, Readiness]:
    domains = {domain for _, domain in MESSAGES}
    async with Engine(lab.settings()) as engine:
        found = await asyncio.gather(*(engine.check(DomainName(domain)) for domain in domains))
    return {readiness.domain.text: readiness for readiness in found}


def _table(stories: Sequence[Story], readiness: dict[str, Readiness]) -> Table:
    table = Table(show_lines=True, expand=True)
    for title in ("The sender asked", "for mail to", "whose hosts could prove", "What happened", "Why"):
        table.add_column(title, overflow="fold")
    for story in stories:
        ready = readiness[story.domain]
        style = "green" if story.arrived else "red" if story.reply.startswith("5") else "yellow"
        happened = "\n".join(_arrival(host, message) for host, message in story.arrived)
        proved = "\n".join(_proof(host) for host in ready.hosts) or (
            ready.reason.value if ready.reason else ""
        )
        why = story.reply if not story.arrived else _meaning(story.domain)
        outcome = happened or ("refused" if story.reply.startswith("5") else "not now")
        table.add_row(story.asked, story.domain, proved, f"[{style}]{outcome}[/]", why)
    return table


def _arrival(host: str, message: AcceptedMessage) -> str:
    how = "over TLS" if message.tls else "in cleartext"
    return f"delivered to {host} {how}" + (" under REQUIRETLS" if message.requiretls else "")


def _proof(host: HostReadiness) -> str:
    words = [f"name: {host.name_proof.value}", f"certificate: {host.authentication}"]
    if host.starttls is False:
        words.append("no STARTTLS")
    else:
        offers = {True: "REQUIRETLS", False: "no REQUIRETLS", None: "REQUIRETLS unknown"}
        words.append(offers[host.requiretls])
    return f"{host.host}: {', '.join(words)}"


def _meaning(name: str) -> str:
    return next(domain.meaning for domain in CATALOGUE if domain.name == name)


if __name__ == "__main__":
    sys.exit(main())
