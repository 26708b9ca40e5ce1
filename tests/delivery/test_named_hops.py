"""Servers that somebody named: smarthosts with and without a login, and LMTP next door."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
from pathlib import Path

import pytest

from requiretls_lab.authority import EXPIRED, Leaf
from requiretls_lab.laboratory import Laboratory
from requiretls_lab.smtp_script import EXTENSIONS, Act, Answer, Offer, Script
from requiretls_plugin.delivery.outcome import Outcome
from requiretls_plugin.engine import Engine
from requiretls_plugin.errors import SettingsError
from requiretls_plugin.level import Level
from requiretls_plugin.message import Message
from requiretls_plugin.policy.next_hop import Login, NamedHop, Protocol, UNIXSocket, Wrapping
from requiretls_plugin.requirement import Requirement
from requiretls_plugin.server_address import ServerAddress
from requiretls_plugin.settings import DeliverySettings, Settings
from requiretls_plugin.smarthost import smarthost_hop
from tests.delivery.delivering import deliver, delivered_by, in_words, message, plugins
from tests.delivery.other_servers import OtherServer

REQUIRED, UNSTATED, OPTIONAL = Requirement.REQUIRED, Requirement.UNSTATED, Requirement.OPTIONAL

SMARTHOST = "mx.dnssec-pkix.test"
TO = "u@null-mx.test"  # nobody asks DNS about it


def by_smarthost(lab: Laboratory, requirement: Requirement, **delivery: object) -> str:
    settings = lab.settings(delivery={"smarthost": f"{SMARTHOST}:{lab.port}", **delivery})
    [outcome] = deliver(settings, message(requirement), TO)
    return in_words(outcome)


@pytest.mark.requirement("8689-4.2.1-23", "8461-3.4-1")
def test_a_smarthost_takes_all_mail(lab: Laboratory) -> None:
    """REQUIRED mail if it proves the name that the settings give it."""
    assert by_smarthost(lab, REQUIRED) == "delivered named-pkix requiretls"
    assert by_smarthost(lab, UNSTATED) == "delivered encrypted"
    assert by_smarthost(lab, OPTIONAL) == "delivered encrypted"
    assert {accepted.sni for accepted in lab.destination(SMARTHOST).messages} == {SMARTHOST}


@pytest.mark.requirement("8689-4.2.1-23")
@pytest.mark.parametrize(
    ("script", "verdict"),
    [
        (Script(requiretls=Offer.NEVER), "failed 550 5.7.30 requiretls-not-offered"),
        (Script(starttls=False), "failed 550 5.7.10 starttls-not-offered"),
    ],
    ids=["no keyword", "no STARTTLS"],
)
def test_a_smarthost_is_held_to_requiretls_like_any_host(
    lab: Laboratory, script: Script, verdict: str
) -> None:
    """Being named by the operator proves its name, and nothing else."""
    lab.destination(SMARTHOST).script = script

    assert by_smarthost(lab, REQUIRED) == verdict


@pytest.mark.requirement("8689-4.2.1-23")
def test_a_smarthost_with_a_certificate_for_another_name_gets_no_required_mail(lab: Laboratory) -> None:
    """The name in the settings is the one that counts."""
    host = lab.destination(SMARTHOST)
    host.certificate = lab.authority.issue(Leaf(("mx.elsewhere.test",)))

    assert by_smarthost(lab, REQUIRED) == "failed 550 5.7.10 certificate-name-mismatch"
    assert not host.messages


@pytest.mark.requirement("8689-4.2.1-23")
def test_a_smarthost_named_by_address_keeps_required_mail_waiting(lab: Laboratory) -> None:
    """The mistake is in our settings, so nobody's message is given up for it."""
    host = lab.destination(SMARTHOST)
    settings = lab.settings(delivery={"smarthost": f"{host.address}:{lab.port}"})

    [outcome] = deliver(settings, message(REQUIRED), TO)

    assert in_words(outcome) == "deferred 451 4.3.5 configuration"
    assert not host.connections


@pytest.mark.requirement("8689-4.2.2-5")
@pytest.mark.parametrize("answer", [b"nonsense\r\n", Act.RESET], ids=["nonsense", "reset"])
def test_a_smarthost_gets_nothing_in_the_clear_because_a_header_field_says_no(
    lab: Laboratory, answer: Answer
) -> None:
    """`TLS-Required: No` waives what recipients publish; the smarthost is ours."""
    lab.destination(SMARTHOST).script = Script(replies={"handshake": answer})

    assert by_smarthost(lab, OPTIONAL).startswith("deferred")
    assert not lab.destination(SMARTHOST).messages


