"""What a session offers and which MAIL and RCPT parameters it takes."""

from __future__ import annotations

import re

import pytest

from requiretls_aiosmtpd import LMTPSession, SMTPSession
from requiretls_plugin.message import Notify, Ret
from tests.hooks.aiosmtpd.serving import Keeper, RawClient, serving, talking

MESSAGE = b"Subject: x\r\n\r\nbody\r\n.\r\n"


def take(client: RawClient, mail: str, rcpt: str = "RCPT TO:<b@receiver.example>") -> None:
    """Send one message and insist that it is taken."""
    assert client.say(mail).startswith("250 ")
    assert client.say(rcpt).startswith("250 ")
    assert client.say("DATA").startswith("354 ")
    client.send(MESSAGE)
    assert client.reply()[-1].startswith("250 ")


@pytest.mark.requirement("8689-2-1", "8689-2-2", "3207-4.2-3")
def test_requiretls_is_listed_bare_and_inside_tls_only() -> None:
    """Before TLS the reply has STARTTLS, after it REQUIRETLS, and never both."""
    with serving(Keeper()) as port, RawClient(port) as client:
        before = client.greet()
        client.start_tls()
        after = client.greet()

    assert "STARTTLS" in before
    assert "REQUIRETLS" not in before
    assert "REQUIRETLS" in after
    assert "STARTTLS" not in after


@pytest.mark.requirement("8689-2-16")
def test_lmtp_lists_requiretls_inside_tls_and_takes_it() -> None:
    """LHLO announces the extension under the same condition."""
    keeper = Keeper()
    with serving(keeper, LMTPSession) as port, RawClient(port) as client:
        before = client.greet("LHLO")
        client.start_tls()
        after = client.greet("LHLO")
        take(client, "MAIL FROM:<a@sender.example> REQUIRETLS")

    assert "REQUIRETLS" not in before
    assert "REQUIRETLS" in after
    assert keeper.taken[0].mail_parameter


@pytest.mark.requirement("8689-4.3-3")
def test_implicit_tls_counts_as_tls() -> None:
    """On a port that speaks TLS from the first octet REQUIRETLS is offered at once."""
    keeper = Keeper()
    with serving(keeper, implicit_tls=True) as port, RawClient(port, tls=True) as client:
        offered = client.greet()
        take(client, "MAIL FROM:<a@sender.example> REQUIRETLS")

    assert "REQUIRETLS" in offered
    assert "STARTTLS" not in offered
    assert keeper.taken[0].mail_parameter


@pytest.mark.requirement("8689-2-8")
def test_switched_off_the_keyword_is_absent_and_the_parameter_unknown() -> None:
    """A parameter that was not offered fails the command instead of being forgotten."""
    keeper = Keeper()
    with serving(keeper, advertise=False) as port, RawClient(port) as client:
        client.greet()
        client.start_tls()
        offered = client.greet()
        answer = client.say("MAIL FROM:<a@sender.example> REQUIRETLS")

    assert "REQUIRETLS" not in offered
    assert answer.startswith("555 5.5.4 ")


@pytest.mark.requirement("8689-2-3")
def test_attack_requiretls_in_cleartext_is_refused() -> None:
    """The promise is broken before it is made, so there is no transaction."""
    with serving(Keeper()) as port, talking(port, tls=False) as client:
        assert client.say("MAIL FROM:<a@sender.example> REQUIRETLS").startswith("530 5.7.10 ")
        assert client.say("RCPT TO:<b@receiver.example>").startswith("503 5.5.1 ")


