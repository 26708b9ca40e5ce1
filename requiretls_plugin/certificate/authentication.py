"""One verdict on the server of a TLS session, whatever was asked for: DANE, PKIX, or both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from requiretls_plugin.certificate.dane_match import match_dane
from requiretls_plugin.certificate.name_match import name_matches
from requiretls_plugin.certificate.verdict import Authenticated, Mechanism, NotAuthenticated, Verdict
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.policy.answers import TLSARecord
from requiretls_plugin.reason import Reason


@dataclass(frozen=True, slots=True)
class AskedOfDANE:
    """Match one of *records*; *reference_names* count for DANE-TA, the base domain first."""

    records: tuple[TLSARecord, ...]
    reference_names: tuple[DomainName, ...]


@dataclass(frozen=True, slots=True)
class AskedOfPKIX:
    """Carry one of *reference_names* in a certificate that a trust anchor of ours vouches for.

    *common_name* allows a certificate without DNS, SRV and URI identifiers its
    common name; never for MTA-STS (RFC 8461 section 4.2).
    """

    reference_names: tuple[DomainName, ...]
    common_name: bool = False


def authenticate(
    chain: Sequence[bytes],
    now: datetime,
    *,
    dane: AskedOfDANE | None = None,
    pkix: AskedOfPKIX | None = None,
    chain_trusted: bool = False,
) -> Verdict:
    """Return whether the server that sent *chain* is the one asked for.

    If both are asked, both must pass, and the verdict is DANE's. If nothing is
    asked, nobody is authenticated. *chain_trusted* is what
    `tls_context.chain_was_verified` says of the session: PKIX chains are judged in
    the handshake, and without that no name helps. *now* is an aware datetime.
    """
    verdicts: list[Verdict] = []
    if dane is not None:
        verdicts.append(match_dane(chain, dane.records, dane.reference_names, now))
    if pkix is not None:
        verdicts.append(_judge_pkix(chain, pkix, chain_trusted=chain_trusted))
    nothing = NotAuthenticated(Reason.CERTIFICATE_NOT_TRUSTED, "nothing was asked of the certificate")
    failures = [verdict for verdict in verdicts if isinstance(verdict, NotAuthenticated)]
    return next(iter([*failures, *verdicts]), nothing)


def _judge_pkix(chain: Sequence[bytes], asked: AskedOfPKIX, *, chain_trusted: bool) -> Verdict:
    if not chain or not chain_trusted:
        return NotAuthenticated(Reason.CERTIFICATE_NOT_TRUSTED, "no trust anchor vouches for the certificate")
    name = name_matches(chain[0], asked.reference_names, common_name=asked.common_name)
    if name is None:
        wanted = ", ".join(reference.text for reference in asked.reference_names)
        return NotAuthenticated(Reason.CERTIFICATE_NAME_MISMATCH, f"the certificate is not for {wanted}")
    return Authenticated(Mechanism.PKIX, None, name)
