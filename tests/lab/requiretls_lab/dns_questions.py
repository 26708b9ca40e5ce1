"""Questions to a resolver as a plain stub asks them."""

from __future__ import annotations

import dns.edns
import dns.flags
import dns.message
import dns.query
import dns.rcode


def ask(resolver: str, name: str, rdtype: str, timeout: float = 3.0) -> dns.message.Message:
    """Return the answer of the resolver at `ip:port`, over TCP if it is truncated."""
    address, port = resolver.split(":")
    query = dns.message.make_query(name, rdtype, want_dnssec=True)
    return dns.query.udp_with_fallback(query, address, port=int(port), timeout=timeout)[0]


def verdict(answer: dns.message.Message) -> str:
    """Return the reply code in words, with `ad` for authenticated, `bogus` if an extended error says so."""
    words = [dns.rcode.to_text(answer.rcode())]
    if answer.flags & dns.flags.AD:
        words.append("ad")
    if any(isinstance(option, dns.edns.EDEOption) and 5 <= option.code <= 12 for option in answer.options):
        words.append("bogus")
    return " ".join(words)
