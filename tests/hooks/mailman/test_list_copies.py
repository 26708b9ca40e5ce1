"""Posts to a list: what each member gets, what becomes of those who cannot be reached, who is told."""

from __future__ import annotations

import pytest

from requiretls_lab.laboratory import Laboratory
from tests.hooks.mailman.bed import LIST, POST, Bed, config
from tests.hooks.mailman.scores import score_of

REACHED, NO_KEYWORD, UNPROVEN = "b@dane-ee.test", "c@no-keyword.test", "d@unproven.test"


@pytest.mark.requirement("8689-6-1", "8689-6-2", "8689-4.1-5")
def test_every_copy_of_a_tagged_post_demands_what_the_post_demanded(bed: Bed) -> None:
    """The parameter stands on MAIL of every copy, and nobody gets it without."""
    bed.create_list([REACHED, "e@sts.test", NO_KEYWORD, UNPROVEN])

    bed.post(POST, "REQUIRETLS")
    bed.run()

    for domain in ("dane-ee.test", "sts.test"):
        [copy] = bed.delivered(domain)
        assert copy.requiretls
        assert b"the secret body" in copy.content
        assert copy.mail_from == "team-bounces@lists.test"
    assert bed.delivered("no-keyword.test") == bed.delivered("unproven.test") == []


@pytest.mark.requirement("8689-6-1", "8689-4.1-2")
def test_copies_of_a_post_with_tls_required_no_say_so_too(bed: Bed) -> None:
    """A broken policy of the member's domain is set aside, and the field goes along once."""
    bed.create_list(["b@wrong-tlsa.test"])

    bed.post("TLS-Required: No\n" + POST)
    bed.run()

    [copy] = bed.delivered("wrong-tlsa.test")
    assert copy.content.count(b"TLS-Required: No") == 1
    assert not copy.requiretls


@pytest.mark.requirement("8689-4.1-4")
def test_copies_of_a_post_with_both_demand_tls_and_do_not_say_no(bed: Bed) -> None:
    """The list writes a new message; it does not hand on a contradiction."""
    bed.create_list([REACHED])

    bed.post("TLS-Required: No\n" + POST, "REQUIRETLS")
    bed.run()

    [copy] = bed.delivered("dane-ee.test")
    assert copy.requiretls
    assert b"TLS-Required" not in copy.content


def test_an_untagged_post_goes_to_everybody_as_ever(bed: Bed) -> None:
    """Without the parameter a member whose provider lacks it is reached."""
    bed.create_list([REACHED, NO_KEYWORD])

    bed.post()
    bed.run()

    assert [len(bed.delivered(domain)) for domain in ("dane-ee.test", "no-keyword.test")] == [1, 1]
    assert not bed.delivered("dane-ee.test")[0].requiretls


@pytest.mark.parametrize("verp", ["0", "1"], ids=["bulk delivery", "verp"])
def test_no_member_is_scored_for_a_requiretls_refusal(bed: Bed, verp: str) -> None:
    """The address is good; only a real rejection counts as a bounce."""
    mlist = bed.create_list([REACHED, NO_KEYWORD, UNPROVEN])
    config.push("verp", f"[mta]\nverp_delivery_interval: {verp}\n")
    try:
        bed.post(POST, "REQUIRETLS")
        bed.run()
    finally:
        config.pop("verp")

    assert [score_of(mlist, member) for member in (REACHED, NO_KEYWORD, UNPROVEN)] == [0.0, 0.0, 0.0]
    assert len(bed.delivered("dane-ee.test")) == 1


def test_copies_that_differ_from_member_to_member_travel_together(bed: Bed, lab: Laboratory) -> None:
    """With VERP, twenty members at a server that takes its time are not served one after the other."""
    members = [f"m{number}@dane-ee.test" for number in range(20)]
    bed.create_list([])
    host = lab.destination("mx.dane-ee.test")
    host.script = host.script.__class__(delay=0.05)
    bed.use(delivery={"max_connections_per_host": 20})
    bed.post(POST, "REQUIRETLS")
    bed.run("in", "pipeline")
    [entry] = bed.queued("out")
    entry.msgdata.update(recipients=set(members), verp=True)
    config.switchboards["out"].enqueue(entry.msg, entry.msgdata)

    bed.run("out")

    copies = bed.delivered("dane-ee.test")
    assert {copy.mail_from for copy in copies} == {
        f"team-bounces+m{number}=dane-ee.test@lists.test" for number in range(20)
    }
    assert all(copy.requiretls and len(copy.recipients) == 1 for copy in copies)
    assert len(host.connections) > 5


