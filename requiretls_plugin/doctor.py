"""What in this machine's set-up would break REQUIRETLS, or weaken it without a word."""

from __future__ import annotations

import datetime
import enum
import ipaddress
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from requiretls_plugin.certificate.name_match import name_matches
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.errors import CacheFailure
from requiretls_plugin.policy.cache import MEMORY, open_store
from requiretls_plugin.policy.dns_probe import Probe, Validation
from requiretls_plugin.policy.next_hop import UNIXSocket
from requiretls_plugin.policy.refusal import Refusal, Sureness
from requiretls_plugin.server_address import IPAddress, ServerAddress
from requiretls_plugin.settings import Settings

# How many days before its end a certificate should have been renewed.
RENEWAL_DAYS = 14

# The name of the note that is written to see whether the cache can be written to.
_NOTE = "doctor"


class Health(enum.Enum):
    """What an examination came to."""

    GOOD = "good"
    ADVICE = "advice"
    """It works; something could be better, unless it is meant to be so."""
    WRONG = "wrong"
    UNKNOWN = "unknown"
    """It could not be found out now."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What one examination came to, and what to do about it; *remedy* is empty if nothing is to be done."""

    subject: str
    health: Health
    what: str
    remedy: str = ""


def diagnose_settings(source: str, problems: Iterable[str]) -> list[Diagnosis]:
    """Return one diagnosis for each mistake in the settings, an expired certificate among them."""
    remedy = "correct the settings; nothing else was examined"
    return [Diagnosis(f"settings {source}", Health.WRONG, problem, remedy) for problem in problems]


def diagnose_resolvers(
    probes: Iterable[Probe], *, answers_bogus: bool | None, trust_ad: str
) -> Iterator[Diagnosis]:
    """Judge resolvers by what *probes* found out.

    *answers_bogus* tells whether a name whose signatures are wrong got an
    answer; None if that is not known.
    """
    for probe in probes:
        subject = f"resolver {probe.server}"
        match probe.validation:
            case Validation.VALIDATES:
                yield Diagnosis(subject, Health.GOOD, "validates DNSSEC, and its word counts")
            case Validation.NOT_BELIEVED:
                yield Diagnosis(
                    subject,
                    Health.WRONG,
                    f'validates DNSSEC, but dns.trust_ad = "{trust_ad}" does not believe it',
                    "run a validating resolver on this machine (unbound), or ask one by tls://name@ip",
                )
            case Validation.DOES_NOT_VALIDATE | Validation.UNSIGNED_ROOT if answers_bogus is False:
                yield Diagnosis(
                    subject,
                    Health.WRONG,
                    "validates DNSSEC, but the AD bit that says so does not arrive here",
                    "ask the validating resolver itself instead of the forwarder or firewall before it",
                )
            case Validation.UNSIGNED_ROOT:
                yield Diagnosis(
                    subject,
                    Health.WRONG,
                    "does not validate DNSSEC, or has a root of its own that is not signed",
                    "run unbound on this machine and name it in dns.nameservers;"
                    " in a closed network name a signed zone of its own with --signed-zone",
                )
            case Validation.DOES_NOT_VALIDATE:
                yield Diagnosis(
                    subject,
                    Health.WRONG,
                    "does not validate DNSSEC: DANE and signed MX records prove nothing here",
                    "run unbound on this machine and name it in dns.nameservers",
                )
            case _:
                remedy = (
                    "see whether it runs and reaches the name servers of that zone;"
                    " in a closed network name a signed zone of its own with --signed-zone"
                )
                yield Diagnosis(subject, Health.UNKNOWN, f"gave no answer: {probe.why}", remedy)


