"""What a post asks of delivery reports is between its poster and the server before the list.

A list is where a post arrives, and its copies are mail of the list's own (RFC
3461 section 5.2.7.1). So the LMTP server takes no wishes that nobody here would
fulfil, and the server before it reports success itself.
"""

from __future__ import annotations

import pytest

from tests.hooks.mailman.bed import LIST, POST, POSTER, Bed


@pytest.mark.requirement("3461-5.2.7.1-1")
def test_copies_carry_requiretls_but_nothing_about_reports(bed: Bed) -> None:
    """ENVID, RET, NOTIFY and ORCPT end before the list, which is the sender from there on."""
    bed.create_list(["b@dane-ee.test"])

    with bed.lmtp() as client:
        assert not client.has_extn("dsn")
        assert client.mail(POSTER, ["REQUIRETLS", "ENVID=Q1", "RET=FULL"])[0] == 555
        assert client.mail(POSTER, ["REQUIRETLS"])[0] == 250
        assert client.rcpt(LIST, ["NOTIFY=SUCCESS", f"ORCPT=rfc822;{LIST}"])[0] == 555
        assert client.rcpt(LIST)[0] == 250
        assert client.data(POST)[0] == 250
    bed.run()

    [copy] = bed.delivered("dane-ee.test")
    assert copy.requiretls
    assert copy.mail_from == "team-bounces@lists.test"
    words = {*copy.mail_parameters, *copy.recipients[0].parameters}
    assert not [word for word in words if word.partition("=")[0] in ("ENVID", "RET", "NOTIFY", "ORCPT")]