def test_a_rejected_member_is_scored_although_others_were_refused_for_tls(bed: Bed, lab: Laboratory) -> None:
    """5.1.1 stays a bounce, beside a REQUIRETLS refusal in the same post."""
    mlist = bed.create_list([REACHED, NO_KEYWORD])
    host = lab.destination("mx.dane-ee.test")
    host.script = host.script.__class__(replies={"RCPT": "550 5.1.1 nobody here"})

    bed.post(POST, "REQUIRETLS")
    bed.run()

    assert score_of(mlist, REACHED) == 1.0
    assert score_of(mlist, NO_KEYWORD) == 0.0


def test_a_refusal_by_the_next_hop_counts_for_nobody_either(bed: Bed, lab: Laboratory) -> None:
    """A server further on may have found out first."""
    mlist = bed.create_list([REACHED])
    host = lab.destination("mx.dane-ee.test")
    host.script = host.script.__class__(replies={"RCPT": "550 5.7.30 not from here on"})

    bed.post(POST, "REQUIRETLS")
    bed.run()

    assert score_of(mlist, REACHED) == 0.0
    assert len(bed.delivered("sender.test")) == 2


@pytest.mark.requirement("8689-4.1-6")
def test_a_deferred_copy_keeps_its_tag_in_the_retry_queue(bed: Bed, lab: Laboratory) -> None:
    """After a 4yz reply the next try demands the same."""
    bed.create_list([REACHED])
    host = lab.destination("mx.dane-ee.test")
    script = host.script
    host.script = script.__class__(replies={"RCPT": "451 4.2.1 come again"})

    bed.post(POST, "REQUIRETLS")
    bed.run("in", "pipeline", "out")
    [waiting] = bed.queued("retry")
    assert waiting.msgdata["requiretls"] == "required"
    assert waiting.msgdata["requiretls_origin"] == "mail-parameter"

    host.script = script
    bed.use()  # another process, without the session that said no
    config.switchboards["out"].enqueue(waiting.msg, waiting.msgdata)
    bed.run("out")
    [copy] = bed.delivered("dane-ee.test")
    assert copy.requiretls


def test_through_a_smarthost_that_lacks_requiretls_nothing_leaves_and_nobody_is_scored(bed: Bed) -> None:
    """One unsupported smarthost must not disable a list's members."""
    mlist = bed.create_list([REACHED, "e@sts.test"])
    bed.use(delivery={"smarthost": f"mx.no-keyword.test:{bed.lab.port}"})

    bed.post(POST, "REQUIRETLS")
    bed.run("in", "pipeline", "out")

    assert bed.delivered("no-keyword.test") == []
    assert [score_of(mlist, member) for member in (REACHED, "e@sts.test")] == [0.0, 0.0]
    assert bed.queued("retry") == []


def test_through_a_smarthost_with_requiretls_one_transaction_serves_all(bed: Bed) -> None:
    """Named by the operator and verified by its certificate."""
    bed.create_list([f"m{n}@elsewhere{n}.example" for n in range(5)])
    bed.use(delivery={"smarthost": f"mx.dane-ee.test:{bed.lab.port}"})

    bed.post(POST, "REQUIRETLS")
    bed.run()

    [copy] = bed.delivered("dane-ee.test")
    assert copy.requiretls
    assert len(copy.recipients) == 5


def test_one_transaction_to_two_lists_tags_both(bed: Bed) -> None:
    """The tag is each list's own."""
    bed.create_list([REACHED])
    bed.create_list(["e@sts.test"], "other@lists.test")

    bed.post(POST, "REQUIRETLS", to=(LIST, "other@lists.test"))
    bed.run()

    assert bed.delivered("dane-ee.test")[0].requiretls
    assert bed.delivered("sts.test")[0].requiretls


def test_attack_a_stored_tag_or_postfix_field_in_a_post_never_leaves(bed: Bed) -> None:
    """Neither from LMTP nor put into a queue past it."""
    bed.create_list([REACHED])
    forged = "X-RequireTLS-Stored: requirement=optional\nRequire-TLS-ESMTP: yes\n"

    bed.use(receive={"trusted_hops": []})
    bed.post(forged + POST)
    from mailman.app.inject import inject_text

    inject_text(bed.create_list(["e@sts.test"], "other@lists.test"), forged + POST.replace("post@", "two@"))
    bed.run()

    for domain in ("dane-ee.test", "sts.test"):
        [copy] = bed.delivered(domain)
        assert b"X-RequireTLS-Stored" not in copy.content
        assert b"Require-TLS-ESMTP" not in copy.content
        assert not copy.requiretls