PLAIN = base64.b64encode(b"\0list\0p\xc3\xa4ss").decode()
ASKS_FOR_LOGIN = Script(extensions=(*EXTENSIONS, "AUTH LOGIN PLAIN"), replies={"AUTH": "235 2.7.0 welcome"})


@pytest.fixture
def login(lab: Laboratory, tmp_path: Path) -> dict[str, str]:
    """The settings of a user at a smarthost that asks for a login."""
    lab.destination(SMARTHOST).script = ASKS_FOR_LOGIN
    file = tmp_path / "password"
    file.write_text("päss\nthe second line is no part of it\n", encoding="utf-8")
    return {"smarthost_user": "list", "smarthost_password_file": str(file)}


def said(lab: Laboratory) -> list[str]:
    return [
        command.line
        for connection in lab.destination(SMARTHOST).connections
        for command in connection.commands
    ]


@pytest.mark.parametrize("requirement", Requirement)
def test_a_login_is_made_inside_verified_tls(
    lab: Laboratory, login: dict[str, str], requirement: Requirement
) -> None:
    """Whatever the message asks for; the server's name is proved first."""
    expected = "delivered named-pkix" + (" requiretls" if requirement is REQUIRED else "")

    assert by_smarthost(lab, requirement, **login) == expected
    [connection] = lab.destination(SMARTHOST).connections
    assert connection.verbs == ["EHLO", "STARTTLS", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "QUIT"]
    [auth] = [command for command in connection.commands if command.verb == "AUTH"]
    assert auth.line == f"AUTH PLAIN {PLAIN}"
    assert auth.tls


def test_a_login_by_the_older_mechanism(lab: Laboratory, login: dict[str, str]) -> None:
    """For servers that have no PLAIN."""
    user, password = (base64.b64encode(text.encode()).decode().upper() for text in ("list", "päss"))
    answers = {"AUTH": "334 VXNlcm5hbWU6", user: "334 UGFzc3dvcmQ6", password: "235 2.7.0 welcome"}
    lab.destination(SMARTHOST).script = Script(extensions=("AUTH LOGIN",), replies=answers)

    assert by_smarthost(lab, UNSTATED, **login) == "delivered named-pkix"


@pytest.mark.parametrize(
    ("script", "verdict"),
    [
        pytest.param(
            dataclasses.replace(ASKS_FOR_LOGIN, starttls=False),
            "deferred 451 4.7.5 starttls-not-offered",
            id="STARTTLS stripped",
        ),
        pytest.param(
            dataclasses.replace(ASKS_FOR_LOGIN, replies={"STARTTLS": "454 4.7.0 later"}),
            "deferred 451 4.7.5 starttls-refused",
            id="STARTTLS refused",
        ),
        pytest.param(
            dataclasses.replace(ASKS_FOR_LOGIN, replies={"handshake": b"nonsense\r\n"}),
            "deferred 451 4.7.5 tls-handshake-failed",
            id="handshake broken",
        ),
        pytest.param(
            dataclasses.replace(ASKS_FOR_LOGIN, replies={"EHLO": "502 5.5.1 what?"}),
            "deferred 451 4.7.5 starttls-not-offered",
            id="no EHLO",
        ),
        pytest.param(
            dataclasses.replace(ASKS_FOR_LOGIN, replies={"AUTH": "535 5.7.8 wrong"}),
            "deferred 451 4.3.5 configuration",
            id="wrong password: our mistake",
        ),
        pytest.param(
            dataclasses.replace(ASKS_FOR_LOGIN, replies={"AUTH": "454 4.7.0 try later"}),
            "deferred 454 4.7.0 rejected",
            id="password cannot be checked now",
        ),
        pytest.param(Script(), "deferred 451 4.3.5 configuration", id="no AUTH at all"),
    ],
)
@pytest.mark.parametrize("requirement", [UNSTATED, OPTIONAL])
def test_attack_a_login_is_never_made_without_proof_nor_dispensed_with(
    lab: Laboratory, login: dict[str, str], script: Script, verdict: str, requirement: Requirement
) -> None:
    """No password in the clear, and no message without it."""
    lab.destination(SMARTHOST).script = script

    assert by_smarthost(lab, requirement, **login) == verdict
    if "AUTH" not in script.replies:
        assert not any("AUTH" in line for line in said(lab))
    assert not lab.destination(SMARTHOST).messages


