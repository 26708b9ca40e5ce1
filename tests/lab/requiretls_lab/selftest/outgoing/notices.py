"""What senders are told, and messages from nobody."""

from __future__ import annotations

from requiretls_lab.domains import Domain, MailHost
from requiretls_lab.selftest.outgoing.shorthand import DANE, NO_KEYWORD, NO_STARTTLS, dane, signed
from requiretls_lab.selftest.outgoing.steps import Asks, Notice, OutgoingCase, Send
from requiretls_lab.smtp_script import Offer
from requiretls_lab.zones import ZoneKind

_REFUSED = "failed 550 5.7.30 requiretls-not-offered"


def _way_back(name: str, meaning: str, **host: object) -> Domain:
    [domain] = signed(name, f"the way back: {meaning}", **host)
    return domain


CASES = (
    OutgoingCase(
        "notices/under-requiretls",
        "A notice about a REQUIRETLS message is sent under REQUIRETLS, without the message's body",
        "RFC 8689 section 5",
        (
            *dane("told", "DANE matches, no REQUIRETLS", requiretls=Offer.NEVER),
            _way_back("told-way-back", "DANE, REQUIRETLS", tlsa=DANE),
        ),
        (Send(_REFUSED, return_path="alice@told-way-back.test", notice=Notice(requiretls=True)),),
    ),
    OutgoingCase(
        "notices/redacted",
        "A notice goes without the message's header where the return path has no REQUIRETLS",
        "RFC 8689 section 5",
        (
            *dane("redacted", "DANE matches, no REQUIRETLS", requiretls=Offer.NEVER),
            _way_back("redacted-way-back", "DANE, no REQUIRETLS", tlsa=DANE, script=NO_KEYWORD),
        ),
        (
            Send(
                _REFUSED,
                return_path="alice@redacted-way-back.test",
                notice=Notice(requiretls=False, redacted=True),
            ),
        ),
    ),
    OutgoingCase(
        "notices/redacted-in-cleartext",
        "A notice goes without the message's header where the return path has no TLS at all",
        "RFC 8689 section 5",
        (
            *dane("redacted-clear", "DANE matches, no REQUIRETLS", requiretls=Offer.NEVER),
            _way_back("redacted-clear-way-back", "no STARTTLS", script=NO_STARTTLS),
        ),
        (
            Send(
                _REFUSED,
                return_path="alice@redacted-clear-way-back.test",
                notice=Notice(requiretls=False, redacted=True),
            ),
        ),
    ),
    OutgoingCase(
        "notices/about-any-failure",
        "A failure that has nothing to do with TLS is told under REQUIRETLS too",
        "RFC 8689 section 5",
        (
            *dane("any-failure", "550 to RCPT", replies={"RCPT": "550 5.1.1 no such user"}),
            _way_back("any-failure-way-back", "DANE, REQUIRETLS", tlsa=DANE),
        ),
        (
            Send(
                "failed 550 5.1.1 rejected",
                mail_is_said=True,
                return_path="alice@any-failure-way-back.test",
                notice=Notice(requiretls=True),
            ),
        ),
    ),
    OutgoingCase(
        "notices/about-optional",
        "A notice about a message that says TLS-Required: No says so too",
        "RFC 8689 section 5",
        (
            *dane("optional", "550 to RCPT", replies={"RCPT": "550 5.1.1 no such user"}),
            _way_back("optional-way-back", "DANE, REQUIRETLS", tlsa=DANE),
        ),
        (
            Send(
                "failed 550 5.1.1 rejected",
                Asks.NO,
                mail_is_said=True,
                return_path="alice@optional-way-back.test",
                notice=Notice(requiretls=False, says_no=True),
            ),
        ),
    ),
    OutgoingCase(
        "notices/null-sender",
        "A message from nobody goes under REQUIRETLS where that can be done",
        "RFC 8689 section 5",
        dane("null-sender", "DANE matches, REQUIRETLS"),
        (Send("delivered dane requiretls", return_path=None),),
    ),
    OutgoingCase(
        "notices/null-sender-not-lost",
        "A message from nobody goes without REQUIRETLS, still in TLS, rather than being lost",
        "RFC 8689 section 5",
        dane("null-sender-not-lost", "DANE matches, no REQUIRETLS", requiretls=Offer.NEVER),
        (Send("delivered dane", return_path=None),),
    ),
    OutgoingCase(
        "notices/null-sender-held-to-dane",
        "A message from nobody is held to the recipient's own DANE like any mail",
        "RFC 7672 section 2.2",
        signed("null-sender-held-to-dane", "TLSA 3 1 1 of another key", tlsa=("3 1 1 wrong",)),
        (Send("deferred 451 4.7.5 dane-mismatch", return_path=None),),
    ),
    OutgoingCase(
        "notices/null-sender-unproven",
        "A message from nobody is not lost where nobody vouches for the host's name",
        "RFC 8689 section 5",
        (
            Domain(
                "null-sender-unproven.test",
                (MailHost(),),
                ZoneKind.UNSIGNED,
                meaning="unsigned MX, no MTA-STS",
            ),
        ),
        (Send("delivered encrypted", return_path=None),),
    ),
)
