"""A certificate in DER, as a server shows it."""

from __future__ import annotations

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from requiretls_plugin.certificate.der import is_certificate, is_public_key_info, public_key_info
from requiretls_plugin.certificate.facts import facts_of
from requiretls_plugin.certificate.name_match import leaf_names, name_matches
from requiretls_plugin.certificate.reading import read_certificate, read_public_key
from requiretls_plugin.certificate.strength import weakness_of_key, weakness_of_path
from requiretls_plugin.domain_name import DomainName

NAMES = (DomainName("mx1.secure.test"), DomainName("secure.test"))


def target(data: bytes) -> None:
    """It is read or it is not; nothing about it raises, and no other parser sees another key in it."""
    facts = facts_of(data)
    assert len(facts.sha256) == 64
    names = leaf_names(data)
    match = name_matches(data, NAMES, common_name=True)
    assert match is None or names.dns_ids or names.common_name
    weakness_of_key(data)
    key = public_key_info(data)
    assert is_certificate(data) == (key is not None)
    assert key is None or (is_public_key_info(key) and key in data)
    certificate = read_certificate(data)
    if certificate is None:
        assert (names.dns_ids, names.common_name) == ((), None)
        return
    weakness_of_path([certificate], signed_above=True)
    if key is not None:
        ours = read_public_key(key)
        try:
            theirs = certificate.public_key()
        except (ValueError, UnsupportedAlgorithm):
            return
        assert ours is not None
        form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        assert ours.public_bytes(*form) == theirs.public_bytes(*form)
