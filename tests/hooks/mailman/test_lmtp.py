"""The LMTP runner: where tags come from, and who cannot make one."""

from __future__ import annotations

import smtplib
from pathlib import Path

import pytest

from tests.hooks.mailman.bed import LIST, POST, POSTER, Bed, config


@pytest.mark.requirement("8689-4.1-1")
def test_the_mail_parameter_becomes_the_tag_in_the_queue(bed: Bed) -> None:
    """With where it came from."""
    bed.create_list()

    bed.post(POST, "REQUIRETLS")

    [queued] = bed.queued("in")
    assert queued.msgdata["requiretls"] == "required"
    assert queued.msgdata["requiretls_origin"] == "mail-parameter"


def test_requiretls_is_offered_inside_tls_only(bed: Bed) -> None:
    """In cleartext STARTTLS is offered, and the parameter is refused."""
    bed.create_list()

    with bed.lmtp(tls=False) as client:
        assert client.has_extn("starttls")
        assert not client.has_extn("requiretls")
        assert client.mail(POSTER, ["REQUIRETLS"])[0] == 530
    with bed.lmtp() as client:
        assert client.has_extn("requiretls")


def test_a_server_without_certificate_offers_neither(bed: Bed) -> None:
    """As stock Mailman, but with a reply that says why."""
    bed.create_list()
    bed.use(receive={"certificate": None, "private_key": None})

    with bed.lmtp(tls=False) as client:
        assert not client.has_extn("starttls")
        assert client.mail(POSTER, ["REQUIRETLS"])[0] == 530


def test_the_null_return_path_is_taken_with_a_tag(bed: Bed) -> None:
    """A bounce under REQUIRETLS arrives at the bounce runner with its tag."""
    bed.create_list()

    bed.post(POST, "REQUIRETLS", to="team-bounces@lists.test", sender="")

    [queued] = bed.queued("bounces")
    assert queued.msgdata["requiretls"] == "required"


def test_attack_more_connections_than_allowed_are_sent_away(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Salmon's receivers do; the others go on."""
    monkeypatch.setattr("requiretls_mailman.lmtp.MAX_CONNECTIONS", 1)

    with bed.lmtp() as client:
        with pytest.raises(smtplib.SMTPConnectError, match=r"4\.3\.2 Too many connections"):
            smtplib.LMTP("127.0.0.1", int(config.mta.lmtp_port))
        assert client.noop()[0] == 250


def test_every_recipient_gets_an_answer_of_its_own(bed: Bed) -> None:
    """An address that is no list is refused at RCPT, the others are served."""
    bed.create_list()

    with bed.lmtp() as client:
        client.mail(POSTER)
        assert client.rcpt(LIST)[0] == 250
        assert client.rcpt("nobody@lists.test")[0] == 550
        assert client.rcpt("team-request@lists.test")[0] == 250
        assert client.data(POST)[0] == 250
        assert client.getreply()[0] == 250
    assert len(bed.queued("in")) == len(bed.queued("command")) == 1


def test_a_queue_that_cannot_be_written_keeps_nobody_s_post(bed: Bed) -> None:
    """Mailman alone would refuse it for good, as if there were no such list; its other queues go on."""
    bed.create_list()
    queue = Path(config.switchboards["in"].queue_directory)
    away = queue.rename(queue.with_name("away"))
    try:
        with bed.lmtp() as client:
            for recipients, codes in (([LIST], [451]), ([LIST, "team-request@lists.test"], [451, 250])):
                client.mail(POSTER)
                for recipient in recipients:
                    assert client.rcpt(recipient)[0] == 250
                assert [client.data(POST)[0], *(client.getreply()[0] for _ in recipients[1:])] == codes
    finally:
        away.rename(queue)
    assert len(bed.queued("command")) == 1


def test_postfix_field_is_a_tag_from_a_trusted_hop(bed: Bed) -> None:
    """Loopback is trusted by default; the field itself is gone."""
    bed.create_list()

    bed.post("Require-TLS-ESMTP: yes\n" + POST)

    [queued] = bed.queued("in")
    assert queued.msgdata["requiretls_origin"] == "trusted-hop"
    assert "Require-TLS-ESMTP" not in queued.msg


def test_attack_postfix_field_from_anybody_else_is_no_tag(bed: Bed) -> None:
    """Whoever sends mail can write it."""
    bed.create_list()
    bed.use(receive={"trusted_hops": ["192.0.2.1"]})

    bed.post("Require-TLS-ESMTP: yes\n" + POST)

    [queued] = bed.queued("in")
    assert "requiretls" not in queued.msgdata
    assert "Require-TLS-ESMTP" not in queued.msg


@pytest.mark.parametrize(
    "field",
    [
        "X-RequireTLS-Stored: requirement=optional origin=app from= to=a@b.test arrived=1",
        "requiretls: optional",
        "X-Mailman-requiretls: optional",
    ],
    ids=["stored tag", "name of the metadata key", "Mailman's own prefix"],
)
def test_attack_no_header_field_takes_a_tag_away(bed: Bed, field: str) -> None:
    """What says REQUIRETLS on MAIL is REQUIRED, whatever the header claims."""
    bed.create_list()

    bed.post(f"{field}\n{POST}", "REQUIRETLS")

    [queued] = bed.queued("in")
    assert queued.msgdata["requiretls"] == "required"


@pytest.mark.requirement("8689-4.1-2")
def test_tls_required_no_is_a_tag_too(bed: Bed) -> None:
    """The header field decides where the parameter was not given."""
    bed.create_list()

    bed.post("TLS-Required: No\n" + POST)

    assert bed.queued("in")[0].msgdata["requiretls"] == "optional"


@pytest.mark.requirement("8689-4.1-3")
def test_attack_the_header_field_cannot_weaken_the_parameter(bed: Bed) -> None:
    """Both together are REQUIRED."""
    bed.create_list()

    bed.post("TLS-Required: No\n" + POST, "REQUIRETLS")

    assert bed.queued("in")[0].msgdata["requiretls"] == "required"


def test_an_untagged_post_has_no_key(bed: Bed) -> None:
    """Nothing was asked, and nothing is stored."""
    bed.create_list()

    bed.post()

    assert "requiretls" not in bed.queued("in")[0].msgdata


def test_a_tag_lasts_one_transaction(bed: Bed) -> None:
    """The next message of the same session has its own."""
    bed.create_list()

    with bed.lmtp() as client:
        client.sendmail(POSTER, [LIST], POST, ["REQUIRETLS"])
        client.sendmail(POSTER, [LIST], POST.replace("post@", "two@"))

    tags = {str(entry.msg["message-id"]): entry.msgdata.get("requiretls") for entry in bed.queued("in")}
    assert tags == {"<post@sender.test>": "required", "<two@sender.test>": None}


def test_attack_plaintext_behind_starttls_is_not_executed_inside_tls(bed: Bed) -> None:
    """What a stranger injects before the handshake never becomes part of the session."""
    bed.create_list()

    with bed.lmtp(tls=False) as client:
        sock = client.sock
        assert sock is not None
        sock.sendall(b"STARTTLS\r\nMAIL FROM:<mallory@evil.test>\r\n")
        assert client.getreply()[0] == 220
        client.sock = bed._context().wrap_socket(sock, server_hostname="x.test")
        client.file = None
        client.ehlo()
        assert client.rcpt(LIST)[0] == 503
        with pytest.raises(smtplib.SMTPException):
            client.sendmail(POSTER, ["nobody@lists.test"], POST)
