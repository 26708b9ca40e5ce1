"""What messages under way hold, all together."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from requiretls_plugin.receiving.message_memory import FREE_OCTETS, LARGEST_MESSAGES, MessageMemory

LIMIT = 4 * FREE_OCTETS


def test_so_many_of_the_largest_messages_have_room_and_no_more() -> None:
    """The next one is told to come again, until one of them is done."""
    memory = MessageMemory()
    shares = [memory.share(LIMIT + FREE_OCTETS) for _ in range(LARGEST_MESSAGES)]
    shares += [memory.share(LIMIT) for _ in range(20)]
    room = [share.grow(LIMIT) for share in shares]
    assert all(room[:LARGEST_MESSAGES])
    assert not all(room)
    for share in shares[:LARGEST_MESSAGES]:
        share.drop()
    assert memory.share(LIMIT).grow(LIMIT)


def test_attack_large_messages_that_never_end_keep_no_ordinary_mail_out() -> None:
    """So much of each message is free, whatever the others hold."""
    memory = MessageMemory()
    greedy = [memory.share(LIMIT) for _ in range(100)]
    while any(share.grow(10_000) for share in greedy):
        pass

    ordinary = memory.share(LIMIT)
    assert ordinary.grow(FREE_OCTETS)
    assert not ordinary.grow(20_000)


def test_without_a_size_limit_there_is_no_other() -> None:
    """Whoever takes messages of any size has said so."""
    memory = MessageMemory()
    assert all(memory.share(None).grow(2**40) for _ in range(100))


def test_a_small_limit_counts_for_those_who_have_it() -> None:
    """Two servers of one process may have different ones, and share one memory."""
    memory = MessageMemory()
    large, small = memory.share(100 * LIMIT), memory.share(LIMIT)
    assert large.grow(10 * LIMIT)
    assert not small.grow(LIMIT)
    assert large.grow(10 * LIMIT)


@given(st.lists(st.lists(st.integers(0, 3 * FREE_OCTETS), max_size=6), max_size=30))
def test_all_that_was_taken_is_given_back(messages: list[list[int]]) -> None:
    """Also by messages that were refused, and it is never more than there may be."""
    memory = MessageMemory()
    for sizes in messages:
        with memory.share(LIMIT) as share:
            for octets in sizes:
                if not share.grow(octets):
                    share.drop()
                    break
                assert 0 <= memory.held <= LARGEST_MESSAGES * LIMIT
    assert memory.held == 0


def test_sessions_in_several_threads_count_right() -> None:
    """aiosmtpd's controllers have a loop each, in a thread each."""
    memory = MessageMemory()

    def work() -> None:
        for _ in range(2000):
            with memory.share(None) as share:
                share.grow(FREE_OCTETS + 1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert memory.held == 0
