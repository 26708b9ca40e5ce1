"""What plugins answer: the odd, the half right and the endless are one clear error each."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import pytest
from hypothesis import given
from hypothesis import strategies as st

from requiretls_plugin.delivery.outcome import Disposition, Notice, Outcome
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.errors import PluginError
from requiretls_plugin.field_types import wrong_field, wrong_field_within
from requiretls_plugin.mail_address import AddressLiteral, MailAddress
from requiretls_plugin.message import Message, Notify, Recipient
from requiretls_plugin.plugin_answers import hop_in, notices_in, outcomes_in, requirement_in
from requiretls_plugin.policy.next_hop import DomainHop, Login, NamedHop, Protocol, UNIXSocket
from requiretls_plugin.reason import Reason
from requiretls_plugin.reply import Reply
from requiretls_plugin.requirement import Requirement
from requiretls_plugin.server_address import ServerAddress
from tests.plugin_objects import BOB, CAROL, MESSAGE, delivered

NOTICE = Notice(replace(MESSAGE, return_path=None), MailAddress.parse("alice@sender.example"))
SERVER = ServerAddress.parse("mx.partner.example")


class _Refusing(Sequence[Any]):
    """A sequence that raises when it is looked at."""

    def __len__(self) -> int:
        raise OSError("no length")

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Any]: ...
    def __getitem__(self, index: object) -> Any:
        raise OSError("no items")

    def __iter__(self) -> Iterator[Any]:
        raise OSError("no items")


@dataclass(frozen=True, slots=True)
class _OwnHop(NamedHop):
    """A next hop with something more to it."""

    weight: int = 1


class _OwnOutcome(Outcome):
    """An outcome of a plugin's own."""


def _odd(value: Any, **fields: Any) -> Any:
    """Return *value* with fields as no type checker would let them be."""
    return replace(value, **fields)


def _nested(depth: int) -> Notice:
    notice = NOTICE
    for _ in range(depth):
        notice = replace(NOTICE, fallback=notice)
    return notice


async def _coroutine() -> None:
    """Never to be awaited."""


def _outcomes(answer: Any) -> object:
    return outcomes_in("plugin odd", answer, (BOB,))


def _notices(answer: Any) -> object:
    return notices_in("plugin odd", answer, MESSAGE)


def _hop(answer: Any) -> object:
    return hop_in("plugin odd", answer)


def _requirement(answer: Any) -> object:
    return requirement_in("plugin odd", answer)


_ASKING: list[Callable[[Any], object]] = [_outcomes, _notices, _hop, _requirement]


@pytest.mark.parametrize("asking", _ASKING, ids=lambda each: each.__name__)
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: 5, id="a number"),
        pytest.param(lambda: "text", id="text"),
        pytest.param(lambda: b"bytes", id="bytes"),
        pytest.param(lambda: {"a": 1}, id="a mapping"),
        pytest.param(lambda: object(), id="an object"),
        pytest.param(lambda: Requirement, id="a class"),
        pytest.param(lambda: (each for each in "ab"), id="a generator"),
        pytest.param(lambda: [None] * 1_000_000, id="a huge list"),
        pytest.param(lambda: range(1 << 20), id="a range"),
        pytest.param(_Refusing, id="a sequence that raises"),
        pytest.param(_coroutine, id="a coroutine nobody awaits"),
        pytest.param(lambda: [_coroutine(), _coroutine()], id="coroutines nobody awaits"),
    ],
)
def test_attack_an_odd_answer_is_one_error_that_names_the_plugin(
    asking: Callable[[Any], object], make: Callable[[], Any]
) -> None:
    """And what it is; nothing is left behind that Python would complain about later."""
    with pytest.raises(PluginError, match=r"^plugin odd(:| returned )"):
        asking(make())


_DEFERRED = Outcome(BOB, Disposition.DEFERRED, Reply(451, "4.3.0", "later"), reason=Reason.REJECTED)