REFUSED = [
    pytest.param("REQUIRETLS=yes", "501 5.5.4", marks=pytest.mark.requirement("8689-2-4"), id="with a value"),
    pytest.param("REQUIRETLS=", "501 5.5.4", marks=pytest.mark.requirement("8689-2-4"), id="empty value"),
    pytest.param("REQUIRETLS REQUIRETLS", "501 5.5.4", marks=pytest.mark.requirement("8689-2-6"), id="twice"),
    pytest.param("REQUIRETLS requiretls", "501 5.5.4", id="twice in two cases"),
    pytest.param("NOSUCH=1", "555 5.5.4", marks=pytest.mark.requirement("5321-4.1.1.11-1"), id="unknown"),
    pytest.param("MT-PRIORITY=3", "555 5.5.4", id="unknown with a hyphen"),
    pytest.param("BODY=BINARYMIME", "501 5.5.4", id="a body we do not take"),
    pytest.param("SIZE=x", "501 5.5.4", id="no size"),
    pytest.param("SIZE=999999999999", "552 5.3.4", id="too large"),
    pytest.param("SMTPUTF8", "555 5.5.4", id="SMTPUTF8 switched off"),
    pytest.param("AUTH=<>", "555 5.5.4", id="AUTH without an authenticator"),
    pytest.param("RET=BODY", "501 5.5.4", marks=pytest.mark.requirement("3461-4.3-1"), id="unknown RET"),
    pytest.param(
        "RET=HDRS RET=FULL REQUIRETLS",
        "501 5.5.4",
        marks=pytest.mark.requirement("3461-4.5-1"),
        id="RET twice",
    ),
    pytest.param("ENVID=a+2b", "501 5.5.4", marks=pytest.mark.requirement("3461-4.4-1"), id="bad xtext"),
    pytest.param("\x01", "501 5.5.4", id="control character"),
]


@pytest.mark.parametrize(("parameters", "reply"), REFUSED)
def test_a_mail_parameter_that_cannot_be_honoured_is_refused(parameters: str, reply: str) -> None:
    """Each gets its own code, opens no transaction and leaves the session usable."""
    with serving(Keeper()) as port, talking(port) as client:
        assert client.say(f"MAIL FROM:<a@sender.example> {parameters}").startswith(reply)
        assert client.say("RCPT TO:<b@receiver.example>").startswith("503 5.5.1 ")
        assert client.say("MAIL FROM:<a@sender.example>").startswith("250 2.0.0 ")


@pytest.mark.requirement("8689-2-7", "5321-4.1.1.11-1")
def test_requiretls_on_rcpt_is_unknown() -> None:
    """The recipient is not added."""
    with serving(Keeper()) as port, talking(port) as client:
        client.say("MAIL FROM:<a@sender.example> REQUIRETLS")
        assert client.say("RCPT TO:<b@receiver.example> REQUIRETLS").startswith("555 5.5.4 ")
        assert client.say("DATA").startswith("503 5.5.1 ")


@pytest.mark.requirement("8689-2-5", "8689-4.1-1")
def test_requiretls_may_stand_anywhere_in_any_case() -> None:
    """The transaction is tagged, whatever stands beside the parameter."""
    keeper = Keeper()
    with serving(keeper) as port, talking(port) as client:
        take(client, "mail from:<a@sender.example> SIZE=1000 requiretls BODY=8BITMIME")

    assert keeper.taken[0].mail_parameter


@pytest.mark.requirement("8689-2-10")
@pytest.mark.parametrize("between", ["RSET", "EHLO client.example", None], ids=["RSET", "EHLO", "nothing"])
def test_requiretls_lasts_one_transaction(between: str | None) -> None:
    """The next MAIL starts without it, whatever ended the one before."""
    keeper = Keeper()
    with serving(keeper) as port, talking(port) as client:
        take(client, "MAIL FROM:<a@sender.example> REQUIRETLS")
        if between:
            client.say("MAIL FROM:<a@sender.example> REQUIRETLS")
            client.say(between)
        take(client, "MAIL FROM:<a@sender.example>")

    assert [transaction.mail_parameter for transaction in keeper.taken] == [True, False]


@pytest.mark.requirement("8689-4.1-7")
def test_the_null_return_path_is_kept_and_tagged_for_every_recipient() -> None:
    """`<>` is None, not an empty string, and both recipients belong to the tagged message."""
    keeper = Keeper()
    with serving(keeper) as port, talking(port) as client:
        client.say("MAIL FROM:<> REQUIRETLS")
        client.say("RCPT TO:<b@receiver.example>")
        client.say("RCPT TO:<c@receiver.example>")
        client.say("DATA")
        client.send(MESSAGE)
        client.reply()

    message = keeper.taken[0].message("192.0.2.1")
    assert message.return_path is None
    assert message.mail_parameter
    assert [str(recipient) for recipient in keeper.taken[0].recipients] == [
        "b@receiver.example",
        "c@receiver.example",
    ]


