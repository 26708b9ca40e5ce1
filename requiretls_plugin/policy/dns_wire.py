"""DNS messages as octets: the query as it goes out, the reply as it comes in."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.name
import dns.rdatatype

# dnspython imports a type's class when it meets the first record of it. A server that gave up its
# rights by then, or its view of the files, could not: the types that replies have come now.
import dns.rdtypes.ANY.CNAME
import dns.rdtypes.ANY.DNAME
import dns.rdtypes.ANY.DNSKEY
import dns.rdtypes.ANY.DS
import dns.rdtypes.ANY.MX
import dns.rdtypes.ANY.NS
import dns.rdtypes.ANY.NSEC
import dns.rdtypes.ANY.NSEC3
import dns.rdtypes.ANY.OPT
import dns.rdtypes.ANY.RRSIG
import dns.rdtypes.ANY.SOA
import dns.rdtypes.ANY.TXT
import dns.rdtypes.IN.A
import dns.rdtypes.IN.AAAA
import dns.wire
from dns.rdatatype import RdataType

# The size that survives without fragments (RFC 9715 section 3.2); larger replies come over TCP.
MAX_DATAGRAM = 1232

# dnspython refuses a whole reply if one TLSA record in it has a digest of the wrong length, but
# such a record only is unusable (RFC 6698 section 4.1). So TLSA records come to it under a type
# number for private use, which makes it leave their data alone.
OPAQUE_TLSA = RdataType.make(65_280 + RdataType.TLSA)


def make_query(
    name: dns.name.Name, rdtype: RdataType, *, checking_disabled: bool = False
) -> dns.message.QueryMessage:
    """Return a query with a random id that asks for validation and its result.

    AD in a query asks for AD in the reply (RFC 6840 section 5.7), and EDNS
    makes room for extended errors (RFC 8914). *checking_disabled* asks for
    records that do not validate, too.
    """
    flags = dns.flags.RD | dns.flags.AD | (dns.flags.CD if checking_disabled else 0)
    return dns.message.make_query(name, rdtype, use_edns=0, payload=MAX_DATAGRAM, flags=flags)


def read_message(wire: bytes, query: dns.message.Message) -> dns.message.Message:
    """Return the reply to *query* in *wire*, as `parse_message` reads it.

    Raises dnspython's DNSException, or ValueError if it answers something else.
    """
    reply = parse_message(wire, query.question[0].rdtype)
    if not query.is_response(reply):
        raise ValueError("the reply belongs to another question")
    return reply


def parse_message(wire: bytes, rdtype: RdataType) -> dns.message.Message:
    """Return the message in *wire*; raises dnspython's DNSException.

    If it is TLSA records that were asked for, they have the type OPAQUE_TLSA. A
    truncated message is returned as far as it goes.
    """
    if rdtype == RdataType.TLSA:
        wire = _with_opaque_tlsa(wire)
    try:
        return dns.message.from_wire(wire, raise_on_truncation=True)
    except dns.message.Truncated as error:
        truncated: dns.message.Message = error.kwargs["message"]
        return truncated


def is_truncated(reply: dns.message.Message) -> bool:
    """Tell whether some of *reply* had no room."""
    return bool(reply.flags & dns.flags.TC)


def _with_opaque_tlsa(wire: bytes) -> bytes:
    patched = bytearray(wire)
    parser = dns.wire.Parser(wire)
    _, flags, questions, answers, _, _ = parser.get_struct("!6H")
    if flags & dns.flags.TC:
        return wire
    for _ in range(questions):
        parser.get_name(decompress=True)
        parser.get_struct("!HH")
    for _ in range(answers):
        parser.get_name(decompress=True)
        start = parser.current
        rdtype, _, _, length = parser.get_struct("!HHIH")
        if rdtype == RdataType.TLSA:
            patched[start : start + 2] = OPAQUE_TLSA.to_bytes(2, "big")
        parser.get_bytes(length)
    return bytes(patched)
