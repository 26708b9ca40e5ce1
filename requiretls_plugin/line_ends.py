"""Line ends and leading dots in content, without looking at each line (RFC 5321 §2.3.8, §4.5.2)."""

from __future__ import annotations

import io
import re

_LONE_CR_OR_LF = re.compile(rb"\r(?!\n)|(?<!\r)\n")
_LEADING_DOT = re.compile(rb"\r\n\.")


def with_whole_line_ends(content: bytes) -> bytes:
    """Return *content* with every CR or LF that stands alone made a CR LF, itself if there is none.

    A lone one passed on would let one server see the end of the message where
    another sees none ("SMTP smuggling").
    """
    return content if _all_whole(content) else _LONE_CR_OR_LF.sub(b"\r\n", content)


def has_leading_dot(content: bytes) -> bool:
    """Return whether a line of *content* other than the first begins with a dot."""
    return _LEADING_DOT.search(content) is not None


def _all_whole(content: bytes) -> bool:
    # This decoder notes every kind of line end that it meets, and is much faster than counting them.
    decoder = io.IncrementalNewlineDecoder(None, translate=False)
    decoder.decode(content.decode("latin-1"), final=True)
    return decoder.newlines in (None, "\r\n")
