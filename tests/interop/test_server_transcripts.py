"""The server's side of recorded talks, played to the state tables of the delivery again."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from requiretls_plugin.message import Recipient
from requiretls_plugin.policy.refusal import Refusal
from tests.delivery.demands import DEMANDS
from tests.interop.conversation import converse
from tests.interop.replayed_server import MESSAGE, ReplayedServer
from tests.interop.transcript import OF_SERVERS, Transcript

NO_KEYWORD = "refused: requiretls-not-offered"

# What became of each recipient, in the server's code, or why it was not even asked.
EXPECTED = {
    "smtp-server-required": "250",
    "smtp-server-unstated": "250",
    "smtp-server-two-recipients": "250 550",
    "smtp-server-off-required": NO_KEYWORD,
    "smtp-server-off-unstated": "250",
    "smtp-server-off-two-recipients": "250 550",
    "postfix-required": NO_KEYWORD,
    "postfix-unstated": "250",
    "postfix-two-recipients": "250 550",
    "exim-required": NO_KEYWORD,
    "exim-unstated": "250",
    "exim-two-recipients": "250 550",
}
NAMES = sorted(EXPECTED)


def test_every_transcript_is_in_the_table() -> None:
    """None is forgotten here when one is recorded."""
    assert {file.stem for file in OF_SERVERS.iterdir()} == set(EXPECTED)


@pytest.mark.parametrize("name", NAMES)
def test_a_transcript_says_whence_and_when(name: str) -> None:
    """A server with its version, and a date."""
    transcript = recorded(name)

    assert re.search(r"(smtp-server|Postfix|Exim) \d+\.\d+", transcript.head["source"])
    assert re.match(r"\d{4}-\d\d-\d\d by ", transcript.head["recorded"])


def recorded(name: str) -> Transcript:
    """Return the transcript of that name."""
    return Transcript.read(OF_SERVERS / f"{name}.txt")


def result_of(transcript: Transcript, wire: ReplayedServer) -> str:
    to = [Recipient.parse(address) for address in transcript.head["to"].split()]
    ended = converse(DEMANDS[transcript.head["demand"]], MESSAGE, to, wire)
    if isinstance(ended, Refusal):
        return f"refused: {ended.reason.value}"
    return " ".join(str(ended.replies[recipient].code) for recipient in to)


@pytest.mark.requirement("8689-2-15", "8689-4.2.1-9", "8689-4.2.1-11", "8689-4.2.1-13", "8689-4.2.1-20")
@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_server_hears_the_same_again(name: str) -> None:
    """To the letter and to the last line; it gives MAIL the parameter, or no MAIL at all, as it did then."""
    transcript = recorded(name)
    wire = ReplayedServer(transcript)

    assert result_of(transcript, wire) == EXPECTED[name]
    assert not wire.left
    mails = [line for line in transcript.lines if line.startswith("C: MAIL ")]
    assert len(mails) == (0 if EXPECTED[name] == NO_KEYWORD else 1)
    assert all(line.endswith(" REQUIRETLS") == (transcript.head["demand"] == "REQUIRETLS") for line in mails)


def without_keyword_in_tls(transcript: Transcript) -> Transcript:
    """Return *transcript* as if the keyword had been listed before the handshake only."""
    lines = list(transcript.lines)
    lines.remove("S: 250 REQUIRETLS")
    last = lines.index("C: MAIL FROM:<a@sender.test> REQUIRETLS") - 1
    lines[last] = lines[last].replace("250-", "250 ")
    lines[lines.index("S: 250 STARTTLS")] = "S: 250-STARTTLS"
    lines.insert(lines.index("S: 250-STARTTLS") + 1, "S: 250 REQUIRETLS")
    mail = lines.index("C: MAIL FROM:<a@sender.test> REQUIRETLS")
    return replace(transcript, lines=(*lines[:mail], "C: QUIT", "S: 221 Bye"))


@pytest.mark.requirement("8689-2-15")
def test_attack_a_recorded_server_with_its_keyword_moved_before_tls_gets_nothing() -> None:
    """Someone in the middle may have put it there."""
    transcript = without_keyword_in_tls(recorded("smtp-server-required"))
    wire = ReplayedServer(transcript)

    assert result_of(transcript, wire) == NO_KEYWORD
    assert not wire.left