@pytest.mark.parametrize(
    ("leaf", "reason"),
    [
        (Leaf(("mx.elsewhere.test",)), "certificate-name-mismatch"),
        (Leaf((SMARTHOST,), days=EXPIRED), "certificate-expired"),
    ],
)
@pytest.mark.parametrize("requirement", [UNSTATED, OPTIONAL])
def test_attack_an_impostor_gets_no_password(
    lab: Laboratory, login: dict[str, str], leaf: Leaf, reason: str, requirement: Requirement
) -> None:
    """A certificate that proves nothing ends the session before AUTH."""
    lab.destination(SMARTHOST).certificate = lab.authority.issue(leaf)

    assert by_smarthost(lab, requirement, **login) == f"deferred 451 4.7.5 {reason}"
    assert not any("AUTH" in line for line in said(lab))


def test_a_session_with_a_login_serves_nobody_else(lab: Laboratory, login: dict[str, str]) -> None:
    """Two users of the same server have a session each."""
    server = ServerAddress.parse(f"{SMARTHOST}:{lab.port}")

    async def run() -> None:
        async with Engine(lab.settings(), plugins()) as engine:
            for user in ("a", "b", "a", None):
                hop = NamedHop(server, login=Login(user, "x") if user else None)
                [outcome] = await delivered_by(engine, message(next_hop=hop), TO)
                assert in_words(outcome).startswith("delivered")

    asyncio.run(run())

    sessions = lab.destination(SMARTHOST).connections
    assert [len(connection.messages) for connection in sessions] == [2, 1, 1]