def diagnose_certificate(settings: Settings, now: datetime.datetime) -> Diagnosis:
    """Judge our own certificate; *now* is an aware datetime.

    Without one nothing is wrong with a machine that only sends, but with
    settings that say in so many words to offer REQUIRETLS.
    """
    subject, path = "certificate", settings.receive.certificate
    if not settings.receive.advertise:
        return Diagnosis(subject, Health.GOOD, "REQUIRETLS is not offered, by receive.advertise = false")
    if path is None:
        what = "there is none, so nobody can send us anything under REQUIRETLS"
        offered = "advertise" in settings.receive.model_fields_set
        health = Health.WRONG if offered else Health.ADVICE
        remedy = "set receive.certificate and receive.private_key, or receive.advertise = false"
        return Diagnosis(subject, health, what, remedy)
    leaf = x509.load_pem_x509_certificates(path.read_bytes())[0]
    days = (leaf.not_valid_after_utc - now).days
    if days < RENEWAL_DAYS:
        what = f"{path} expires in {days} days"
        return Diagnosis(subject, Health.WRONG, what, "renew it, and see why that did not happen by itself")
    der = leaf.public_bytes(Encoding.DER)
    if name_matches(der, (settings.hostname,), common_name=False) is None:
        what = f"{path} is not for {settings.hostname}; without DANE, REQUIRETLS senders refuse it"
        remedy = "get one for the name in the MX records, or set hostname"
        return Diagnosis(subject, Health.WRONG, what, remedy)
    return Diagnosis(subject, Health.GOOD, f"{path} is for {settings.hostname}, valid for {days} more days")


async def diagnose_cache(settings: Settings) -> Diagnosis:
    """Write a note to the cache and read it; one in memory is good enough where it is meant to be."""
    url = settings.cache.url
    subject = f"cache {url}"
    if url == MEMORY and not settings.mta_sts.enabled:
        return Diagnosis(subject, Health.GOOD, "has no MTA-STS policies to keep, by mta_sts.enabled = false")
    if url == MEMORY:
        what = "MTA-STS policies are forgotten with every restart, and with them their protection"
        return Diagnosis(
            subject, Health.ADVICE, what, 'set cache.url = "sqlite:///var/lib/requiretls/cache.sqlite"'
        )
    store = open_store(url)
    name, now = DomainName("doctor.invalid"), time.time()
    try:
        await store.put_note(_NOTE, name, "here", now + 60)
        kept = await store.note(_NOTE, name, now)
    except CacheFailure as failure:
        remedy = "let this user write there, or name another place"
        return Diagnosis(subject, Health.WRONG, str(failure), remedy)
    finally:
        await store.close()
    if kept != "here":
        return Diagnosis(subject, Health.WRONG, "does not keep what it is given", "name another place")
    return Diagnosis(subject, Health.GOOD, "can be written and read")


def diagnose_smarthost(smarthost: ServerAddress | None, refusal: Refusal | None) -> Diagnosis:
    """Judge the smarthost by *refusal*, why it cannot take REQUIRETLS mail now."""
    if smarthost is None:
        return Diagnosis("smarthost", Health.GOOD, "there is none: mail goes to the MX hosts")
    subject = f"smarthost {smarthost}"
    if refusal is None:
        return Diagnosis(subject, Health.GOOD, "takes REQUIRETLS mail")
    what = f"cannot take REQUIRETLS mail ({refusal.reason.value}: {refusal.why})"
    if refusal.sureness is Sureness.NOT_JUDGED:
        return Diagnosis(subject, Health.UNKNOWN, what, "try again")
    remedy = "update it, or remove delivery.smarthost so that mail goes to the MX hosts"
    return Diagnosis(subject, Health.WRONG, what, remedy)


def diagnose_local_hops(settings: Settings) -> Iterator[Diagnosis]:
    """Judge the servers that mail may be handed to without TLS."""
    for hop in sorted(settings.delivery.trusted_local_hops, key=str):
        subject = f"local hop {hop}"
        if isinstance(hop, UNIXSocket) or _is_loopback(hop.host):
            yield Diagnosis(subject, Health.GOOD, "is on this machine")
        else:
            yield Diagnosis(
                subject,
                Health.WRONG,
                "REQUIRETLS mail crosses the network to it without TLS, because delivery.trusted_local_hops"
                " says so",
                "deliver by a UNIX socket or a loopback address, or leave it out and give it STARTTLS",
            )


def _is_loopback(host: DomainName | IPAddress) -> bool:
    return isinstance(host, ipaddress.IPv4Address | ipaddress.IPv6Address) and host.is_loopback
