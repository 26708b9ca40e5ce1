"""`requiretls send`: flags, exit codes and JSON as other programs rely on them."""

from __future__ import annotations

from pathlib import Path

import pytest

from requiretls_lab.laboratory import Laboratory
from requiretls_lab.smtp_script import Script
from tests.cli.running import CommandLine

MESSAGE = b"From: alice@sender.test\r\nSubject: hello\r\n\r\nsecret body\r\n"
SENDER = "alice@sender.test"


@pytest.mark.requirement("8689-4.3-1", "8689-4.2.1-20")
def test_require_tls_delivers_under_requiretls(requiretls: CommandLine, lab: Laboratory) -> None:
    """--require-tls puts REQUIRETLS on MAIL, and the JSON says what was proved."""
    ran = requiretls("send", "--json", "--from", SENDER, "--require-tls", "bob@dane-ee.test", stdin=MESSAGE)

    assert ran.code == 0
    assert ran.json() == {
        "requirement": "required",
        "recipients": [
            {
                "recipient": "bob@dane-ee.test",
                "outcome": "delivered",
                "code": 250,
                "status": "2.0.0",
                "text": ran.json()["recipients"][0]["text"],
                "host": "mx.dane-ee.test",
                "security": "dane",
                "requiretls": True,
                "reason": None,
            }
        ],
    }
    [message] = lab.destination("mx.dane-ee.test").messages
    assert message.requiretls
    assert message.content == MESSAGE


@pytest.mark.requirement("8689-4.3-2", "8689-4.2.1-15", "8689-7-1")
def test_a_server_without_the_keyword_fails_the_message(requiretls: CommandLine, lab: Laboratory) -> None:
    """The outcome is 550 5.7.30 and exit 69, and the server never sees MAIL."""
    ran = requiretls(
        "send", "--json", "--from", SENDER, "--require-tls", "bob@no-keyword.test", stdin=MESSAGE
    )

    [outcome] = ran.json()["recipients"]
    assert ran.code == 69
    assert (outcome["outcome"], outcome["code"], outcome["status"]) == ("failed", 550, "5.7.30")
    assert outcome["reason"] == "requiretls-not-offered"
    assert outcome["requiretls"] is False
    assert all("MAIL" not in each.verbs for each in lab.destination("mx.no-keyword.test").connections)


@pytest.mark.parametrize(
    ("recipients", "code"),
    [
        pytest.param(["a@dane-ee.test"], 0, id="all delivered"),
        pytest.param(["a@dane-ee.test", "a@bogus.test"], 75, id="one deferred, none failed"),
        pytest.param(["a@dane-ee.test", "a@bogus.test", "a@null-mx.test"], 69, id="one failed"),
    ],
)
def test_the_exit_code_tells_the_worst_outcome(
    requiretls: CommandLine, recipients: list[str], code: int
) -> None:
    """0, 75 or 69, whatever else was delivered."""
    assert requiretls("send", "--from", SENDER, *recipients, stdin=MESSAGE).code == code


@pytest.mark.requirement("8689-4.3-4", "8689-3-3")
def test_tls_optional_adds_the_field_once(requiretls: CommandLine, lab: Laboratory) -> None:
    """--tls-optional writes TLS-Required: No, also where the message has it already."""
    for content in (MESSAGE, b"TLS-Required: No\r\n" + MESSAGE):
        ran = requiretls(
            "send", "--json", "--from", SENDER, "--tls-optional", "b@wrong-tlsa.test", stdin=content
        )
        assert ran.code == 0
        assert ran.json()["requirement"] == "optional"

    for message in lab.destination("mx.wrong-tlsa.test").messages:
        assert message.content.lower().count(b"tls-required: no\r\n") == 1
        assert not message.requiretls


@pytest.mark.requirement("8689-4.1-2")
def test_without_a_flag_the_header_decides(requiretls: CommandLine) -> None:
    """The message's own TLS-Required: No makes it optional."""
    content = b"TLS-Required: No\r\n" + MESSAGE
    assert requiretls("send", "--json", "--from", SENDER, "b@dane-ee.test", stdin=content).json()[
        "requirement"
    ] == ("optional")
    assert requiretls("send", "--json", "--from", SENDER, "b@dane-ee.test", stdin=MESSAGE).json()[
        "requirement"
    ] == ("unstated")


def test_the_empty_sender_is_the_null_return_path(requiretls: CommandLine, lab: Laboratory) -> None:
    """`--from ""` says MAIL FROM:<>."""
    assert requiretls("send", "--from", "", "b@dane-ee.test", stdin=MESSAGE).code == 0
    assert lab.destination("mx.dane-ee.test").messages[0].mail_from == ""


