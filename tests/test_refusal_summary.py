"""The one text about everybody a post did not reach."""

from __future__ import annotations

from requiretls_plugin.delivery.outcome import Disposition, Outcome
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.message import Recipient
from requiretls_plugin.reason import Reason
from requiretls_plugin.refusal_summary import MAX_DOMAINS, grouped, summary_text
from requiretls_plugin.reply import REQUIRETLS_NOT_SUPPORTED, TLS_NOT_JUDGED, Reply

HOST = DomainName("lists.example")


def refused(address: str, reason: Reason = Reason.REQUIRETLS_NOT_OFFERED) -> Outcome:
    """Return a final refusal."""
    return Outcome(Recipient.parse(address), Disposition.FAILED, REQUIRETLS_NOT_SUPPORTED, reason=reason)


def test_recipients_are_grouped_by_reason_and_domain_the_largest_first() -> None:
    """Numbers, not addresses."""
    outcomes = [
        refused("a@small.example"),
        refused("b@large.example"),
        refused("c@large.example"),
        refused("d@other.example", Reason.NAME_NOT_PROVEN),
    ]
    groups = grouped(outcomes)
    assert [(group.reason, group.total) for group in groups] == [
        (Reason.REQUIRETLS_NOT_OFFERED, 3),
        (Reason.NAME_NOT_PROVEN, 1),
    ]
    assert list(groups[0].domains.items()) == [("large.example", 2), ("small.example", 1)]


def test_the_text_says_how_many_and_why_and_names_nobody() -> None:
    """In the words of the other notices."""
    waiting = Outcome(
        Recipient.parse("w@later.example"),
        Disposition.DEFERRED,
        TLS_NOT_JUDGED,
        reason=Reason.STS_UNAVAILABLE,
    )
    text = summary_text([refused("a@b.example")], [waiting], total=7, hostname=HOST)
    assert "1 of 7 recipients" in text
    assert "(requiretls-not-offered)" in text
    assert "For 1 more" in text
    assert "later.example" in text
    assert "@" not in text
    assert max(map(len, text.splitlines())) <= 72


def test_without_domains_only_numbers_are_given() -> None:
    """A poster may not learn where members are, if the roster is not for him."""
    text = summary_text([refused("a@b.example")], [], total=1, hostname=HOST, name_domains=False)
    assert "b.example" not in text


def test_a_long_list_of_domains_is_cut() -> None:
    """And says how many are left out."""
    outcomes = [refused(f"a@d{number}.example") for number in range(MAX_DOMAINS + 5)]
    text = summary_text(outcomes, [], total=len(outcomes), hostname=HOST)
    assert "and 5 more domains" in text


def test_attack_a_servers_words_are_not_in_the_text() -> None:
    """What a stranger replied could quote the message or carry a link."""
    said = Outcome(
        Recipient.parse("a@b.example"),
        Disposition.FAILED,
        Reply(550, "5.7.30", "see http://evil.example"),
        reason=Reason.REJECTED,
        server_text="see http://evil.example",
        from_server=True,
    )
    assert "evil" not in summary_text([said], [], total=1, hostname=HOST)
