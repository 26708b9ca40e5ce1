"""DNS messages as octets: the query as it goes out, the reply as it comes in."""

from __future__ import annotations

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdatatype

# dnspython imports a type's class when it meets the first record of it. A server that gave up its
# rights by then, or its view of the files, could not: the types that are read have come now.
import dns.rdtypes.ANY.CNAME
import dns.rdtypes.ANY.MX
import dns.rdtypes.ANY.NS
import dns.rdtypes.ANY.OPT
import dns.rdtypes.ANY.SOA
import dns.rdtypes.ANY.TXT
import dns.rdtypes.IN.A
import dns.rdtypes.IN.AAAA
import dns.wire
from dns.rdatatype import CNAME, MX, NS, OPT, SOA, TLSA, TXT, RdataType

# The size that survives without fragments (RFC 9715 section 3.2); larger replies come over TCP.
MAX_DATAGRAM = 1232

# Records come to dnspython under a type number for private use where it is to leave their data
# alone. It would refuse a whole reply if one TLSA record in it has a digest of the wrong length, but
# such a record only is unusable (RFC 6698 section 4.1). It would take a quarter of a second for TXT
# records of nothing but empty strings. And of other records no answer is made.
OPAQUE_TLSA = RdataType.make(65_280 + TLSA)
OPAQUE_TXT = RdataType.make(65_280 + TXT)
_OPAQUE = RdataType.make(65_280)
_READ_AS = {TLSA: OPAQUE_TLSA, TXT: OPAQUE_TXT}

# What reading costs grows with the records and with the square of a name's labels: one reply of
# 64 KB could stop all mail for ten seconds. No mail domain comes near these limits.
MAX_RECORDS = 200
MAX_LABELS = 20
MAX_OPTIONS = 4_096  # octets of EDNS options

# Where names stand in the data of those types that are read: after how many octets, and how many.
_NAMES = {MX: (2, 1), CNAME: (0, 1), NS: (0, 1), SOA: (0, 2)}


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
    """Return the message in *wire*, the reply to a question for *rdtype*; raises dnspython's DNSException.

    TLSA and TXT records have the types OPAQUE_TLSA and OPAQUE_TXT, and what can
    answer nothing is left unread. Of a truncated message there is only the question.
    """
    parser = dns.wire.Parser(wire)
    _, flags, questions, *records = parser.get_struct("!6H")
    if questions + sum(records) > MAX_RECORDS:
        raise _malformed(f"the reply has more than {MAX_RECORDS} records")
    for _ in range(questions):
        _skip_name(parser)
        parser.get_struct("!HH")
    if flags & dns.flags.TC:
        return dns.message.from_wire(wire, question_only=True)
    patched = bytearray(wire)
    for _ in range(sum(records)):
        _skip_name(parser)
        start = parser.current
        patched[start : start + 2] = _read_as(parser, rdtype).to_bytes(2, "big")
    return dns.message.from_wire(bytes(patched))


def _malformed(why: str) -> dns.exception.FormError:
    return dns.exception.FormError(why)  # type: ignore[no-untyped-call] # dnspython has no hints there


def is_truncated(reply: dns.message.Message) -> bool:
    """Tell whether some of *reply* had no room."""
    return bool(reply.flags & dns.flags.TC)


def _read_as(parser: dns.wire.Parser, wanted: RdataType) -> int:
    """Skip a record whose name was skipped, and return the type to read it as in a reply for *wanted*.

    Raises FormError if it is one that is read and takes too long.
    """
    rdtype, _, _, length = parser.get_struct("!HHIH")
    start = parser.current
    parser.get_bytes(length)
    if rdtype not in (wanted, CNAME, SOA, OPT):
        return _OPAQUE
    if rdtype == OPT and length > MAX_OPTIONS:
        raise _malformed(f"there are {length} octets of EDNS options")
    before, names = _NAMES.get(rdtype, (0, 0))
    at = start + before
    for _ in range(names):
        at = _end_of_name(parser.wire, at)
    return int(_READ_AS.get(rdtype, rdtype))


def _skip_name(parser: dns.wire.Parser) -> None:
    parser.seek(_end_of_name(parser.wire, parser.current))


def _end_of_name(wire: bytes, start: int) -> int:
    """Return where the name at *start* ends; raises FormError if it has too many labels, or no end."""
    end, at, labels = None, start, 0
    for _ in range(2 * MAX_LABELS):
        octet = wire[at] if at < len(wire) else 0
        if octet >= 0xC0:
            end = end or at + 2
            at = int.from_bytes(wire[at : at + 2], "big") & 0x3FFF
        elif octet and labels < MAX_LABELS:
            at, labels = at + 1 + octet, labels + 1
        elif not octet:
            return end or at + 1
    raise _malformed(f"a name has more than {MAX_LABELS} labels")