@pytest.mark.parametrize(
    ("outcome", "complaint"),
    [
        pytest.param(
            _OwnOutcome(BOB, Disposition.DELIVERED, Reply(250, "2.0.0", "OK")), "_OwnOutcome", id="own"
        ),
        pytest.param(_odd(delivered(BOB), recipient="bob@recipient.example"), "wrong recipient", id="text"),
        pytest.param(_odd(delivered(BOB), disposition="delivered"), "wrong disposition", id="a word"),
        pytest.param(_odd(delivered(BOB), reply=(250, "OK")), "wrong reply", id="a pair"),
        pytest.param(_odd(delivered(BOB), requiretls=1), "wrong requiretls", id="one for yes"),
        pytest.param(
            _odd(_DEFERRED, disposition=Disposition.FAILED),
            "failed with the reply 451 4.3.0 later",
            id="a failure that says try again",
        ),
        pytest.param(
            _odd(_DEFERRED, reply=Reply(250, "2.0.0", "OK")),
            "deferred with the reply 250 2.0.0 OK",
            id="a deferral that says yes",
        ),
        pytest.param(
            _odd(_DEFERRED, disposition=Disposition.DELIVERED, reason=None),
            "delivered with the reply 451",
            id="a delivery that says no",
        ),
        pytest.param(_odd(_DEFERRED, reason=None), "deferred without a reason", id="no reason"),
        pytest.param(
            _odd(delivered(BOB), reason=Reason.REJECTED),
            "delivered with the reason rejected",
            id="a reason for success",
        ),
        pytest.param(
            _odd(delivered(BOB), recipient=_odd(BOB, address="bob@recipient.example")),
            "AttributeError",
            id="a recipient without an address",
        ),
    ],
)
def test_attack_an_outcome_that_contradicts_itself_is_not_believed(outcome: Any, complaint: str) -> None:
    """A host would tell its client yes about a message that nobody has."""
    with pytest.raises(PluginError, match=r"^plugin odd[: ]") as raised:
        _outcomes([outcome])

    assert complaint in str(raised.value)


@pytest.mark.parametrize(
    ("hop", "complaint"),
    [
        pytest.param(_OwnHop(SERVER), "returned _OwnHop instead of DomainHop or NamedHop", id="derived"),
        pytest.param(_odd(NamedHop(SERVER), server="mx.partner.example:25"), "wrong server", id="text"),
        pytest.param(
            NamedHop(_odd(SERVER, host="mx.partner.example")), "wrong server.host", id="name as text"
        ),
        pytest.param(NamedHop(ServerAddress(SERVER.host, True)), "wrong server.port", id="a port of True"),
        pytest.param(NamedHop(ServerAddress(SERVER.host, 0)), "no port between", id="port 0"),
        pytest.param(_odd(NamedHop(SERVER), protocol="lmtp"), "wrong protocol", id="protocol as text"),
        pytest.param(
            NamedHop(SERVER, login=_odd(Login("a", "b"), password=b"b")), "wrong login.password", id="bytes"
        ),
        pytest.param(NamedHop(UNIXSocket("run/lmtp")), "from the root", id="a relative path"),
        pytest.param(
            NamedHop(ServerAddress(DomainName("MX.Partner.example"), 25)),
            "'MX.Partner.example:25' instead of 'mx.partner.example:25': make it with parse()",
            id="capitals",
        ),
        pytest.param(DomainHop(DomainName("a..b")), "that cannot be: 'a..b' is no domain name", id="no name"),
        pytest.param(DomainHop(DomainName("a.b\r\nRCPT TO:<x@y>")), "that cannot be", id="line ends"),
        pytest.param(
            _odd(DomainHop(DomainName("a.example")), domain="a.example"),
            "wrong domain",
            id="a domain as text",
        ),
    ],
)
def test_attack_a_next_hop_that_parsing_would_not_make_is_refused(hop: Any, complaint: str) -> None:
    """Deeper in it would be a failure nobody understands, or a server nobody meant."""
    with pytest.raises(PluginError, match=r"^plugin odd returned ") as raised:
        _hop(hop)

    assert complaint in str(raised.value)


