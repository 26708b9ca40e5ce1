"""A throwaway certificate authority, and TLSA records for what it issues."""

from __future__ import annotations

import datetime
import enum
import hashlib
import ssl
import warnings
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_DAY = datetime.timedelta(days=1)


class Issuer(enum.Enum):
    """Who signs a leaf certificate."""

    LAB = "lab"
    """The authority that `tls.ca_file` of the laboratory's settings trusts."""
    UNTRUSTED = "untrusted"
    """An authority that nobody trusts."""
    SELF = "self"
    """The certificate itself."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """What a server's certificate shall say; every key is EC P-256.

    *names* are its DNS-IDs; without any, it has no subjectAltName at all, and
    *common_name* (default: the first of *names*) is its only name.
    *days* says from when to when it is valid, counted from today.
    *send_issuer* tells whether the server sends the authority's certificate along.
    """

    names: tuple[str, ...] = ()
    common_name: str | None = None
    issuer: Issuer = Issuer.LAB
    days: tuple[int, int] = (-1, 30)
    send_issuer: bool = True


EXPIRED = (-30, -1)
NOT_YET_VALID = (1, 30)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that was issued: its PEM files, and what is in them.

    *chain_file* has what a server sends, leaf first. *issuer* is None for a
    self-signed certificate.
    """

    leaf: x509.Certificate
    issuer: x509.Certificate | None
    chain_file: Path
    key_file: Path

    def tlsa(self, form: str) -> str:
        """Return TLSA record data of the *form* `usage selector matching-type`, such as `3 1 1`.

        Usages 0 and 2 are about the issuer, 1 and 3 about the leaf (RFC 6698
        section 2.1). With a fourth word `wrong` the data has the right length and
        matches nothing; any other fourth word is taken as the data itself.
        """
        usage, selector, matching, *rest = form.split()
        if rest and rest[0] != "wrong":
            return form
        subject = self.leaf if usage in "13" else self.issuer or self.leaf
        if selector == "0":
            content = subject.public_bytes(Encoding.DER)
        else:
            content = subject.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if rest:
            content = content[::-1]
        digests = {
            "0": content,
            "1": hashlib.sha256(content).digest(),
            "2": hashlib.sha512(content).digest(),
        }
        return f"{usage} {selector} {matching} {digests[matching].hex()}"

    def server_context(
        self,
        minimum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2,
        maximum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    ) -> ssl.SSLContext:
        """Return a context for a server with this certificate and these TLS versions."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain_file, self.key_file)
        with warnings.catch_warnings():
            # Python warns about TLS 1.0 and 1.1; speaking them to a client is what a test asks for here.
            warnings.simplefilter("ignore", DeprecationWarning)
            if maximum < ssl.TLSVersion.TLSv1_2:
                context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = min(minimum, maximum)
            context.maximum_version = maximum
        return context


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


class Authority:
    """A certificate authority made for one laboratory, with another one beside it that nobody trusts.

    All files are in *folder*; `ca_file` has the trusted root, `untrusted_ca_file` the other.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._issued = 0
        self._roots = {issuer: self._root(issuer) for issuer in (Issuer.LAB, Issuer.UNTRUSTED)}
        self.ca_file, self.untrusted_ca_file = (
            _write(folder / f"{issuer.value}-ca.pem", self._roots[issuer][0].public_bytes(Encoding.PEM))
            for issuer in (Issuer.LAB, Issuer.UNTRUSTED)
        )

    def issue(self, leaf: Leaf) -> Certificate:
        """Return a new certificate that says what *leaf* says, written to files."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(leaf.common_name or (leaf.names[0] if leaf.names else "nameless"))
        issuer, issuer_key = self._roots.get(leaf.issuer, (None, key))
        builder = (
            _builder(subject, issuer.subject if issuer else subject, key, leaf.days)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
            )
        )
        if leaf.names:
            names = x509.SubjectAlternativeName([x509.DNSName(name) for name in leaf.names])
            builder = builder.add_extension(names, critical=False)
        certificate = builder.sign(issuer_key, hashes.SHA256())
        sent = [certificate, *([issuer] if issuer and leaf.send_issuer else [])]
        self._issued += 1
        return Certificate(
            certificate,
            issuer,
            _write(
                self._folder / f"{self._issued}-chain.pem",
                b"".join(each.public_bytes(Encoding.PEM) for each in sent),
            ),
            _write(
                self._folder / f"{self._issued}-key.pem",
                key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            ),
        )

    def _root(self, issuer: Issuer) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(f"requiretls {issuer.value} root")
        usage = x509.KeyUsage(
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        root = (
            _builder(name, name, key, (-60, 60))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .sign(key, hashes.SHA256())
        )
        return root, key


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: tuple[int, int]
) -> x509.CertificateBuilder:
    today = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today + days[0] * _DAY)
        .not_valid_after(today + days[1] * _DAY)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
