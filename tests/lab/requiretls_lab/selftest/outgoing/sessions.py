"""Sessions that break, and hosts that are slow, busy or unwilling."""

from __future__ import annotations

from requiretls_lab.selftest.outgoing.shorthand import dane
from requiretls_lab.selftest.outgoing.steps import OutgoingCase, Send
from requiretls_lab.smtp_script import Act, Drip

_IMPATIENT = (("command_timeout", 2.0), ("data_timeout", 2.0))
_BUSY = "421 4.3.2 too busy, come again"

CASES = (
    OutgoingCase(
        "sessions/cut-at-greeting",
        "A host that hangs up before its greeting is tried again later",
        "RFC 5321 section 4.5.4.1",
        dane("cut-at-greeting", "closed instead of a greeting", replies={"greeting": Act.CLOSE}),
        (Send("deferred 451 4.4.2 connection-lost"),),
    ),
    OutgoingCase(
        "sessions/cut-mid-message",
        "A connection that is cut while the message is sent is tried again later",
        "RFC 5321 section 4.5.4.1",
        dane("cut-mid-message", "a TCP reset after the first line", replies={"content": Act.RESET}),
        (Send("deferred 451 4.4.2 connection-lost", mail_is_said=True),),
    ),
    OutgoingCase(
        "sessions/cut-before-the-answer",
        "A connection that is cut before the answer to the message is tried again later",
        "RFC 5321 section 4.5.4.1",
        dane("cut-before-the-answer", "closed instead of an answer", replies={"end-of-data": Act.CLOSE}),
        (Send("deferred 451 4.4.2 connection-lost", mail_is_said=True),),
    ),
    *(
        OutgoingCase(
            f"sessions/421-{where}",
            f"A host that gives 421 instead of its {what} is tried again later",
            "RFC 5321 section 3.8",
            dane(f"421-{where}", f"421 instead of its {what}", replies={step: _BUSY}),
            (Send("deferred 421 4.3.2 rejected", mail_is_said=mail_is_said),),
        )
        for where, what, step, mail_is_said in (
            ("greeting", "greeting", "greeting", False),
            ("ehlo", "answer to EHLO", "EHLO", False),
            ("ehlo-in-tls", "answer to EHLO inside TLS", "EHLO in TLS", False),
            ("mail", "answer to MAIL", "MAIL", True),
            ("rcpt", "answer to RCPT", "RCPT", True),
            ("data", "answer to DATA", "DATA", True),
            ("message", "answer to the message", "end-of-data", True),
        )
    ),
    OutgoingCase(
        "sessions/slow",
        "A host that takes its time within the limits gets the message",
        "RFC 5321 section 4.5.3.2",
        dane("slow", "a tenth of a second before each answer", delay=0.1),
        (Send("delivered dane requiretls"),),
    ),
    OutgoingCase(
        "sessions/silent",
        "A host that says nothing more is given up and tried again later",
        "RFC 5321 section 4.5.3.2",
        dane("silent", "no answer to EHLO inside TLS", replies={"EHLO in TLS": Act.SILENCE}),
        (Send("deferred 451 4.4.2 connection-lost"),),
        _IMPATIENT,
    ),
    OutgoingCase(
        "sessions/drip",
        "An octet now and then does not keep the limit from being reached",
        "RFC 5321 section 4.5.3.2",
        dane(
            "drip", "the EHLO reply at five octets a second", replies={"EHLO": Drip("250 " + "x" * 200, 0.2)}
        ),
        (Send("deferred 451 4.4.2 connection-lost"),),
        _IMPATIENT,
    ),
    OutgoingCase(
        "sessions/no-such-user",
        "What the host itself says of a recipient is passed on",
        "RFC 5321 section 4.2.1",
        dane("no-such-user", "550 to RCPT", replies={"RCPT": "550 5.1.1 no such user"}),
        (Send("failed 550 5.1.1 rejected", mail_is_said=True),),
    ),
    OutgoingCase(
        "sessions/answer-before-the-question",
        "An answer that was there before its command ends the session",
        "RFC 3207 section 4.2",
        dane(
            "answer-before-the-question",
            "the answer to MAIL comes with the EHLO reply",
            replies={"EHLO in TLS": b"250-mx\r\n250-REQUIRETLS\r\n250 PIPELINING\r\n250 2.1.0 ok\r\n"},
        ),
        (Send("deferred 451 4.5.0 protocol-violation", mail_is_said=True),),
    ),
)
