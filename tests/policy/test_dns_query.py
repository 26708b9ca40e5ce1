"""One resolver over real sockets, honest and hostile."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import dns.message
import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

import requiretls_plugin.policy.dns_query
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.policy.answers import Absent, Found, LookupFailed
from requiretls_plugin.policy.dns import StubResolver
from requiretls_plugin.policy.dns_query import PlainServer, Reply, Server, TLSServer, Unanswered
from requiretls_plugin.policy.dns_reply import read_reply
from requiretls_plugin.server_address import Nameserver
from requiretls_plugin.settings import DNSSettings
from tests.policy.dns_messages import query_for, reply_to
from tests.policy.scripted_nameserver import Answers, Script, Talk, scripted_nameserver, silence

QUERY = query_for("a.test", "TXT")


def text_of(reply: Reply) -> str:
    assert isinstance(reply, dns.message.Message), reply
    answer = read_reply(reply, ad_counts=False)
    assert isinstance(answer, Found), answer
    text: bytes = answer.records[0]
    return text.decode()


def honest(query: dns.message.Message) -> Answers:
    return [reply_to(query, 'a.test. 60 TXT "honest"').to_wire()]


def truncated(query: dns.message.Message) -> Answers:
    return [reply_to(query, tc=True).to_wire()]


async def ask(server: Server, patience: float = 0.3) -> Reply:
    try:
        async with asyncio.timeout(patience):
            return await server.ask(QUERY)
    except TimeoutError:
        return Unanswered("test gave up")
    finally:
        server.close()


def plain(talk: Talk) -> PlainServer:
    return PlainServer(Nameserver.parse(f"127.0.0.1:{talk.port}"))


def reply_from(udp: Script, stream: Script = silence, patience: float = 0.3) -> tuple[Reply, Talk]:
    async def run() -> tuple[Reply, Talk]:
        async with scripted_nameserver(udp, stream) as talk:
            return await ask(plain(talk), patience), talk

    return asyncio.run(run())


def test_a_question_is_asked_over_udp() -> None:
    """The plain case."""
    reply, talk = reply_from(honest)

    assert text_of(reply) == "honest"
    assert len(talk.over_udp) == 1
    assert talk.connections == 0


@pytest.mark.requirement("7671-10.1.1-1")
def test_a_truncated_reply_is_fetched_over_tcp() -> None:
    """A TLSA RRset with whole certificates needs it."""
    reply, talk = reply_from(truncated, honest)

    assert text_of(reply) == "honest"
    assert len(talk.over_stream) == 1


@pytest.mark.requirement("7671-10.1.1-1")
def test_replies_of_almost_64_kb_come_through() -> None:
    """As large as a DNS message can be."""

    def huge(query: dns.message.Message) -> Answers:
        lines = [f'a.test. 60 TXT "{n:0200}" "{n:0200}"' for n in range(150)]
        return [reply_to(query, *lines).to_wire(max_size=65_535)]

    reply, _ = reply_from(truncated, huge, patience=10.0)

    assert isinstance(reply, dns.message.Message)
    assert len(reply.answer[0]) == 150


def test_attack_messages_too_short_to_be_any_end_the_connection() -> None:
    """Thousands of them fit where one reply does, and none is worth a look."""

    def short(query: dns.message.Message) -> Answers:
        return [b"", b"\0" * 11, *honest(query)]

    reply, _ = reply_from(truncated, short)

    assert reply == Unanswered("the connection was closed")


@pytest.mark.requirement("7671-10.1.1-1")
@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(silence, id="silence"),
        pytest.param(lambda query: [b""], id="an empty message"),
        pytest.param(lambda query: [b"\0" * 40], id="zeros"),
        pytest.param(lambda query: [b"\xff" * 500], id="ones"),
    ],
)
def test_attack_a_failure_over_tcp_is_no_absence(stream: Script) -> None:
    """The truncated reply alone says nothing."""
    reply, _ = reply_from(truncated, stream)

    assert isinstance(reply, Unanswered)


def spoof(change: Callable[[bytearray], None]) -> Script:
    """Send a forged reply, changed, and then the honest one."""

    def script(query: dns.message.Message) -> Answers:
        forged = bytearray(reply_to(query, 'a.test. 60 TXT "forged"', ad=True).to_wire())
        change(forged)
        return [bytes(forged), *honest(query)]

    return script


def other_id(wire: bytearray) -> None:
    wire[0] ^= 0xFF


def other_question(wire: bytearray) -> None:
    wire[13] ^= 0x01


def query_bit(wire: bytearray) -> None:
    wire[2] &= 0x7F


def other_opcode(wire: bytearray) -> None:
    wire[2] |= 0x20


def cut_off(wire: bytearray) -> None:
    del wire[-5:]


@pytest.mark.parametrize(
    "change", [other_id, other_question, query_bit, other_opcode, cut_off, bytearray.clear]
)
def test_attack_spoofed_datagrams_are_passed_over(change: Callable[[bytearray], None]) -> None:
    """The resolver's own answer still counts."""
    reply, _ = reply_from(spoof(change))

    assert text_of(reply) == "honest"


