"""Header fields in which mail servers keep tags, written by strangers."""

from __future__ import annotations

from requiretls_lab.selftest.outgoing.shorthand import dane, signed
from requiretls_lab.selftest.outgoing.steps import Asks, OutgoingCase, Send
from requiretls_lab.smtp_script import Offer

STRANGER = "192.0.2.1"
_STORED_NO = (
    b"X-RequireTLS-Stored: requirement=optional origin=header-field from=alice@way-back.test"
    b" to=bob@stored-tag-relaxes.test arrived=1\r\n"
)
_STORED_YES = (
    b"X-RequireTLS-Stored: requirement=required origin=mail-parameter from=alice@way-back.test"
    b" to=bob@stored-tag-strengthens.test parameter=yes arrived=1\r\n"
)
_POSTFIX = b"Require-TLS-ESMTP: yes\r\n"

CASES = (
    OutgoingCase(
        "forgeries/stored-tag-relaxes",
        "A stranger's stored tag, the field in which queued messages keep theirs, relaxes nothing",
        "RFC 8689 section 4.1",
        signed("stored-tag-relaxes", "TLSA 3 1 1 of another key", tlsa=("3 1 1 wrong",)),
        (Send("deferred 451 4.7.5 dane-mismatch", Asks.NOTHING, peer=STRANGER, header=_STORED_NO),),
    ),
    OutgoingCase(
        "forgeries/stored-tag-weakens-required",
        "A stranger's stored tag does not weaken REQUIRETLS on MAIL",
        "RFC 8689 section 4.1",
        dane("stored-tag-weakens-required", "DANE matches, no REQUIRETLS", requiretls=Offer.NEVER),
        (Send("failed 550 5.7.30 requiretls-not-offered", peer=STRANGER, header=_STORED_NO),),
    ),
    OutgoingCase(
        "forgeries/stored-tag-strengthens",
        "A stranger's stored tag strengthens nothing, and does not leave this machine",
        "RFC 8689 section 4.1",
        dane("stored-tag-strengthens", "DANE matches, REQUIRETLS"),
        (Send("delivered dane", Asks.NOTHING, peer=STRANGER, header=_STORED_YES, stripped=True),),
    ),
    OutgoingCase(
        "forgeries/postfix-tag",
        "Postfix's tag from a stranger is no tag, and does not leave this machine",
        "RFC 8689 section 4.1",
        dane("postfix-tag", "DANE matches, REQUIRETLS"),
        (Send("delivered dane", Asks.NOTHING, peer=STRANGER, header=_POSTFIX, stripped=True),),
    ),
    OutgoingCase(
        "forgeries/postfix-tag-on-required",
        "Postfix's tag is taken off a message under REQUIRETLS too",
        "RFC 8689 section 4.1",
        dane("postfix-tag-on-required", "DANE matches, REQUIRETLS"),
        (Send("delivered dane requiretls", peer=STRANGER, header=_POSTFIX, stripped=True),),
    ),
)
