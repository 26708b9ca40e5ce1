"""Whether the files that the settings name can be used."""

from __future__ import annotations

import datetime
import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PASSWORD_VARIABLE = "REQUIRETLS_SMARTHOST_PASSWORD"  # noqa: S105 - the name of one


def file_problems(table: Mapping[str, Any], folder: Path) -> list[str]:
    """Return what is wrong with the files that a table of settings names, one line each.

    Relative names are below *folder*. Keys that do not have a file name as
    their value are passed over: they are mistakes of another kind.
    """
    return [
        *unreadable_file_problems("dns.trust_anchor_file", _named(table, "dns", "trust_anchor_file", folder)),
        *unreadable_file_problems("dns.libunbound_config", _named(table, "dns", "libunbound_config", folder)),
        *ca_file_problems("tls.ca_file", _named(table, "tls", "ca_file", folder)),
        *ca_file_problems("mta_sts.ca_file", _named(table, "mta_sts", "ca_file", folder)),
        *_receive_problems(table, folder),
        *_login_problems(table, folder),
    ]


def _named(table: Mapping[str, Any], section: str, key: str, folder: Path) -> Path | None:
    part = table.get(section)
    name = part.get(key) if isinstance(part, Mapping) else None
    return folder / name if isinstance(name, str) and name and "\0" not in name else None


def _receive_problems(table: Mapping[str, Any], folder: Path) -> list[str]:
    keys = ("certificate", "private_key")
    part = table.get("receive")
    absent = [key for key in keys if not isinstance(part, Mapping) or key not in part]
    problems = []
    if len(absent) == 1:
        problems = [f"receive.{absent[0]}: missing; certificate and private key go together"]
    certificate, private_key = (_named(table, "receive", key, folder) for key in keys)
    return [*problems, *key_pair_problems("receive", certificate, private_key)]


def _login_problems(table: Mapping[str, Any], folder: Path) -> list[str]:
    key = "smarthost_password_file"
    path = _named(table, "delivery", key, folder)
    part = table.get("delivery")
    user = isinstance(part, Mapping) and "smarthost_user" in part
    if user and path is None and PASSWORD_VARIABLE not in os.environ:
        return [f"delivery.{key}: missing; a smarthost_user needs it, or ${PASSWORD_VARIABLE}"]
    if path is not None and not user:
        return ["delivery.smarthost_user: missing; user and password go together"]
    return unreadable_file_problems(f"delivery.{key}", path)


def unreadable_file_problems(key: str, path: Path | None) -> list[str]:
    """Return a line if *path* names a file that cannot be read; what is in it is not looked at."""
    try:
        if path is not None:
            path.read_bytes()
    except OSError as error:
        return [f"{key}: {path}: {error.strerror}; create the file or correct the setting"]
    return []


def ca_file_problems(key: str, path: Path | None) -> list[str]:
    """Return what is wrong with a file of trust anchors, one line each."""
    problems = unreadable_file_problems(key, path)
    if path is None or problems:
        return problems
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except ssl.SSLError:
        return [f"{key}: {path}: no PEM certificates in it; name a file of trust anchors"]
    return []


def key_pair_problems(section: str, certificate: Path | None, private_key: Path | None) -> list[str]:
    """Return what is wrong with a certificate and its key, one line each; one alone is looked at, too."""
    problems = [
        *unreadable_file_problems(f"{section}.certificate", certificate),
        *unreadable_file_problems(f"{section}.private_key", private_key),
    ]
    if problems:
        return problems
    leaf = _leaf(certificate) if certificate else None
    key = _key(private_key) if private_key else None
    if certificate and leaf is None:
        problems.append(f"{section}.certificate: {certificate}: no PEM certificate in it")
    if private_key and key is None:
        problems.append(f"{section}.private_key: {private_key}: no unencrypted PEM private key in it")
    if leaf is not None:
        problems += [f"{section}.certificate: {certificate}: {problem}" for problem in _date_problems(leaf)]
    if leaf is not None and key is not None and not _belong_together(leaf, key):
        problems.append(
            f"{section}.private_key: {private_key}: does not belong to {certificate}; name its own key"
        )
    return problems


def _leaf(path: Path) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())[0]
    except ValueError:
        return None


def _key(path: Path) -> PrivateKeyTypes | None:
    try:
        return serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None


def _date_problems(leaf: x509.Certificate) -> list[str]:
    now = datetime.datetime.now(datetime.UTC)
    if leaf.not_valid_after_utc < now:
        return [f"expired on {leaf.not_valid_after_utc:%Y-%m-%d}; renew it"]
    if leaf.not_valid_before_utc > now:
        return [f"not valid before {leaf.not_valid_before_utc:%Y-%m-%d}; is the clock right?"]
    return []


def _belong_together(leaf: x509.Certificate, key: PrivateKeyTypes) -> bool:
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    try:
        return leaf.public_key().public_bytes(*form) == key.public_key().public_bytes(*form)
    except (ValueError, UnsupportedAlgorithm):
        return False
