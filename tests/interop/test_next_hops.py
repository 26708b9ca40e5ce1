"""Foreign servers take from the engine what they may have, and nothing else."""

from __future__ import annotations

import itertools
import time
from email.message import EmailMessage

import pytest

from requiretls_lab.laboratory import Laboratory
from requiretls_plugin.requirement import Requirement
from tests.delivery.delivering import deliver, in_words, message
from tests.interop.exim import Exim
from tests.interop.next_hop import NextHop, subjects, wait_for
from tests.interop.postfix import Postfix
from tests.interop.smtp_server import SMTPServer

REQUIRED, UNSTATED, OPTIONAL = Requirement.REQUIRED, Requirement.UNSTATED, Requirement.OPTIONAL

_numbers = itertools.count()


def content(note: str) -> bytes:
    """Return a message whose Subject is *note*; with lines that a careless server or client would change."""
    return f"Subject: {note}\r\nX-Odd:  two  blanks \r\n\r\n.\r\n..two dots\r\nend\r\n".encode()


def fresh(note: str) -> str:
    return f"{note} {next(_numbers)}"


def body(parsed: EmailMessage) -> str:
    return str(parsed.get_payload()).replace("\r\n", "\n")


def domain(hop: NextHop) -> str:
    return hop.place.name.removeprefix("mx.")


@pytest.mark.requirement("8689-2-13", "8689-4.2.1-9", "8689-4.2.1-20")
def test_smtp_server_gets_required_messages_as_such(
    foreign_lab: Laboratory, smtp_server_on: SMTPServer
) -> None:
    """It lists REQUIRETLS after the handshake, takes the parameter and says that the session wants it."""
    subject = fresh("required")

    [outcome] = deliver(
        foreign_lab.settings(), message(REQUIRED, content=content(subject)), "u@smtp-server.test"
    )

    assert in_words(outcome) == "delivered dane requiretls"
    arrived = wait_for(smtp_server_on, subject)
    assert arrived.tls
    assert arrived.requiretls
    assert arrived.content == content(subject)


@pytest.mark.requirement("8689-4.2.2-4")
@pytest.mark.parametrize("requirement", [UNSTATED, OPTIONAL], ids=lambda each: each.value)
def test_smtp_server_gets_other_messages_without_the_parameter(
    foreign_lab: Laboratory, smtp_server_on: SMTPServer, requirement: Requirement
) -> None:
    """The header field `TLS-Required: No` goes along."""
    subject = fresh(requirement.value)

    deliver(foreign_lab.settings(), message(requirement, content=content(subject)), "u@smtp-server.test")

    arrived = wait_for(smtp_server_on, subject)
    assert arrived.tls
    assert not arrived.requiretls
    assert arrived.parsed["TLS-Required"] == ("No" if requirement is OPTIONAL else None)


@pytest.mark.requirement("8689-4.2.1-9", "8689-4.2.1-13", "8689-4.2.1-15")
def test_servers_without_requiretls_get_no_required_message(
    foreign_lab: Laboratory, hop_without_requiretls: NextHop
) -> None:
    """5.7.30 is what the sender hears; a later message that asks for nothing arrives, in TLS."""
    refused, sent = fresh("required"), fresh("unstated")
    to = f"u@{domain(hop_without_requiretls)}"

    [outcome] = deliver(foreign_lab.settings(), message(REQUIRED, content=content(refused)), to)
    [second] = deliver(foreign_lab.settings(), message(UNSTATED, content=content(sent)), to)

    assert in_words(outcome) == "failed 550 5.7.30 requiretls-not-offered"
    assert in_words(second) == "delivered dane"
    assert wait_for(hop_without_requiretls, sent).tls
    assert refused not in subjects(hop_without_requiretls)


@pytest.mark.requirement("8689-3-2", "8689-4.2.2-4")
def test_servers_without_requiretls_get_optional_messages_in_tls(
    foreign_lab: Laboratory, hop_without_requiretls: NextHop
) -> None:
    """STARTTLS is used although it need not be, and the message is not changed."""
    subject = fresh("optional")

    [outcome] = deliver(
        foreign_lab.settings(),
        message(OPTIONAL, content=content(subject)),
        f"u@{domain(hop_without_requiretls)}",
    )

    assert in_words(outcome) == "delivered encrypted"
    arrived = wait_for(hop_without_requiretls, subject)
    assert arrived.tls
    assert arrived.parsed["TLS-Required"] == "No"
    assert body(arrived.parsed) == ".\n..two dots\nend\n"


@pytest.mark.requirement("8689-4.2.1-11")
def test_postfix_hears_quit_where_it_would_have_heard_mail(
    foreign_lab: Laboratory, postfix_server: Postfix
) -> None:
    """Its own count of the session's commands shows that none of them was MAIL."""
    heard = len(postfix_server.log)

    deliver(foreign_lab.settings(), message(REQUIRED, content=content("nothing")), "u@postfix.test")

    for _ in range(250):  # Postfix writes that line a moment after we have gone
        if "disconnect from" in postfix_server.log[heard:]:
            break
        time.sleep(0.02)
    [sums] = [line for line in postfix_server.log[heard:].splitlines() if "disconnect from" in line]
    assert sums.endswith(" ehlo=2 starttls=1 quit=1 commands=4")


@pytest.mark.requirement("8689-4.2.1-11", "8689-4.2.1-1", "7672-2.2.1-1")
def test_the_third_host_gets_what_the_first_two_cannot_take(
    foreign_lab: Laboratory, exim_server: Exim, postfix_server: Postfix, smtp_server_on: SMTPServer
) -> None:
    """Exim and Postfix are preferred, smtp-server has REQUIRETLS; what is UNSTATED goes to Exim."""
    required, unstated = fresh("required"), fresh("unstated")

    [first] = deliver(foreign_lab.settings(), message(REQUIRED, content=content(required)), "u@three.test")
    [second] = deliver(foreign_lab.settings(), message(UNSTATED, content=content(unstated)), "u@three.test")

    assert (in_words(first), first.host) == ("delivered dane requiretls", "mx.smtp-server.test")
    assert (in_words(second), second.host) == ("delivered dane", "mx.exim.test")
    assert wait_for(smtp_server_on, required).requiretls
    assert wait_for(exim_server, unstated).tls
    assert required not in subjects(exim_server) + subjects(postfix_server)


@pytest.mark.parametrize("name", ["smtp-server", "postfix", "exim"])
@pytest.mark.usefixtures("smtp_server_on", "postfix_server", "exim_server")
def test_one_bad_recipient_does_not_stop_the_other(foreign_lab: Laboratory, name: str) -> None:
    """Whatever text the server chose for it, the outcome is its own word."""
    sent = message(content=content(fresh("two recipients")))

    bad, good = deliver(foreign_lab.settings(), sent, f"nobody@{name}.test", f"u@{name}.test")

    assert bad.from_server
    assert (bad.disposition.value, bad.reply.code) == ("failed", 550)
    assert in_words(good) == "delivered dane"
