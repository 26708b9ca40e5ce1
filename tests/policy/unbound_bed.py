"""A real unbound with signed, unsigned and broken zones, for the resolvers to ask."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from requiretls_lab.addresses import LoopbackBlock
from requiretls_lab.authority import Authority, Leaf
from requiretls_lab.nameserver import Nameserver, Place
from requiretls_lab.zones import Zone, ZoneKind, sign

ZONES = (
    Zone(
        "secure.test",
        records=(
            "@ MX 10 mx",
            "@ MX 20 192.0.2.1.",
            "mx A 192.0.2.1",
            "mx AAAA 2001:db8::1",
            f"_25._tcp.mx TLSA 3 1 1 {32 * 'ab'}",
            f"_25._tcp.mx TLSA 3 1 1 {31 * 'ab'}",
            f"_25._tcp.wild-alias TLSA 3 1 1 {32 * 'ef'}",
            "alias CNAME mx",
            "into-insecure CNAME mx.insecure.test.",
            "into-bogus CNAME mx.bogus.test.",
            "loop CNAME pool",
            "pool CNAME loop",
            "moved DNAME elsewhere",
            "mx.elsewhere A 192.0.2.2",
            *(f"_25._tcp.many TLSA 2 0 0 {n:02x}{400 * 'cd'}" for n in range(40)),
            *(f"n{n} CNAME n{n + 1}" for n in range(30)),
            "n30 A 192.0.2.1",
            '@ TXT "one " "two"',
        ),
    ),
    Zone("nullmx.test", records=("@ MX 0 .",)),
    Zone("insecure.test", ZoneKind.UNSIGNED, ("@ MX 10 mx", "mx A 192.0.2.1")),
    Zone("bogus.test", ZoneKind.BOGUS, ("@ MX 10 mx", "mx A 192.0.2.1", "@ A 192.0.2.1")),
    Zone("expired.test", ZoneKind.EXPIRED, ("@ MX 10 mx",)),
    Zone("lame.test", ZoneKind.UNSERVED),
)


@dataclass(frozen=True, slots=True)
class UnboundBed:
    """Two unbounds with the same zones, as settings name them, and what else tests need.

    *over_tls* is the validating one by DNS over TLS, to be verified with
    *ca_file*. *anchor_file* has the trust anchor, the DS record of `test.`.
    """

    validating: str
    not_validating: str
    over_tls: str
    ca_file: Path
    anchor_file: Path
    config_file: Path


@contextlib.contextmanager
def unbound_bed() -> Iterator[UnboundBed]:
    """Run both until the end of the `with` block."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="requiretls-dns-")))
        block = LoopbackBlock()
        stack.callback(block.release)
        authority = Authority(folder)
        certificate = authority.issue(Leaf(("resolver.test",)))
        zones = sign(ZONES)
        servers = []
        for validates in (True, False):
            place = Place(block.next(), block.free_port(), block.free_port(), block.free_port())
            server = Nameserver(zones, place, certificate, folder / str(validates), validating=validates)
            server.start()
            stack.callback(server.stop)
            servers.append(f"{place.address}:{place.port}")
            if validates:
                over_tls = f"tls://resolver.test@{place.address}:{place.tls_port}"
        anchor_file = folder / "anchor.key"
        anchor_file.write_text(f"{zones.anchor}\n")
        config_file = folder / "libunbound.conf"
        # The zones are below `test.`, of which unbound by itself says that it does not exist (RFC 6761).
        config_file.write_text('server:\n  local-zone: "test." nodefault\n')
        validating, not_validating = servers
        yield UnboundBed(validating, not_validating, over_tls, authority.ca_file, anchor_file, config_file)
