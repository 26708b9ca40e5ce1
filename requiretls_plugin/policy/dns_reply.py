"""What a resolver's reply says, as an Answer; pure, and safe for arbitrary replies."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rrset
from dns.edns import EDECode
from dns.rdataclass import IN
from dns.rdatatype import AAAA, CNAME, MX, NS, TLSA, TXT, A, RdataType

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.errors import InvalidDomainName
from requiretls_plugin.policy.answers import Absent, Answer, Found, LookupFailed, MXRecord, TLSARecord
from requiretls_plugin.policy.dns_wire import OPAQUE_TLSA, OPAQUE_TXT, is_truncated
from requiretls_plugin.server_address import IPAddress

# RFC 8914: what a validating resolver says of an answer it could not validate.
# "Indeterminate" is dealt with as bogus (RFC 7672 section 2.1.1).
_BOGUS = frozenset(
    {
        EDECode.DNSSEC_INDETERMINATE,
        EDECode.DNSSEC_BOGUS,
        EDECode.SIGNATURE_EXPIRED,
        EDECode.SIGNATURE_NOT_YET_VALID,
        EDECode.DNSKEY_MISSING,
        EDECode.RRSIGS_MISSING,
        EDECode.NO_ZONE_KEY_BIT_SET,
        EDECode.NSEC_MISSING,
    }
)


ROOT = DomainName(".")

# RFC 6698 section 7 leaves 255 to private use, and nothing gives it a meaning here.
_UNASSIGNED = 255


def read_reply(reply: dns.message.Message, *, ad_counts: bool) -> Answer[Any]:
    """Return what *reply* answers to its own question; the records' types are those of DNSSource,
    and domain names for NS.

    Aliases are followed inside the reply, at most 16. Secure is what carries
    the AD bit, which covers the whole chain, if *ad_counts*. That the reply
    belongs to the question asked is not checked.
    """
    internet = all(question.rdclass == IN for question in reply.question)
    if not isinstance(reply, dns.message.QueryMessage) or is_truncated(reply) or not internet:
        return LookupFailed(bogus=False, why="the reply is malformed")
    if reply.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        return LookupFailed(_says_bogus(reply), _why(reply))
    secure = ad_counts and bool(reply.flags & dns.flags.AD)
    try:
        chain = reply.resolve_chaining()
        ttl = float(chain.minimum_ttl)
        rrset = chain.answer or _opaque_rrset(reply, chain.canonical_name)
        if rrset is None:
            return Absent(secure, reply.rcode() == dns.rcode.NOERROR, ttl)
        read = _READERS[rrset.rdtype]
        records = tuple(read(rdata) for rdata in rrset)
        return Found(records, secure, _canonical(chain.canonical_name, reply), min(ttl, rrset.ttl))
    except dns.message.ChainTooLong:
        return LookupFailed(bogus=False, why="the chain of aliases is too long")
    except InvalidDomainName:
        return LookupFailed(bogus=False, why="an alias of what is no host name")
    except (dns.exception.DNSException, KeyError):
        return LookupFailed(bogus=False, why="the reply contradicts itself")


def _opaque_rrset(reply: dns.message.QueryMessage, owner: dns.name.Name) -> dns.rrset.RRset | None:
    """Return the records at *owner*, at the end of the chain, if they come under another type."""
    question = reply.question[0]
    opaque = {TLSA: OPAQUE_TLSA, TXT: OPAQUE_TXT}.get(question.rdtype)
    if opaque is None or reply.rcode() != dns.rcode.NOERROR:
        return None
    return reply.get_rrset(reply.answer, owner, question.rdclass, opaque)


def _says_bogus(reply: dns.message.Message) -> bool:
    return any(error.code in _BOGUS for error in reply.extended_errors())


def _why(reply: dns.message.Message) -> str:
    """Return the error in words. EDE's own text is left out: it is a stranger's."""
    codes = [EDECode.to_text(error.code).replace("_", " ").lower() for error in reply.extended_errors()]
    return " ".join([dns.rcode.to_text(reply.rcode()), *(f"({code})" for code in codes)])


def _domain_name(name: dns.name.Name) -> DomainName:
    return DomainName.parse(name.to_text(omit_final_dot=True))


def _canonical(name: dns.name.Name, reply: dns.message.Message) -> DomainName:
    # No mail domain is an alias of the root, but one can ask for the root itself.
    return ROOT if name == dns.name.root == reply.question[0].name else _domain_name(name)


def _address(rdata: Any) -> IPAddress:
    return ipaddress.ip_address(rdata.address)


def _mx(rdata: Any) -> MXRecord:
    if rdata.exchange == dns.name.root:
        return MXRecord(rdata.preference, None)
    try:
        return MXRecord(rdata.preference, _domain_name(rdata.exchange))
    except InvalidDomainName:
        return MXRecord(rdata.preference, rdata.exchange.to_text(omit_final_dot=True))


def _tlsa(rdata: Any) -> TLSARecord:
    if len(rdata.data) < 3:
        # Not even the three numbers: unusable, as these are.
        return TLSARecord(_UNASSIGNED, _UNASSIGNED, _UNASSIGNED, rdata.data)
    usage, selector, matching_type = rdata.data[:3]
    return TLSARecord(usage, selector, matching_type, rdata.data[3:])


def _txt(rdata: Any) -> bytes:
    """Return the strings of a TXT record joined (RFC 1035 section 3.3.14)."""
    strings, at = [], 0
    while at < len(rdata.data):
        end = at + 1 + rdata.data[at]
        strings.append(rdata.data[at + 1 : end])
        at = end
    if at > len(rdata.data) or not strings:
        raise dns.exception.FormError
    return b"".join(strings)


def _target(rdata: Any) -> DomainName:
    return _domain_name(rdata.target)


_READERS: Mapping[RdataType, Callable[[Any], Any]] = {
    A: _address,
    AAAA: _address,
    MX: _mx,
    OPAQUE_TLSA: _tlsa,
    OPAQUE_TXT: _txt,
    CNAME: _target,
    NS: _target,
}
