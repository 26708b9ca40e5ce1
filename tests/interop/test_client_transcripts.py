"""The client's side of recorded talks, played to our receivers again."""

from __future__ import annotations

import re

import pytest

from requiretls_lab.laboratory import Laboratory
from requiretls_plugin.requirement import Origin, Requirement, Tag
from tests.hooks.aiosmtpd.played_client import Client
from tests.hooks.aiosmtpd.serving import SERVER_NAME, Keeper, server_context
from tests.interop.receiver import SESSIONS, tagged
from tests.interop.transcript import CLIENT, HANDSHAKE, IDENT, OF_CLIENTS, SERVER, Transcript
from tests.socketless import SocketlessLoop, settled

REQUIRED = Tag(Requirement.REQUIRED, Origin.MAIL_PARAMETER)
OPTIONAL = Tag(Requirement.OPTIONAL, Origin.HEADER_FIELD)

# With what tag the message was taken; None: it was not.
EXPECTED = {
    "nodemailer-parameter": REQUIRED,
    "nodemailer-lmtp-parameter": REQUIRED,
    "nodemailer-header-field": OPTIONAL,
    "smtplib-parameter": REQUIRED,
    "smtplib-cleartext-parameter": None,
    "smtplib-header-field": OPTIONAL,
    "aiosmtplib-parameter": REQUIRED,
    "aiosmtplib-cleartext-parameter": None,
    "aiosmtplib-header-field": OPTIONAL,
    "swaks-header-field": OPTIONAL,
    "postfix-header-field": OPTIONAL,
    "exim-header-field": OPTIONAL,
}
NAMES = sorted(EXPECTED)


def recorded(name: str) -> Transcript:
    """Return the transcript of that name."""
    return Transcript.read(OF_CLIENTS / f"{name}.txt")


def test_every_transcript_is_in_the_table() -> None:
    """None is forgotten here when one is recorded."""
    assert {file.stem for file in OF_CLIENTS.iterdir()} == set(EXPECTED)


@pytest.mark.parametrize("name", NAMES)
def test_a_transcript_says_whence_and_when(name: str) -> None:
    """A client with its version, and a date."""
    head = recorded(name).head

    assert re.search(r"(nodemailer|smtplib|of Python|swaks|Postfix|Exim) \d+\.?\d+", head["source"])
    assert re.match(r"\d{4}-\d\d-\d\d by ", head["recorded"])


async def play(transcript: Transcript, keeper: Keeper, loop: SocketlessLoop) -> list[tuple[str, list[str]]]:
    """Let the client of *transcript* say to a receiver what it said then; return the whole talk."""
    kind = SESSIONS[transcript.head["protocol"]]
    client = Client(
        kind(keeper, hostname=SERVER_NAME, ident=IDENT, tls_context=server_context(), loop=loop),
        implicit_tls=False,
    )
    talk: list[tuple[str, list[str]]] = []

    def heard(replies: list[list[str]]) -> None:
        if replies:
            talk.append((SERVER, [line for reply in replies for line in reply]))

    heard(await client.say(""))
    for side, lines in transcript.turns:
        if side == HANDSHAKE:
            talk.append((HANDSHAKE, lines))
            await client.start_tls()
        elif side == CLIENT:
            talk.append((CLIENT, lines))
            heard(await client.say("".join(f"{line}\r\n" for line in lines)))
    client.transport.hang_up()
    await settled()
    return talk


@pytest.mark.requirement("8689-2-1", "8689-2-2", "8689-2-3", "8689-2-16", "8689-4.1-1", "8689-4.1-2")
@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_client_hears_the_same_again(lab: Laboratory, name: str) -> None:
    """To the letter and to the last line; and its message has the tag that it was given."""
    transcript, keeper, loop = recorded(name), Keeper("250 2.0.0 OK"), SocketlessLoop()
    try:
        talk = loop.run_until_complete(play(transcript, keeper, loop))
    finally:
        loop.close()

    assert talk == transcript.turns
    tags = [tagged(taken.message("127.0.0.1"), lab.settings()).tag for taken in keeper.taken]
    assert tags == ([] if EXPECTED[name] is None else [EXPECTED[name]])
