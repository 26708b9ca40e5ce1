"""Which hosts of a next hop are tried, in which order, and the verdict where there are none."""

from __future__ import annotations

import random

from requiretls_plugin import reply as replies
from requiretls_plugin.delivery.outcome import Disposition
from requiretls_plugin.delivery.verdict import CombinedVerdict
from requiretls_plugin.policy.evidence import Evidence, HostEvidence
from requiretls_plugin.policy.mx_lookup import MailLoop, MXFailed, NoSuchDomain, NullMX
from requiretls_plugin.policy.next_hop import NamedHop
from requiretls_plugin.policy.tlsa_lookup import HostUnknown
from requiretls_plugin.reason import Reason

NO_USABLE_HOST = replies.Reply(550, "5.4.4", "Recipient domain names no usable mail host")

_ORDER = random.SystemRandom()


def verdict_without_hosts(evidence: Evidence) -> CombinedVerdict | None:
    """Return the verdict where DNS alone decides, None if there are hosts to try."""
    match evidence.mx:
        case NullMX():
            return CombinedVerdict(Disposition.FAILED, replies.NULL_MX, Reason.NULL_MX, None)
        case NoSuchDomain():
            return CombinedVerdict(Disposition.FAILED, replies.NO_SUCH_DOMAIN, Reason.NO_SUCH_DOMAIN, None)
        case MXFailed(bogus, why):
            reason = Reason.DNSSEC_BOGUS if bogus else Reason.DNS_FAILURE
            reply = replies.DNS_LOOKUP_FAILED.with_text(f"MX lookup failed: {why}")
            return CombinedVerdict(Disposition.DEFERRED, reply, reason, None)
        case MailLoop():
            return CombinedVerdict(Disposition.FAILED, replies.MAIL_LOOP, Reason.CONFIGURATION, None)
    if all(isinstance(host.lookup, HostUnknown) for host in evidence.hosts):
        if isinstance(evidence.next_hop, NamedHop):
            # Whoever named the server made the mistake, not the sender: nothing is lost over it.
            named = str(evidence.hosts[0].host) if evidence.hosts else str(evidence.next_hop)
            reply = replies.OUR_SETTINGS_AT_FAULT
            reply = reply.with_text(f"{reply.text} ({named} has no address)")
            return CombinedVerdict(Disposition.DEFERRED, reply, Reason.CONFIGURATION, named)
        return CombinedVerdict(Disposition.FAILED, NO_USABLE_HOST, Reason.HOST_UNREACHABLE, None)
    return None


def hosts_to_try(evidence: Evidence) -> list[HostEvidence]:
    """Return the hosts in the order to try, equals in a new random one (RFC 5321 section 5.1).

    One that DNS knows no address of is passed over without a word.
    """
    hosts = [host for host in evidence.hosts if not isinstance(host.lookup, HostUnknown)]
    return sorted(hosts, key=lambda host: (host.preference, _ORDER.random())) if len(hosts) > 1 else hosts