def test_the_password_comes_from_a_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file wins."""
    file = tmp_path / "password"
    file.write_text("from-file\r\n")
    server = ServerAddress.parse("relay.example:587")
    monkeypatch.setenv("REQUIRETLS_SMARTHOST_PASSWORD", "from-environment")

    by_environment = smarthost_hop(DeliverySettings(smarthost=server, smarthost_user="u"))
    by_file = smarthost_hop(
        DeliverySettings(smarthost=server, smarthost_user="u", smarthost_password_file=file)
    )

    assert by_environment == NamedHop(server, login=Login("u", "from-environment"))
    assert by_file == NamedHop(server, login=Login("u", "from-file"))
    assert smarthost_hop(DeliverySettings(smarthost=server)) == NamedHop(server)
    assert smarthost_hop(DeliverySettings()) is None


@pytest.mark.parametrize(
    ("delivery", "problem"),
    [
        ({"smarthost_user": "u"}, "delivery.smarthost_password_file: missing"),
        ({"smarthost_password_file": "nowhere"}, "delivery.smarthost_user: missing"),
        (
            {"smarthost_user": "u", "smarthost_password_file": "nowhere"},
            "delivery.smarthost_password_file: {folder}/nowhere: No such file or directory",
        ),
        ({"smarthost_user": ""}, "delivery.smarthost_user: "),
        ({"trusted_local_hops": ["mail.example:24"]}, "delivery.trusted_local_hops"),
    ],
)
def test_mistakes_in_the_settings_of_named_hops_are_reported(
    tmp_path: Path, delivery: dict[str, object], problem: str
) -> None:
    """When they are read, and not when the first message is due."""
    with pytest.raises(SettingsError) as raised:
        Settings.from_table({"delivery": delivery}, source="test", folder=tmp_path)

    assert any(line.startswith(problem.format(folder=tmp_path)) for line in raised.value.problems)


def test_an_empty_password_is_no_password(tmp_path: Path) -> None:
    """Found when the file is read."""
    file = tmp_path / "password"
    file.write_text("\n")
    server = ServerAddress.parse("relay.example:587")

    with pytest.raises(SettingsError, match="no password for u"):
        smarthost_hop(DeliverySettings(smarthost=server, smarthost_user="u", smarthost_password_file=file))


@pytest.mark.parametrize("requirement", Requirement)
def test_implicit_tls(lab: Laboratory, requirement: Requirement) -> None:
    """TLS from the first octet, with the same proofs (RFC 8314)."""
    server = OtherServer(lab.destination(SMARTHOST), Script())

    async def run() -> Outcome:
        async with server.at_port(implicit_tls=True) as port, Engine(lab.settings(), plugins()) as engine:
            hop = NamedHop(ServerAddress.parse(f"{SMARTHOST}:{port}"), Wrapping.IMPLICIT)
            [outcome] = await delivered_by(engine, message(requirement, next_hop=hop), TO)
            return outcome

    required = requirement is REQUIRED
    assert in_words(asyncio.run(run())) == f"delivered {'named-pkix requiretls' if required else 'encrypted'}"
    [connection] = server.connections
    assert connection.verbs == ["EHLO", "MAIL", "RCPT", "DATA", "QUIT"]


def lmtp_outcomes(
    lab: Laboratory, script: Script, sent: Message, *to: str, trusted: bool = True
) -> tuple[list[str], OtherServer]:
    """Deliver over LMTP to a server behind a UNIX socket."""
    path = lab.folder / "lmtp"
    server = OtherServer(lab.destination("mx.dane-ee.test"), script)
    settings = lab.settings(delivery={"trusted_local_hops": [f"unix:{path}"] if trusted else []})
    hop = NamedHop(UNIXSocket(str(path)), protocol=Protocol.LMTP)

    async def run() -> list[str]:
        async with server.at_path(path), Engine(settings, plugins()) as engine:
            outcomes = await delivered_by(engine, dataclasses.replace(sent, next_hop=hop), *to)
            return [in_words(outcome) for outcome in outcomes]

    try:
        return asyncio.run(run()), server
    finally:
        path.unlink(missing_ok=True)  # asyncio of Python 3.13 does so itself


BY_LMTP = Script(lmtp=True, starttls=False, requiretls=Offer.NEVER)
THREE = ("a@here.test", "b@here.test", "c@here.test")


@pytest.mark.parametrize("requirement", Requirement)
def test_a_trusted_local_hop_gets_every_message_over_lmtp(lab: Laboratory, requirement: Requirement) -> None:
    """That is final delivery: no TLS, and no keyword that the server would not know."""
    outcomes, server = lmtp_outcomes(lab, BY_LMTP, message(requirement), THREE[0])

    assert outcomes == ["delivered cleartext"]
    assert server.connections[0].verbs == ["LHLO", "MAIL", "RCPT", "DATA", "QUIT"]
    assert not server.connections[0].messages[0].requiretls


def test_over_lmtp_each_recipient_has_its_own_outcome(lab: Laboratory) -> None:
    """One answer each after the content (RFC 2033 section 4.2), and none is sent twice."""
    answers = ["250 2.0.0 ok", "552 5.2.2 mailbox full", "450 4.2.1 later"]
    script = dataclasses.replace(BY_LMTP, replies={"end-of-data": answers})

    outcomes, server = lmtp_outcomes(lab, script, message(), *THREE)

    assert outcomes == ["delivered cleartext", "failed 552 5.2.2 rejected", "deferred 450 4.2.1 rejected"]
    [connection] = server.connections
    assert connection.verbs.count("DATA") == 1
    assert [[to.address for to in accepted.recipients] for accepted in connection.messages] == [[THREE[0]]]


def test_over_lmtp_a_connection_lost_between_the_answers_leaves_the_rest_in_doubt(lab: Laboratory) -> None:
    """Those that have their answer have it."""
    script = dataclasses.replace(BY_LMTP, replies={"end-of-data": ["250 2.0.0 ok", Act.RESET]})

    outcomes, server = lmtp_outcomes(lab, script, message(), *THREE)

    assert outcomes == ["delivered cleartext"] + ["deferred 451 4.4.2 connection-lost"] * 2
    assert len(server.connections) == 1


@pytest.mark.parametrize(
    ("requirement", "verdict"),
    [
        (REQUIRED, "failed 550 5.7.10 name-not-proven"),
        (UNSTATED, "deferred 451 4.3.5 configuration"),
        (OPTIONAL, "deferred 451 4.3.5 configuration"),
    ],
)
def test_attack_a_socket_that_the_settings_do_not_name_gets_nothing(
    lab: Laboratory, requirement: Requirement, verdict: str
) -> None:
    """Neither a plugin nor an app can make a server trusted."""
    outcomes, server = lmtp_outcomes(lab, BY_LMTP, message(requirement), THREE[0], trusted=False)

    assert outcomes == [verdict]
    assert server.connections == []


def test_a_local_hop_that_is_not_there_defers(lab: Laboratory) -> None:
    """A daemon that restarts loses no mail."""
    path = lab.folder / "nobody"
    settings = lab.settings(delivery={"trusted_local_hops": [f"unix:{path}"]})
    hop = NamedHop(UNIXSocket(str(path)), protocol=Protocol.LMTP)

    [outcome] = deliver(settings, message(REQUIRED, next_hop=hop), THREE[0])

    assert in_words(outcome) == "deferred 451 4.4.1 host-unreachable"


def test_levels_are_the_recipient_domains_also_behind_a_smarthost(lab: Laboratory) -> None:
    """The operator relaxes a destination, whichever way its mail goes."""
    lab.destination(SMARTHOST).script = Script(requiretls=Offer.NEVER)
    settings = lab.settings(
        delivery={"smarthost": f"{SMARTHOST}:{lab.port}"},
        levels={"null-mx.test": Level.OPPORTUNISTIC_STARTTLS.value},
    )

    [outcome] = deliver(settings, message(REQUIRED), TO)

    assert in_words(outcome) == "delivered encrypted"
    assert "RET=HDRS" in lab.destination(SMARTHOST).messages[0].mail_parameters
