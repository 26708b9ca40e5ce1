"""Whether the certificate files that the settings name can be used."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def _unreadable(key: str, path: Path) -> str | None:
    try:
        path.read_bytes()
    except OSError as error:
        return f"{key}: {path}: {error.strerror}; create the file or correct the setting"
    return None


def ca_file_problems(key: str, path: Path | None) -> list[str]:
    """Return what is wrong with a file of trust anchors, one line each."""
    if path is None:
        return []
    if problem := _unreadable(key, path):
        return [problem]
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except ssl.SSLError as error:
        return [f"{key}: {path}: no PEM certificates in it ({error.reason})"]
    return []


def key_pair_problems(section: str, certificate: Path | None, private_key: Path | None) -> list[str]:
    """Return what is wrong with a certificate and its key, one line each."""
    named = {"certificate": certificate, "private_key": private_key}
    missing = [key for key, path in named.items() if path is None]
    if len(missing) == 2:
        return []
    if missing:
        return [f"{section}.{missing[0]}: missing; certificate and private_key go together"]
    assert certificate is not None
    assert private_key is not None
    problems = [
        problem
        for key, path in (("certificate", certificate), ("private_key", private_key))
        if (problem := _unreadable(f"{section}.{key}", path))
    ]
    return problems or _pair_problems(section, certificate, private_key)


def _pair_problems(section: str, certificate: Path, private_key: Path) -> list[str]:
    problems = []
    leaf = key = None
    try:
        leaf = x509.load_pem_x509_certificates(certificate.read_bytes())[0]
    except ValueError:
        problems.append(f"{section}.certificate: {certificate}: no PEM certificate in it")
    try:
        key = serialization.load_pem_private_key(private_key.read_bytes(), password=None)
    except (ValueError, TypeError):
        problems.append(f"{section}.private_key: {private_key}: no unencrypted PEM private key in it")
    if leaf is not None:
        now = datetime.datetime.now(datetime.UTC)
        if leaf.not_valid_after_utc < now:
            problems.append(
                f"{section}.certificate: {certificate}: expired on {leaf.not_valid_after_utc:%Y-%m-%d};"
                " renew it"
            )
        if leaf.not_valid_before_utc > now:
            problems.append(
                f"{section}.certificate: {certificate}: not valid before {leaf.not_valid_before_utc:%Y-%m-%d}"
            )
    if leaf is not None and key is not None:
        form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        if leaf.public_key().public_bytes(*form) != key.public_key().public_bytes(*form):
            problems.append(
                f"{section}.private_key: {private_key}: does not belong to {certificate}; name its own key"
            )
    return problems
