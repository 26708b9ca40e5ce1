"""DSN parameters beside REQUIRETLS, as a receiving server takes them (RFC 3461 section 5)."""

from __future__ import annotations

import itertools

import pytest

from tests.hooks.aiosmtpd.serving import Keeper, serving, talking

DSN_PARAMETERS = [*itertools.permutations(["REQUIRETLS", "RET=HDRS", "ENVID=x"])]


@pytest.mark.requirement("3461-5.1-1")
def test_dsn_parameters_do_not_change_the_reply_that_requiretls_gets() -> None:
    """In whatever order they stand."""
    keeper = Keeper()
    with serving(keeper) as port, talking(port) as client:
        alone = client.say("MAIL FROM:<a@sender.example> REQUIRETLS")
        assert alone.startswith("250 ")
        for parameters in DSN_PARAMETERS:
            client.say("RSET")
            assert client.say(f"MAIL FROM:<a@sender.example> {' '.join(parameters)}") == alone
        client.say("RCPT TO:<b@receiver.example>")
        client.say("DATA")
        client.send(b"Subject: x\r\n\r\n.\r\n")
        client.reply()

    [transaction] = keeper.taken
    assert (transaction.mail_parameter, transaction.envid) == (True, "x")


# RFC 5321 section 4.5.3.1: the longest local part and the longest domain, in a path of 256 octets.
LONGEST_ADDRESS = "a" * 64 + "@" + ".".join(["b" * 60, "c" * 60, "d" * 59, "e"])


@pytest.mark.requirement("3461-5.4-1")
def test_the_longest_parameters_are_taken_together() -> None:
    """Path, SIZE, BODY, RET, ENVID and REQUIRETLS on MAIL; NOTIFY and ORCPT on RCPT."""
    keeper = Keeper()
    mail = f"MAIL FROM:<{LONGEST_ADDRESS}> SIZE=1000000 BODY=8BITMIME RET=FULL ENVID={'q' * 100} REQUIRETLS"
    orcpt = "rfc822;" + "o" * 481 + "@o.example"
    rcpt = f"RCPT TO:<{LONGEST_ADDRESS}> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT={orcpt}"
    assert len(orcpt) == 498
    with serving(keeper) as port, talking(port) as client:
        assert client.say(mail).startswith("250 ")
        assert client.say(rcpt).startswith("250 ")
        client.say("DATA")
        client.send(b"Subject: x\r\n\r\n.\r\n")
        assert client.reply()[-1].startswith("250 ")

    [transaction] = keeper.taken
    assert transaction.envid == "q" * 100
    assert transaction.recipients[0].orcpt == orcpt
