"""Does a certificate carry the name we looked for (RFC 6125, RFC 9525, RFC 7672 section 3.2.3)?

Names are compared label by label as ASCII, without regard to case. A star counts
as the whole left-most label only, covers exactly one label, and needs two labels
behind it, so none covers a top-level domain. A presented name that is anything
else (a partial wildcard, a final dot, a NUL, octets outside ASCII) is passed
over, while the other names of the certificate still count.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import NameOID

from requiretls_plugin.certificate.reading import read_certificate
from requiretls_plugin.domain_name import DomainName

# What can equal a DomainName, or such a name with a star for its left-most label.
_WELL_FORMED = re.compile(r"(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*", re.ASCII | re.IGNORECASE)

# RFC 4985: id-on-dnsSRV, the otherName of an SRV-ID.
_SRV_ID = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.7")


@dataclass(frozen=True, slots=True)
class PresentedNames:
    """The names a certificate presents, in lower case; malformed ones left out.

    *common_name* is None if the certificate has an identifier of another kind
    (DNS, SRV or URI; RFC 6125 section 6.4.4), or not exactly one common name.
    """

    dns_ids: tuple[str, ...] = ()
    common_name: str | None = None


def leaf_names(leaf: bytes) -> PresentedNames:
    """Return the names that a certificate in DER presents, none if it cannot be read."""
    certificate = read_certificate(leaf)
    if certificate is None:
        return PresentedNames()
    alternatives = _subject_alternative_names(certificate)
    if any(_is_identifier(name) for name in alternatives):
        dns_ids = [name.value for name in alternatives if isinstance(name, x509.DNSName)]
        return PresentedNames(dns_ids=_well_formed(dns_ids))
    attributes = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if len(attributes) != 1 or not isinstance(attributes[0].value, str):
        return PresentedNames()
    return PresentedNames(common_name=next(iter(_well_formed([attributes[0].value])), None))


def name_matches(
    leaf: bytes, reference_names: Sequence[DomainName], *, common_name: bool
) -> DomainName | None:
    """Return the first of *reference_names* that the certificate in DER carries, None if none.

    The common name is compared only if *common_name* allows it and the
    certificate has no DNS, SRV or URI identifier. That is right for DANE-TA
    (RFC 7672 section 3.2.3) and wrong for MTA-STS (RFC 8461 section 4.2).
    """
    presented = leaf_names(leaf)
    patterns = set(presented.dns_ids)
    if common_name and presented.common_name is not None:
        patterns.add(presented.common_name)
    return next((name for name in reference_names if not patterns.isdisjoint(_patterns_for(name))), None)


def _patterns_for(name: DomainName) -> tuple[str, ...]:
    """Return every presented name that stands for *name*."""
    if len(name.labels) < 3:
        return (name.text,)
    return name.text, ".".join(("*", *name.labels[1:]))


def _subject_alternative_names(certificate: x509.Certificate) -> list[x509.GeneralName]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return list(extension.value)


def _is_identifier(name: x509.GeneralName) -> bool:
    if isinstance(name, x509.OtherName):
        return name.type_id == _SRV_ID
    return isinstance(name, x509.DNSName | x509.UniformResourceIdentifier)


def _well_formed(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(name.lower() for name in names if _WELL_FORMED.fullmatch(name))