@pytest.mark.requirement("3461-4.3-1", "3461-4.4-1", "3461-4.1-1")
def test_dsn_parameters_are_offered_and_kept() -> None:
    """RET, ENVID, NOTIFY and ORCPT reach the envelope with the case of their values."""
    keeper = Keeper()
    with serving(keeper) as port, RawClient(port) as client:
        offered = client.greet()
        take(
            client,
            "MAIL FROM:<a@sender.example> RET=full ENVID=Qq+2B1",
            "RCPT TO:<b@receiver.example> NOTIFY=success,FAILURE ORCPT=rfc822;Bob+2Bx@receiver.example",
        )

    assert "DSN" in offered
    transaction = keeper.taken[0]
    assert (transaction.ret, transaction.envid) == (Ret.FULL, "Qq+1")
    assert transaction.recipients[0].notify == frozenset({Notify.SUCCESS, Notify.FAILURE})
    assert transaction.recipients[0].orcpt == "rfc822;Bob+2Bx@receiver.example"


@pytest.mark.parametrize("session_class", [SMTPSession, LMTPSession], ids=["SMTP", "LMTP"])
def test_switched_off_dsn_is_absent_and_its_parameters_unknown(session_class: type[SMTPSession]) -> None:
    """For handlers that report no success; REQUIRETLS is offered and taken as ever."""
    keeper = Keeper()
    verb = "LHLO" if session_class is LMTPSession else "EHLO"
    with serving(keeper, session_class, dsn=False) as port, talking(port, verb=verb) as client:
        offered = client.greet(verb)
        for parameter in ("RET=HDRS", "ENVID=x"):
            assert client.say(f"MAIL FROM:<a@sender.example> {parameter}").startswith("555 5.5.4 ")
        assert client.say("MAIL FROM:<a@sender.example> REQUIRETLS").startswith("250 ")
        for parameter in ("NOTIFY=SUCCESS", "NOTIFY=NEVER", "ORCPT=rfc822;b@receiver.example"):
            assert client.say(f"RCPT TO:<b@receiver.example> {parameter}").startswith("555 5.5.4 ")

    assert "DSN" not in offered
    assert "REQUIRETLS" in offered


@pytest.mark.requirement("8689-2-9")
def test_the_mail_line_may_be_longer_by_the_parameter() -> None:
    """523 octets pass; far more than all extensions together need do not."""
    longest = "a" * 64 + "@" + ".".join(["b" * 60] * 3)
    command = f"MAIL FROM:<{longest}> SIZE=1"
    filled = command + " " * (512 - 2 - len(command)) + " REQUIRETLS"
    with serving(Keeper()) as port, talking(port) as client:
        assert len(filled) + 2 == 523
        assert client.say(filled).startswith("250 ")
        client.say("RSET")
        assert client.say(filled + " " * 300).startswith("500 5.5.2 ")


def test_attack_one_client_cannot_change_the_limits_of_another() -> None:
    """Neither many EHLOs nor a new connection move the limit of a session that is open."""
    line = "MAIL FROM:<a@sender.example>" + " " * 600
    allowed = "MAIL FROM:<a@sender.example>" + " " * 500
    with serving(Keeper()) as port, talking(port) as client, talking(port) as other:
        for _ in range(30):
            other.greet()
        with RawClient(port):
            assert client.say(allowed).startswith("250 ")
        assert other.say(line + " " * 300).startswith("500 ")


MALFORMED = [
    pytest.param("MAIL FROM:<a@sender.example", "553 5.1.7", id="no closing bracket"),
    pytest.param("MAIL FROM:a@sender.example", "553 5.1.7", id="no brackets"),
    pytest.param("MAIL FROM:<a@sender.example>REQUIRETLS", "553 5.1.7", id="no blank"),
    pytest.param("MAIL FROM:<a b@sender.example>", "553 5.1.7", id="a blank in the address"),
    pytest.param("MAIL FROM:<a\rRCPT TO:<x@y.example>", "553 5.1.7", id="a carriage return"),
    pytest.param("MAIL FROM:<(a)a@sender.example>", "553 5.1.7", id="a comment"),
    pytest.param("MAIL", "501 5.5.4", id="no argument"),
    pytest.param("MAIL TO:<a@sender.example>", "501 5.5.4", id="wrong keyword"),
    pytest.param("MAIL FROM:<ü@sender.example>", "500 5.5.2", id="not ASCII"),
]


