"""DNS zones from a few lines of text, signed with dnspython as DNSSEC wants them, or wrongly on purpose."""

from __future__ import annotations

import enum
import functools
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass

import dns.dnssec
import dns.dnssectypes
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.zone
from cryptography.hazmat.primitives.asymmetric import ec
from dns.rdtypes.ANY.DNSKEY import DNSKEY

from requiretls_lab.errors import LabError

ROOT = "test"
_DAY = 86_400

# dnspython refuses TLSA data of a wrong length, which a stranger may well publish,
# so these records are taken as bytes.
_TLSA = re.compile(r"(\S+)\s+TLSA\s+(\d+)\s+(\d+)\s+(\d+)\s+([0-9a-fA-F]*)")


class ZoneKind(enum.Enum):
    """How a zone stands to DNSSEC."""

    SIGNED = "signed"
    UNSIGNED = "unsigned"
    """A real insecure delegation: the signed parent proves that there is no DS."""
    BOGUS = "bogus"
    """Signed, but the DS record in the parent is of another key."""
    EXPIRED = "expired"
    """Signed, but the signatures ran out ten days ago: bogus too."""
    UNSERVED = "unserved"
    """Delegated without DS to servers that do not have it: SERVFAIL, and not bogus."""
    ABSENT = "absent"
    """Not delegated: the parent proves NXDOMAIN."""


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone: its name without final dot, its kind, and records as a zone file writes them.

    Owner names are relative to the zone unless they end in a dot, `@` is the
    zone itself: `"@ MX 10 mx"`, `"mx A 127.0.0.1"`. SOA and NS are added.
    The data of a TLSA record may have any length, `"_25._tcp.mx TLSA 3 1 1 00"`.
    """

    name: str
    kind: ZoneKind = ZoneKind.SIGNED
    records: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SignedZones:
    """Zones ready to be served: zone files by zone name, and what is left out of them.

    *anchor* is the DS record of `test.`, the trust anchor. *unserved* names
    the zones for which every question has to end in SERVFAIL.
    """

    files: dict[str, str]
    anchor: str
    unserved: tuple[str, ...]


def sign(zones: Iterable[Zone]) -> SignedZones:
    """Return *zones* and their signed parent `test.`, each with a key of its own.

    A zone below another one of them is delegated from there, everything else
    from `test.`. A zone of the name `test` adds its records to the parent.
    Raises LabError if dnspython cannot sign.
    """
    by_name = {zone.name: zone for zone in zones}
    parent = by_name.pop(ROOT, Zone(ROOT))
    by_name = {name: zone for name, zone in by_name.items() if zone.kind is not ZoneKind.ABSENT}
    delegations: dict[str, list[str]] = {name: [] for name in [ROOT, *by_name]}
    files: dict[str, str] = {}
    for zone in sorted(by_name.values(), key=_deepest_first):
        above = delegations[_enclosing(zone.name, by_name)]
        above.append(f"{zone.name}. NS ns.{ROOT}.")
        if zone.kind is not ZoneKind.UNSERVED:
            files[zone.name], ds = _file(zone, tuple(delegations[zone.name]))
            above.extend(ds)
    nameserver = (f"ns.{ROOT}. A 127.0.0.1",)
    files[ROOT], (anchor,) = _file(
        Zone(ROOT, ZoneKind.SIGNED, (*parent.records, *nameserver)), tuple(delegations[ROOT])
    )
    return SignedZones(files, anchor, tuple(sorted(set(by_name) - set(files))))


def _deepest_first(zone: Zone) -> int:
    return -zone.name.count(".")


def _enclosing(name: str, zones: dict[str, Zone]) -> str:
    while "." in name:
        name = name.partition(".")[2]
        if name in zones:
            return name
    return ROOT


@functools.lru_cache(maxsize=1024)
def _file(zone: Zone, delegations: tuple[str, ...]) -> tuple[str, list[str]]:
    """Return the zone file and the DS record for the parent, if it shall have one.

    A zone that did not change is not signed again; signatures last for weeks.
    """
    origin = dns.name.from_text(zone.name)
    tlsa = [match for record in zone.records if (match := _TLSA.fullmatch(record))]
    text = "\n".join(
        (
            "$TTL 300",
            f"@ SOA ns.{ROOT}. hostmaster.{ROOT}. 1 3600 600 {_DAY} 60",
            f"@ NS ns.{ROOT}.",
            *(record for record in zone.records if not _TLSA.fullmatch(record)),
            *delegations,
            "",
        )
    )
    content = dns.zone.from_text(text, origin=origin, relativize=False)
    for match in tlsa:
        _add_tlsa(content, dns.name.from_text(match[1], origin), match)
    ds = []
    if zone.kind is not ZoneKind.UNSIGNED:
        key, dnskey = _new_key()
        signed_at = int(time.time()) - (30 * _DAY if zone.kind is ZoneKind.EXPIRED else 3600)
        dns.dnssec.sign_zone(
            content, keys=[(key, dnskey)], inception=signed_at, expiration=signed_at + 20 * _DAY
        )
        announced = _new_key()[1] if zone.kind is ZoneKind.BOGUS else dnskey
        ds = [f"{zone.name}. DS {dns.dnssec.make_ds(origin, announced, 'SHA256')}"]
    return content.to_text(relativize=False) + "\n", ds


def _add_tlsa(zone: dns.zone.Zone, owner: dns.name.Name, match: re.Match[str]) -> None:
    data = bytes(int(match[field]) for field in (2, 3, 4)) + bytes.fromhex(match[5])
    rdataset = zone.find_rdataset(owner, dns.rdatatype.TLSA, create=True)
    rdataset.add(dns.rdata.GenericRdata(dns.rdataclass.IN, dns.rdatatype.TLSA, data), ttl=300)


def _new_key() -> tuple[ec.EllipticCurvePrivateKey, DNSKEY]:
    """Return a key that signs zone and keys alike (a CSK), with its DNSKEY record; raises LabError."""
    key = ec.generate_private_key(ec.SECP256R1())
    algorithm = dns.dnssectypes.Algorithm.ECDSAP256SHA256
    try:
        return key, dns.dnssec.make_dnskey(key.public_key(), algorithm, flags=257)
    except ImportError as error:  # dnspython wants a newer cryptography for this than the core does
        raise LabError(f"zones cannot be signed: {error}; pip install 'requiretls-plugin[lab]'") from None
