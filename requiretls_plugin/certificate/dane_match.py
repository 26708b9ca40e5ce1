"""Does a certificate chain match the TLSA records of its server (RFC 6698, 7671, 7672)?

Usages 2 (DANE-TA) and 3 (DANE-EE) count; the PKIX usages 0 and 1 are unusable
for SMTP (RFC 7672 section 3.1.3). Where implementations differ, we decided:

- A key below 112 bits of security (RSA 2048, EC 224) authenticates nobody, with
  either usage. OpenSSL at security level 2 does the same; at level 1, which
  Postfix uses, RSA 1024 passes.
- The server's own certificate is no DANE-TA anchor, even if it is a CA. OpenSSL
  does the same: such a domain has to publish 3 x x.
- `mx*.example.org` matches nothing (RFC 7672 section 3.2.3), where OpenSSL lets
  it match mx1.example.org.
- A name with a final dot in a certificate matches nothing, as in OpenSSL.
- A certificate that cannot be read matches by DANE-EE if its octets do, since
  nothing else of it counts there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice, product
from typing import Protocol

from requiretls_plugin.certificate.der import is_certificate, is_public_key_info, public_key_info
from requiretls_plugin.certificate.name_match import name_matches
from requiretls_plugin.certificate.strength import weakness_of_key
from requiretls_plugin.certificate.trust_anchor import TrustAnchor, is_signed_by, path_failure
from requiretls_plugin.certificate.verdict import (
    Authenticated,
    Mechanism,
    NotAuthenticated,
    Verdict,
    furthest,
)
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.policy.answers import TLSARecord
from requiretls_plugin.reason import Reason

DANE_TA, DANE_EE = 2, 3
CERT, SPKI = 0, 1
FULL = 0


class Digest(Protocol):
    """What a hash function of hashlib returns."""

    @property
    def digest_size(self) -> int: ...
    def digest(self) -> bytes: ...


Digests = Mapping[int, Callable[[bytes], Digest]]

# RFC 7671 section 9: by matching type, the strongest first. A caller with another policy
# hands in another table.
DIGESTS: Digests = {2: hashlib.sha512, 1: hashlib.sha256}

# A server sends one to four certificates besides its own, and Postfix looks at nine. With these
# bounds a hostile one makes us check signatures for some hundredths of a second at the most.
MAX_CERTIFICATES = 10
MAX_PATHS = 6
MAX_SIGNATURES = 16


def usable_records(records: Iterable[TLSARecord], digests: Digests = DIGESTS) -> tuple[TLSARecord, ...]:
    """Return the records that can authenticate a server, after digest agility.

    Left out are unknown usages, selectors and matching types and malformed data
    (RFC 6698 section 4.1); then, for each usage and selector, digests other than
    the strongest that is left. Full(0) records always stay (RFC 7671 section 9).
    """
    usable = [record for record in records if _is_usable(record, digests)]
    present = {(record.usage, record.selector, record.matching_type) for record in usable}

    def strongest(record: TLSARecord) -> int:
        ranked = (number for number in digests if (record.usage, record.selector, number) in present)
        return next(ranked, FULL)

    return tuple(record for record in usable if record.matching_type in (FULL, strongest(record)))


def _is_usable(record: TLSARecord, digests: Digests) -> bool:
    if record.usage not in (DANE_TA, DANE_EE) or record.selector not in (CERT, SPKI):
        return False
    if record.matching_type == FULL:
        return is_certificate(record.data) if record.selector == CERT else is_public_key_info(record.data)
    digest = digests.get(record.matching_type)
    return digest is not None and len(record.data) == digest(b"").digest_size


def match_dane(
    chain: Sequence[bytes],
    records: Iterable[TLSARecord],
    reference_names: Sequence[DomainName],
    now: datetime,
    digests: Digests = DIGESTS,
) -> Verdict:
    """Return whether *chain*, as DER with the server's own certificate first, matches *records*.

    Records that are not usable are passed over here too, and one match is
    enough. DANE-EE looks at the server's certificate alone, and at no name and no
    date. DANE-TA needs a path to the anchor, valid at *now* (an aware datetime),
    and one of *reference_names* (RFC 7672 section 3.2.2); trust anchors of our own
    do not count. That the records are DNSSEC-secure is for the caller to know.
    Raises nothing, whatever the bytes.
    """
    usable = usable_records(records, digests)
    if not usable:
        return NotAuthenticated(Reason.DANE_MISMATCH, "no TLSA record is usable")
    if not chain:
        return NotAuthenticated(Reason.DANE_MISMATCH, "the server sent no certificate")
    failures = []
    for verdict in _verdicts(chain[:MAX_CERTIFICATES], usable, reference_names, now, digests):
        if isinstance(verdict, Authenticated):
            return verdict
        failures.append(verdict)
    return furthest(*failures)


def _verdicts(
    chain: Sequence[bytes],
    records: Sequence[TLSARecord],
    reference_names: Sequence[DomainName],
    now: datetime,
    digests: Digests,
) -> Iterator[Verdict]:
    """Yield the verdict by DANE-EE, then one for each anchor that DANE-TA makes."""
    yield _match_end_entity(chain[0], [record for record in records if record.usage == DANE_EE], digests)
    anchors = _anchors(chain, [record for record in records if record.usage == DANE_TA], digests)
    for record, anchor in islice(anchors, MAX_PATHS):
        yield _match_trust_anchor(chain, record, anchor, reference_names, now)


def _match_end_entity(leaf: bytes, records: Sequence[TLSARecord], digests: Digests) -> Verdict:
    matching = _matching(leaf, records, digests)
    if not matching:
        return NotAuthenticated(Reason.DANE_MISMATCH, "no TLSA record matches the certificate")
    if weakness := weakness_of_key(leaf):
        return NotAuthenticated(Reason.CERTIFICATE_NOT_TRUSTED, f"the certificate matches, but {weakness}")
    return Authenticated(Mechanism.DANE, matching[0], None)


def _match_trust_anchor(
    chain: Sequence[bytes],
    record: TLSARecord,
    anchor: TrustAnchor,
    reference_names: Sequence[DomainName],
    now: datetime,
) -> Verdict:
    if failure := path_failure(chain, anchor, now):
        return failure
    if name := name_matches(chain[0], reference_names, common_name=True):
        return Authenticated(Mechanism.DANE, record, name)
    wanted = ", ".join(name.text for name in reference_names)
    return NotAuthenticated(Reason.CERTIFICATE_NAME_MISMATCH, f"the certificate is not for {wanted}")


def _anchors(
    chain: Sequence[bytes], records: Sequence[TLSARecord], digests: Digests
) -> Iterator[tuple[TLSARecord, TrustAnchor]]:
    """Yield the trust anchors that *records* make of the chain, then those they bring along.

    A certificate in DNS need not be on the wire (RFC 7671 section 5.2.2), nor a
    bare key, which then has to have signed a certificate that is (section 5.2.3).
    """
    leaf = chain[0]
    for certificate in dict.fromkeys(chain[1:]):
        if certificate != leaf:
            yield from ((r, TrustAnchor(certificate)) for r in _matching(certificate, records, digests)[:1])
    full = [record for record in records if record.matching_type == FULL]
    for record in full:
        if record.selector == CERT and record.data not in chain:
            yield record, TrustAnchor(record.data)
    keys = [record for record in full if record.selector == SPKI]
    for record, certificate in islice(product(keys, dict.fromkeys(chain)), MAX_SIGNATURES):
        if is_signed_by(certificate, record.data):
            yield record, TrustAnchor(certificate, signed_above=True)


def _matching(certificate: bytes, records: Sequence[TLSARecord], digests: Digests) -> list[TLSARecord]:
    """Return those of *records* whose data is that of *certificate*, as RFC 6698 section 2.1 selects it."""
    forms = {(CERT, FULL): certificate, (SPKI, FULL): public_key_info(certificate)}
    matching = []
    for record in records:
        form = record.selector, record.matching_type
        if form not in forms:
            data = forms[record.selector, FULL]
            forms[form] = None if data is None else digests[record.matching_type](data).digest()
        if forms[form] == record.data:
            matching.append(record)
    return matching
