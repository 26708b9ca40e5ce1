"""DNS replies for tests, written as text."""

from __future__ import annotations

from collections.abc import Sequence

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rrset
from dns.rdatatype import RdataType

from requiretls_plugin.policy.dns_wire import make_query


def query_for(name: str, rdtype: str) -> dns.message.QueryMessage:
    """Return the query that the stub would send."""
    return make_query(dns.name.from_text(name), RdataType.from_text(rdtype))


def reply_to(
    query: dns.message.Message,
    *answer: str,
    authority: Sequence[str] = (),
    rcode: str = "NOERROR",
    ad: bool = False,
    tc: bool = False,
    ede: int | None = None,
) -> dns.message.QueryMessage:
    """Return a reply to *query* with the records *answer* in zone file notation, with TTLs."""
    reply = dns.message.make_response(query, recursion_available=True)
    assert isinstance(reply, dns.message.QueryMessage)
    if ad:
        reply.flags |= dns.flags.AD
    if tc:
        reply.flags |= dns.flags.TC
    if ede is not None:
        reply.use_edns(
            0, options=[dns.edns.EDEOption(dns.edns.EDECode.make(ede), "text\r\n550 from a stranger")]
        )
    reply.set_rcode(dns.rcode.from_text(rcode))
    for section, lines in ((reply.answer, answer), (reply.authority, authority)):
        for line in lines:
            owner, ttl, rdtype, data = line.split(maxsplit=3)
            new = dns.rrset.from_text(owner, int(ttl), "IN", rdtype, data)
            rrset = reply.find_rrset(section, new.name, new.rdclass, new.rdtype, create=True)
            for rdata in new:
                rrset.add(rdata, new.ttl)
    return reply