@pytest.mark.parametrize(
    ("arguments", "stdin", "said"),
    [
        pytest.param(["--from", SENDER, "not an address"], MESSAGE, "no @", id="a recipient without @"),
        pytest.param(["--from", "x\r\ny@a.test", "a@b.test"], MESSAGE, "--from", id="line end in the sender"),
        pytest.param(
            ["--from", SENDER, "--require-tls", "--tls-optional", "a@b.test"], MESSAGE, "exclude", id="both"
        ),
        pytest.param(
            ["--from", SENDER, "--require-tls", "a@b.test"],
            b"TLS-Required: No\r\n" + MESSAGE,
            "TLS-Required: No",
            id="the flag and the field",
        ),
        pytest.param(["--from", SENDER, "--envid", "a\nb", "a@b.test"], MESSAGE, "--envid", id="envid"),
        pytest.param(["--from", SENDER], MESSAGE, "RCPT", id="no recipient"),
        pytest.param(["a@b.test"], MESSAGE, "--from", id="no sender"),
    ],
)
def test_usage_errors_say_what_is_wrong_and_exit_64(
    requiretls: CommandLine, arguments: list[str], stdin: bytes, said: str
) -> None:
    """Nothing is delivered and the words name the culprit."""
    ran = requiretls("send", *arguments, stdin=stdin)

    assert ran.code == 64
    assert said in ran.errors
    assert "Traceback" not in ran.errors


def test_several_bad_addresses_are_reported_together(requiretls: CommandLine) -> None:
    """Both culprits stand in one message."""
    ran = requiretls("send", "--from", SENDER, "nowhere", "x@-bad-.test", stdin=MESSAGE)

    assert ran.code == 64
    assert "nowhere" in ran.errors
    assert "-bad-" in ran.errors


def test_bad_settings_exit_78(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every mistake is named with its key, and the message is not read further."""
    settings = tmp_path / "requiretls.toml"
    settings.write_text('[dns]\ntimeuot = 5\n[tls]\nca_file = "missing.pem"\n')

    ran = CommandLine(settings, capsys, monkeypatch)("send", "--from", SENDER, "a@b.test", stdin=MESSAGE)

    assert ran.code == 78
    assert "dns.timeuot" in ran.errors
    assert "tls.ca_file" in ran.errors


@pytest.mark.requirement("3461-5.2.1-1", "8689-5-4")
def test_dsn_wishes_are_passed_on(requiretls: CommandLine, lab: Laboratory) -> None:
    """RET and ENVID reach a server with DSN as they were given, REQUIRETLS beside them."""
    wishes = ["--ret", "FULL", "--envid", "Q 1"]
    ran = requiretls("send", "--from", SENDER, "--require-tls", *wishes, "b@dane-ee.test", stdin=MESSAGE)

    assert ran.code == 0
    [message] = lab.destination("mx.dane-ee.test").messages
    assert {"RET=FULL", "ENVID=Q+201", "REQUIRETLS"} <= set(message.mail_parameters)


def test_a_mistyped_smarthost_bounces_nothing(
    lab: Laboratory, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our own settings are at fault: the message waits until they are right."""
    settings = lab.write_settings(tmp_path / "requiretls.toml", delivery={"smarthost": "no-such.test:25"})
    requiretls = CommandLine(settings, capsys, monkeypatch)

    for flag in ([], ["--require-tls"], ["--tls-optional"]):
        ran = requiretls("send", "--json", "--from", SENDER, *flag, "b@dane-ee.test", stdin=MESSAGE)

        [outcome] = ran.json()["recipients"]
        assert ran.code == 75
        assert (outcome["outcome"], outcome["code"], outcome["status"]) == ("deferred", 451, "4.3.5")
        assert outcome["reason"] == "configuration"


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "end-of-data"])
def test_a_deferral_by_the_server_tells_what_the_session_was(
    requiretls: CommandLine, lab: Laboratory, step: str
) -> None:
    """REQUIRETLS was sent on MAIL, whatever the answer."""
    lab.destination("mx.dane-ee.test").script = Script(replies={step: "451 4.3.0 later"})

    ran = requiretls("send", "--json", "--from", SENDER, "--require-tls", "b@dane-ee.test", stdin=MESSAGE)

    [outcome] = ran.json()["recipients"]
    assert (outcome["outcome"], outcome["reason"]) == ("deferred", "rejected")
    assert (outcome["security"], outcome["requiretls"]) == ("dane", True)


@pytest.mark.requirement("8689-3-4", "8689-3-6")
@pytest.mark.parametrize(
    "fields", [b"TLS-Required: Yes\r\n", b"TLS-Required: No\r\n" * 2], ids=["another value", "twice"]
)
def test_a_field_that_says_something_else_asks_for_nothing(requiretls: CommandLine, fields: bytes) -> None:
    """As everywhere: the message goes as if the field were not there."""
    ran = requiretls("send", "--json", "--from", SENDER, "b@dane-ee.test", stdin=fields + MESSAGE)

    assert ran.code == 0
    assert ran.json()["requirement"] == "unstated"