@pytest.mark.parametrize(("command", "reply"), MALFORMED)
def test_attack_malformed_mail_commands_open_no_transaction(command: str, reply: str) -> None:
    """The answer names the fault and nothing of the command comes back in it."""
    with serving(Keeper()) as port, talking(port) as client:
        assert client.say(command).startswith(reply)
        assert client.say("RCPT TO:<b@receiver.example>").startswith("503 ")


def test_postmaster_needs_no_domain() -> None:
    """RFC 5321 section 4.5.1: it is ours."""
    keeper = Keeper()
    with serving(keeper) as port, talking(port) as client:
        take(client, "MAIL FROM:<>", "RCPT TO:<Postmaster>")

    assert keeper.taken[0].rcpt_tos == ["Postmaster@mx.receiver.example"]


def test_auth_is_neither_listed_nor_taken_without_an_authenticator() -> None:
    """A client that has a password keeps it to itself."""
    with serving(Keeper()) as port, RawClient(port) as client:
        client.greet()
        client.start_tls()
        assert not [line for line in client.greet() if line.startswith("AUTH")]
        assert client.say("AUTH PLAIN AGEAYg==").startswith("502 5.5.1 ")


def checked(mechanism: str, login: bytes, password: bytes) -> bool:
    """Return whether a password is right."""
    return password == b"secret"


@pytest.mark.requirement("8689-4.3-5")
def test_auth_is_listed_inside_tls_with_one_and_its_transactions_are_no_different() -> None:
    """An authenticated submission keeps the parameter like a relayed message."""
    keeper = Keeper()
    with serving(keeper, auth_required=True, auth_callback=checked) as port, RawClient(port) as client:
        assert not [line for line in client.greet() if line.startswith("AUTH")]
        client.start_tls()
        assert [line for line in client.greet() if line.startswith("AUTH")]
        assert client.say("MAIL FROM:<a@sender.example>").startswith("530 5.7.0 ")
        assert client.say("AUTH PLAIN AGEAc2VjcmV0").startswith("235 ")
        take(client, "MAIL FROM:<a@sender.example> REQUIRETLS AUTH=<>")

    assert keeper.taken[0].mail_parameter


@pytest.mark.requirement("2034-4-1")
@pytest.mark.parametrize("session_class", [SMTPSession, LMTPSession], ids=["SMTP", "LMTP"])
def test_every_reply_begins_with_an_enhanced_code_of_its_class(session_class: type[SMTPSession]) -> None:
    """The greeting and the reply to EHLO are the exceptions; RFC 2033 asks for it in LMTP."""
    verb = "LHLO" if session_class is LMTPSession else "EHLO"
    commands = [
        "NOOP",
        "RSET",
        "HELP",
        "HELP MAIL",
        "VRFY <a@b.example>",
        "EXPN x",
        "BOGUS",
        "DATA",
        "RSET x",
    ]
    commands += ["MAIL FROM:<a@b.example>", "MAIL FROM:<a@b.example>", "RCPT TO:<x>", "RCPT TO:<b@b.example>"]
    commands += ["DATA x", "AUTH PLAIN x", "STARTTLS x", "QUIT"]
    with serving(Keeper(), session_class) as port, RawClient(port) as client:
        offered = client.greet(verb)
        answers = [client.say(command) for command in commands]

    assert {"ENHANCEDSTATUSCODES", "PIPELINING"} <= set(offered)
    for answer in answers:
        assert re.fullmatch(r"([245])\d\d \1\.\d+\.\d+ .*", answer), answer


def test_pipelined_commands_are_answered_in_order() -> None:
    """PIPELINING is advertised and true."""
    keeper = Keeper()
    with serving(keeper) as port, talking(port) as client:
        client.send(
            b"MAIL FROM:<a@b.example> REQUIRETLS\r\nRCPT TO:<bad\r\nRCPT TO:<b@b.example>\r\nDATA\r\n"
        )
        answers = [client.reply()[-1][:3] for _ in range(4)]
        client.send(MESSAGE + b"NOOP\r\nQUIT\r\n")
        answers += [client.reply()[-1][:3] for _ in range(3)]

    assert answers == ["250", "553", "250", "354", "250", "250", "221"]
    assert keeper.taken[0].mail_parameter
