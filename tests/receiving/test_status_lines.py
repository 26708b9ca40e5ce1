"""Whatever a handler answers becomes one safe line for each recipient."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from requiretls_plugin.receiving.status_lines import replies_for, reply_of
from requiretls_plugin.reply import INTERNAL_ERROR, Reply


@pytest.mark.requirement("2034-4-1")
@given(st.one_of(st.text(max_size=60), st.from_regex(r"[0-9]{3}[ -][0-9.]{0,9} ?.*", fullmatch=True)))
def test_any_text_becomes_one_line_with_codes_of_one_class(text: str) -> None:
    """No text adds a line, and no code contradicts another."""
    line = str(reply_of(text))
    assert re.fullmatch(r"([245])\d\d \1\.\d{1,3}\.\d{1,3}( [\x20-\x7e]*)?", line)


@pytest.mark.parametrize("answer", [None, 250, b"250 OK", [], ["250 OK"], {"250 OK", "250 2"}, object()])
def test_an_answer_that_does_not_fit_defers_everybody(answer: object) -> None:
    """Nothing is taken that nobody said yes to."""
    assert replies_for(answer, 2) == [INTERNAL_ERROR, INTERNAL_ERROR]


def test_an_answer_of_another_kind_in_a_sequence_defers_its_recipient_alone() -> None:
    """The others have theirs."""
    ok = Reply(250, "2.0.0", "OK")
    assert replies_for([ok, None, "550 5.1.1 no"], 3) == [ok, INTERNAL_ERROR, Reply(550, "5.1.1", "no")]
