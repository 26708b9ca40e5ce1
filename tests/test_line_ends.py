"""Line ends and leading dots, beside the slow and obvious way to find them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from requiretls_plugin.line_ends import has_leading_dot, with_whole_line_ends

CONTENTS = st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"a", b"\x85", b"\xff"])).map(b"".join)


@given(CONTENTS)
def test_every_lone_cr_or_lf_becomes_a_crlf(content: bytes) -> None:
    lines = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")

    assert with_whole_line_ends(content) == b"\r\n".join(lines)


def test_content_with_whole_line_ends_is_not_even_copied() -> None:
    content = b"Subject: a\r\n\r\nb\r\n"

    assert with_whole_line_ends(content) is content


@given(CONTENTS.map(with_whole_line_ends))
def test_a_leading_dot_is_found_in_every_line_but_the_first(content: bytes) -> None:
    assert has_leading_dot(content) == any(line.startswith(b".") for line in content.split(b"\r\n")[1:])