def test_attack_a_spoofed_truncated_reply_with_a_wrong_id_does_not_cause_tcp() -> None:
    """Its TC bit is passed over with it."""

    def script(query: dns.message.Message) -> Answers:
        wire = bytearray(reply_to(query, tc=True).to_wire())
        other_id(wire)
        return [bytes(wire), *honest(query)]

    reply, talk = reply_from(script)

    assert text_of(reply) == "honest"
    assert talk.connections == 0


def test_attack_datagrams_from_another_port_are_not_even_read() -> None:
    """The right id, the right question, the wrong sender."""

    async def run() -> Reply:
        loop = asyncio.get_running_loop()
        stranger, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
        )
        victim: list[Any] = []

        def script(query: dns.message.Message) -> Answers:
            forged = reply_to(query, 'a.test. 60 TXT "forged"', ad=True)
            stranger.sendto(forged.to_wire(), victim[0])
            return ()

        async with scripted_nameserver(script) as talk:
            talk.on_datagram = victim.append
            reply = await ask(plain(talk))
        stranger.close()
        return reply

    assert isinstance(asyncio.run(run()), Unanswered)


def test_a_lost_datagram_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same id, so that a late reply to the first counts as well."""
    monkeypatch.setattr(requiretls_plugin.policy.dns_query, "RESEND_AFTER", 0.02)
    seen: list[int] = []

    def script(query: dns.message.Message) -> Answers:
        seen.append(query.id)
        return honest(query) if len(seen) == 3 else ()

    reply, _ = reply_from(script)

    assert text_of(reply) == "honest"
    assert len(set(seen)) == 1


def test_a_closed_port_is_noticed_at_once() -> None:
    """The next resolver need not wait for a timeout."""

    async def run() -> Reply:
        async with scripted_nameserver() as talk:
            pass
        return await ask(plain(talk), patience=5)

    reply = asyncio.run(run())

    assert isinstance(reply, Unanswered)
    assert "refused" in reply.why


def stub_answer(run: Callable[[StubResolver], Coroutine[Any, Any, Any]], udp: Script, stream: Script) -> Any:
    async def inside() -> Any:
        complaints: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        async with scripted_nameserver(udp, stream) as talk:
            stub = StubResolver(
                DNSSettings.model_validate({"nameservers": [f"127.0.0.1:{talk.port}"], "timeout": 0.02})
            )
            answer = await run(stub)
        assert not complaints
        return answer

    return asyncio.run(inside())


@pytest.mark.requirement("7672-2.1.1-7")
@given(
    st.lists(st.binary(max_size=60), max_size=3),
    st.sampled_from(["raw", "header", "question"]),
    st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_attack_arbitrary_datagrams_and_streams_are_an_answer(
    junk: list[bytes], keep: str, truncate: bool
) -> None:
    """A hostile resolver gives failed lookups at worst, never an exception."""

    def hostile(query: dns.message.Message) -> Answers:
        start = bytearray(reply_to(query, tc=truncate).to_wire())
        kept = {"raw": 0, "header": 12, "question": 24}[keep]
        return [bytes(start[:kept]) + each for each in junk]

    answer = stub_answer(lambda stub: stub.tlsa(DomainName("a.test")), hostile, hostile)

    assert isinstance(answer, Found | Absent | LookupFailed)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA) -> Iterator[Path]:
    with authority.cert_pem.tempfile() as path:
        yield Path(path)


def server_context(authority: trustme.CA, name: str = "dns.test") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def over_tls(
    talk_to: Callable[[TLSServer, Talk], Coroutine[Any, Any, Any]],
    context: ssl.SSLContext,
    ca_file: Path | None,
    stream: Script = honest,
) -> Any:
    async def run() -> Any:
        async with scripted_nameserver(stream=stream, tls=context) as talk:
            server = TLSServer(Nameserver.parse(f"tls://dns.test@127.0.0.1:{talk.port}"), ca_file)
            try:
                return await talk_to(server, talk)
            finally:
                server.close()

    return asyncio.run(run())


def test_a_connection_over_tls_serves_many_questions(authority: trustme.CA, ca_file: Path) -> None:
    """A handshake for each would be twenty times slower."""

    async def ask_thrice(server: TLSServer, talk: Talk) -> int:
        for _ in range(3):
            assert text_of(await server.ask(QUERY)) == "honest"
        return talk.connections

    assert over_tls(ask_thrice, server_context(authority), ca_file) == 1


def test_questions_at_the_same_time_share_the_connection(authority: trustme.CA, ca_file: Path) -> None:
    """Each gets its own answer, in whatever order they come."""
    held_back: list[dns.message.Message] = []

    def backwards(query: dns.message.Message) -> Answers:
        held_back.append(query)
        if len(held_back) < 20:
            return ()
        return [
            reply_to(each, f'{each.question[0].name} 60 TXT "{each.question[0].name}"').to_wire()
            for each in reversed(held_back)
        ]

    async def ask_together(server: TLSServer, talk: Talk) -> tuple[list[Reply], int]:
        queries = [query_for(f"x{n}.test", "TXT") for n in range(20)]
        queries[1].id = queries[0].id
        return await asyncio.gather(*map(server.ask, queries)), talk.connections

    replies, connections = over_tls(ask_together, server_context(authority), ca_file, backwards)

    assert [text_of(reply) for reply in replies] == [f"x{n}.test." for n in range(20)]
    assert connections == 1


@pytest.mark.requirement("7672-2.1.1-4", "6698-4.1-5")
@pytest.mark.parametrize("fault", ["another name", "another authority", "system store"])
def test_attack_a_resolver_whose_certificate_does_not_fit_is_not_asked(
    authority: trustme.CA, ca_file: Path, fault: str
) -> None:
    """Its AD bit would be believed; so nothing else is sent to it, either."""
    context = server_context(
        trustme.CA() if fault == "another authority" else authority,
        "evil.test" if fault == "another name" else "dns.test",
    )

    async def once(server: TLSServer, talk: Talk) -> tuple[Reply, int]:
        return await server.ask(QUERY), len(talk.over_stream)

    reply, questions = over_tls(once, context, None if fault == "system store" else ca_file)

    assert isinstance(reply, Unanswered)
    assert questions == 0


@pytest.mark.parametrize("moment", ["idle", "with the next question"])
def test_a_connection_the_server_has_closed_is_replaced(
    authority: trustme.CA, ca_file: Path, moment: str
) -> None:
    """Servers close them when they like, also without having answered."""
    at_work: list[Talk] = []

    def script(query: dns.message.Message) -> Answers:
        if moment == "with the next question" and len(at_work[0].over_stream) == 2:
            at_work[0].hang_up()
            return ()
        return honest(query)

    async def twice(server: TLSServer, talk: Talk) -> tuple[Reply, int]:
        at_work.append(talk)
        await server.ask(QUERY)
        if moment == "idle":
            talk.hang_up()
            await asyncio.sleep(0.02)
        return await server.ask(QUERY), talk.connections

    reply, connections = over_tls(twice, server_context(authority), ca_file, script)

    assert text_of(reply) == "honest"
    assert connections == 2


def test_a_resolver_that_always_hangs_up_is_given_up(authority: trustme.CA, ca_file: Path) -> None:
    """No endless reconnecting."""
    at_work: list[Talk] = []

    def script(query: dns.message.Message) -> Answers:
        at_work[0].hang_up()
        return ()

    async def once(server: TLSServer, talk: Talk) -> tuple[Reply, int]:
        at_work.append(talk)
        return await server.ask(QUERY), talk.connections

    reply, connections = over_tls(once, server_context(authority), ca_file, script)

    assert isinstance(reply, Unanswered)
    assert connections == 1


def test_attack_a_late_reply_does_not_answer_the_next_question(authority: trustme.CA, ca_file: Path) -> None:
    """It comes when nobody waits for it any more, and is passed over."""
    late: list[bytes] = []

    def script(query: dns.message.Message) -> Answers:
        if "slow" in str(query.question[0].name):
            late.append(reply_to(query, 'slow.test. 60 TXT "late"').to_wire())
            return ()
        return [*late, *honest(query)]

    async def impatient(server: TLSServer, talk: Talk) -> Reply:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await server.ask(query_for("slow.test", "TXT"))
        return await server.ask(QUERY)

    assert text_of(over_tls(impatient, server_context(authority), ca_file, script)) == "honest"


def test_attack_a_reply_to_another_question_over_tls_is_no_reply(
    authority: trustme.CA, ca_file: Path
) -> None:
    """Questions are compared on streams, too; an unknown id is passed over."""

    async def once(server: TLSServer, talk: Talk) -> Reply:
        return await server.ask(QUERY)

    def script(query: dns.message.Message) -> Answers:
        same_id = query_for("b.test", "TXT")
        same_id.id = query.id
        return [*honest(query_for("a.test", "TXT")), *honest(same_id)]

    reply = over_tls(once, server_context(authority), ca_file, script)

    assert reply == Unanswered("the reply belongs to another question")