@pytest.mark.parametrize(
    "hop",
    [
        NamedHop(SERVER),
        NamedHop(ServerAddress.parse("[2001:db8::1]:24"), protocol=Protocol.LMTP),
        NamedHop(ServerAddress.parse("192.0.2.1:465"), login=Login("a", "b"), encrypted=True),
        NamedHop(UNIXSocket("/run/lmtp")),
        DomainHop(DomainName.parse("bücher.example")),
        DomainHop(AddressLiteral(ipaddress.IPv6Address("2001:db8::1"))),
    ],
    ids=str,
)
def test_a_next_hop_of_any_kind_is_taken_as_it_is(hop: Any) -> None:
    """Parsed ones pass."""
    assert _hop(hop) is hop


@pytest.mark.parametrize(
    ("notice", "complaint"),
    [
        pytest.param(_odd(NOTICE, message="text"), "wrong message", id="text"),
        pytest.param(_odd(NOTICE, recipient="a@b.example"), "wrong recipient", id="address"),
        pytest.param(_odd(NOTICE, fallback=NOTICE.message), "wrong fallback", id="fallback"),
        pytest.param(
            replace(NOTICE, fallback=replace(NOTICE, message=_odd(NOTICE.message, content="text"))),
            "wrong fallback.message.content",
            id="deep inside",
        ),
        pytest.param(Notice(MESSAGE, NOTICE.recipient), "null return path", id="a return path"),
        pytest.param(
            replace(NOTICE, fallback=Notice(MESSAGE, NOTICE.recipient)),
            "null return path",
            id="a fallback with a return path",
        ),
        pytest.param(
            replace(NOTICE, fallback=replace(NOTICE, fallback=NOTICE)),
            "whose fallback has a fallback",
            id="a fallback's fallback",
        ),
        pytest.param(_nested(5_000), "RecursionError", id="fallbacks without end"),
    ],
)
def test_attack_a_notice_that_cannot_be_sent_is_refused(notice: Any, complaint: str) -> None:
    """Before it gets between a delivery and its outcome."""
    with pytest.raises(PluginError, match=r"^plugin odd( returned |: )") as raised:
        _notices([notice])

    assert complaint in str(raised.value)


def test_attack_nothing_is_sent_about_a_message_with_the_null_return_path() -> None:
    """Or notices about notices would follow (RFC 5321 section 4.5.5)."""
    assert notices_in("plugin odd", [], NOTICE.message) == ()
    with pytest.raises(PluginError, match="null return path"):
        notices_in("plugin odd", [NOTICE], NOTICE.message)


_ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=3), st.just([]), st.just(BOB), st.just(SERVER)
)
_GOOD: list[Any] = [delivered(BOB), NOTICE, NamedHop(SERVER), DomainHop(DomainName("partner.example"))]


@given(data=st.data(), value=st.sampled_from(_GOOD))
def test_attack_with_any_field_replaced_by_anything_it_is_good_or_one_error(
    data: st.DataObject, value: Any
) -> None:
    """Nothing else is raised, so nothing else can come between a message and its outcome."""
    name = data.draw(st.sampled_from(type(value).__match_args__))
    odd = replace(value, **{name: data.draw(_ODD)})
    for asking, answer in ((_outcomes, [odd]), (_notices, [odd]), (_hop, odd)):
        with contextlib.suppress(PluginError):
            asking(answer)


def test_outcomes_are_put_in_the_order_of_the_recipients() -> None:
    """A list, a tuple or another sequence."""
    answer = [delivered(CAROL), delivered(BOB)]
    assert outcomes_in("plugin", answer, (BOB, CAROL)) == (delivered(BOB), delivered(CAROL))


def test_fields_are_held_to_their_types() -> None:
    """Unions, tuples, sets, numbers that are truth values; and the dataclasses inside."""
    wishes = Recipient(MailAddress.parse("a@b.example"), notify=frozenset({Notify.DELAY}))
    assert wrong_field(wishes) is None
    assert wrong_field(_odd(wishes, notify=frozenset({"DELAY"}))) == "notify"
    assert wrong_field(Message(None, b"", peer="192.0.2.1")) is None
    assert wrong_field(_odd(Message(None, b""), content="")) == "content"
    assert wrong_field(_odd(Message(None, b""), smtputf8=None)) == "smtputf8"
    assert wrong_field_within(NamedHop(_odd(SERVER, port=25.0))) == "server.port"
