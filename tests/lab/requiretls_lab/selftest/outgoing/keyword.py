"""The keyword REQUIRETLS in the EHLO reply, and the parameter on MAIL."""

from __future__ import annotations

from requiretls_lab.selftest.outgoing.shorthand import dane
from requiretls_lab.selftest.outgoing.steps import Asks, OutgoingCase, Send
from requiretls_lab.smtp_script import EXTENSIONS, Offer

CASES = (
    OutgoingCase(
        "keyword/offered",
        "A host that proves all and lists the keyword gets the message with the parameter",
        "RFC 8689 section 4.2.1",
        dane("offered", "DANE matches, REQUIRETLS inside TLS"),
        (Send("delivered dane requiretls"),),
    ),
    OutgoingCase(
        "keyword/missing",
        "A host without the keyword gets no such message, and its sender hears 5.7.30",
        "RFC 8689 section 4.2.1",
        dane("missing", "DANE matches, no REQUIRETLS", requiretls=Offer.NEVER),
        (Send("failed 550 5.7.30 requiretls-not-offered"),),
    ),
    OutgoingCase(
        "keyword/sticky-ehlo",
        "A keyword that was listed before TLS only does not count",
        "RFC 8689 section 2",
        dane("sticky-ehlo", "DANE matches, REQUIRETLS in cleartext only", requiretls=Offer.BEFORE_TLS),
        (Send("failed 550 5.7.30 requiretls-not-offered"),),
    ),
    OutgoingCase(
        "keyword/also-before-tls",
        "A keyword listed in both replies counts for the second",
        "RFC 8689 section 2",
        dane("also-before-tls", "DANE matches, REQUIRETLS in cleartext too", requiretls=Offer.ALWAYS),
        (Send("delivered dane requiretls"),),
    ),
    OutgoingCase(
        "keyword/cleartext-only-host",
        "A keyword listed by a host without STARTTLS is never used",
        "RFC 8689 section 2",
        dane("cleartext-only-host", "no STARTTLS, lists REQUIRETLS", starttls=False, requiretls=Offer.ALWAYS),
        (Send("failed 550 5.7.10 starttls-not-offered"),),
    ),
    OutgoingCase(
        "keyword/with-argument",
        "REQUIRETLS has no arguments; a line that has one lists something else",
        "RFC 8689 section 2",
        dane(
            "with-argument",
            "DANE matches, lists `REQUIRETLS later`",
            requiretls=Offer.NEVER,
            extensions=(*EXTENSIONS, "REQUIRETLS later"),
        ),
        (Send("failed 550 5.7.30 requiretls-not-offered"),),
    ),
    OutgoingCase(
        "keyword/no-second-ehlo-reply",
        "A host that refuses EHLO inside TLS gets nothing, not after HELO either",
        "RFC 8689 section 4.2.1",
        dane("no-second-ehlo-reply", "502 to EHLO inside TLS", replies={"EHLO in TLS": "502 5.5.1 what?"}),
        (Send("deferred 451 4.3.2 rejected"),),
    ),
    OutgoingCase(
        "keyword/parameter-refused",
        "A host that lists the keyword and refuses the parameter gets nothing without it",
        "RFC 8689 section 4.2.1",
        dane("parameter-refused", "555 to MAIL", replies={"MAIL": "555 5.5.4 unknown parameter"}),
        (Send("failed 555 5.5.4 rejected", mail_is_said=True),),
    ),
    OutgoingCase(
        "keyword/ordinary-mail",
        "A message that asks for nothing gets no parameter, and DANE all the same",
        "RFC 8689 section 4.2.1",
        dane("ordinary-mail", "DANE matches, REQUIRETLS inside TLS"),
        (Send("delivered dane", Asks.NOTHING),),
    ),
)
