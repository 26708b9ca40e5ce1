"""Each kind of session takes what it should, and no more."""

from __future__ import annotations

import logging
import os
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import cast

import pytest

from requiretls_plugin.certificate.tls_context import TLSContexts, chain_was_verified, peer_chain, reason_of
from requiretls_plugin.reason import Reason
from tests.certificate.forge import Issued, authority, chain_of, ec_key, pem, rsa_key, server
from tests.certificate.handshake import (
    EXPIRED,
    MX,
    VALID,
    server_today,
    serving,
    shake_hands,
    trusted_root,
)

ROOT = trusted_root()
GOOD = server_today(ROOT, MX)
STRANGER = server_today(authority("Stranger", ec_key(32), valid=VALID), MX)
CONTEXTS: dict[str, Callable[[TLSContexts], ssl.SSLContext]] = {
    "pkix": lambda contexts: contexts.pkix,
    "dane": lambda contexts: contexts.dane,
    "opportunistic": lambda contexts: contexts.opportunistic,
    "policy host": lambda contexts: contexts.policy_host,
}


@pytest.fixture
def anchors(tmp_path: Path) -> Path:
    """A file with our one trust anchor."""
    file = tmp_path / "anchors.pem"
    file.write_text(pem([ROOT.der]))
    return file


@pytest.mark.parametrize("kind", CONTEXTS)
def test_a_context_is_made_once(kind: str, anchors: Path) -> None:
    """Loading the system's anchors takes some 20 ms."""
    contexts = TLSContexts(anchors)

    assert CONTEXTS[kind](contexts) is CONTEXTS[kind](contexts)


@pytest.mark.parametrize("kind", CONTEXTS)
@pytest.mark.requirement("7671-3-1")
def test_a_good_server_is_taken_with_the_best_version(kind: str, anchors: Path, tmp_path: Path) -> None:
    """TLS 1.3 if both have it, and the chain comes as it was sent."""
    chain = chain_of(GOOD, ROOT)

    session = shake_hands(CONTEXTS[kind](TLSContexts(anchors)), serving(tmp_path, chain, GOOD.key))

    assert session.version() == "TLSv1.3"
    assert peer_chain(session) == chain
    assert chain_was_verified(session) == (kind in ("pkix", "policy host"))


@pytest.mark.parametrize("kind", CONTEXTS)
@pytest.mark.requirement("7671-3-2", "7671-10.2-1")
def test_the_name_is_in_sni(kind: str, anchors: Path, tmp_path: Path) -> None:
    """Whether names are checked in the handshake or not."""
    context = serving(tmp_path, chain_of(GOOD), GOOD.key)
    seen: list[str | None] = []
    context.sni_callback = lambda _session, name, _context: seen.append(name)

    shake_hands(CONTEXTS[kind](TLSContexts(anchors)), context)

    assert seen == [MX]


BAD_SERVERS = [
    pytest.param(STRANGER, Reason.CERTIFICATE_NOT_TRUSTED, id="unknown CA"),
    pytest.param(authority(MX, ec_key(9), valid=VALID), Reason.CERTIFICATE_NOT_TRUSTED, id="self-signed"),
    pytest.param(server(ROOT, MX, valid=EXPIRED), Reason.CERTIFICATE_EXPIRED, id="expired"),
]


@pytest.mark.parametrize("kind", ["pkix", "policy host"])
@pytest.mark.parametrize(("bad", "reason"), BAD_SERVERS)
def test_attack_a_chain_that_is_not_trusted_fails_the_handshake(
    kind: str, bad: Issued, reason: Reason, anchors: Path, tmp_path: Path
) -> None:
    """And the error says why."""
    with pytest.raises(ssl.SSLError) as error:
        shake_hands(CONTEXTS[kind](TLSContexts(anchors)), serving(tmp_path, chain_of(bad), bad.key))

    assert reason_of(error.value) is reason


@pytest.mark.parametrize("kind", ["dane", "opportunistic"])
@pytest.mark.parametrize(("bad", "reason"), BAD_SERVERS)
def test_where_the_chain_is_judged_later_or_never_any_is_taken(
    kind: str, bad: Issued, reason: Reason, anchors: Path, tmp_path: Path
) -> None:
    """DANE-EE needs no trusted chain."""
    chain = chain_of(bad)

    session = shake_hands(CONTEXTS[kind](TLSContexts(anchors)), serving(tmp_path, chain, bad.key))

    assert peer_chain(session) == chain


@pytest.mark.parametrize(
    "misnamed",
    [
        pytest.param(server_today(ROOT, "other.test"), id="another name"),
        pytest.param(server_today(ROOT, common_name=MX), id="common name only"),
    ],
)
def test_a_policy_host_needs_the_dns_id_and_a_mail_server_is_asked_later(
    misnamed: Issued, anchors: Path, tmp_path: Path
) -> None:
    """So a client can tell a mail server QUIT."""
    contexts, context = TLSContexts(anchors), serving(tmp_path, chain_of(misnamed), misnamed.key)

    shake_hands(contexts.pkix, context)
    with pytest.raises(ssl.SSLError) as error:
        shake_hands(contexts.policy_host, context)

    assert reason_of(error.value) is Reason.CERTIFICATE_NAME_MISMATCH


def test_policy_hosts_can_have_anchors_of_their_own(anchors: Path, tmp_path: Path) -> None:
    """Then those of mail servers do not count for them, nor the other way round."""
    own = tmp_path / "own.pem"
    own.write_text(pem([authority("Stranger", ec_key(32), valid=VALID).der]))
    contexts, context = TLSContexts(anchors, "1.2", own), serving(tmp_path, chain_of(STRANGER), STRANGER.key)

    shake_hands(contexts.policy_host, context)
    with pytest.raises(ssl.SSLError):
        shake_hands(contexts.pkix, context)


@pytest.mark.parametrize("kind", ["pkix", "dane", "policy host"])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_attack_no_old_version_is_agreed_to_where_authentication_is_demanded(
    kind: str, anchors: Path, tmp_path: Path
) -> None:
    """TLS 1.1 fails, and nobody calls that a bad certificate."""
    old = serving(tmp_path, chain_of(GOOD), GOOD.key)
    old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    old.maximum_version = ssl.TLSVersion.TLSv1_1

    with pytest.raises(ssl.SSLError) as error:
        shake_hands(CONTEXTS[kind](TLSContexts(anchors)), old)

    assert reason_of(error.value) is Reason.TLS_HANDSHAKE_FAILED


@pytest.mark.parametrize("kind", ["pkix", "dane", "policy host"])
def test_the_minimum_version_can_be_1_3(kind: str, anchors: Path, tmp_path: Path) -> None:
    """It is the operator's to choose."""
    old = serving(tmp_path, chain_of(GOOD), GOOD.key)
    old.maximum_version = ssl.TLSVersion.TLSv1_2

    with pytest.raises(ssl.SSLError):
        shake_hands(CONTEXTS[kind](TLSContexts(anchors, "1.3")), old)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1 is deprecated:DeprecationWarning")
def test_an_old_and_weak_server_is_still_better_than_cleartext(tmp_path: Path) -> None:
    """TLS 1.0 with RSA 1024, as Postfix takes it at its level "may"."""
    weak = authority(MX, rsa_key(1024), valid=VALID)
    old = serving(tmp_path, chain_of(weak), weak.key)
    old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    old.maximum_version = ssl.TLSVersion.TLSv1

    session = shake_hands(TLSContexts().opportunistic, old)

    assert session.version() == "TLSv1"


@pytest.mark.parametrize("kind", CONTEXTS)
def test_only_an_opportunistic_session_is_made_without_secure_renegotiation(kind: str, anchors: Path) -> None:
    """Servers without RFC 5746 are old enough to be had in no other way."""
    legacy = CONTEXTS[kind](TLSContexts(anchors)).options & 0x4

    assert bool(legacy) == (kind == "opportunistic")


@pytest.mark.parametrize("kind", CONTEXTS)
def test_attack_ssl_3_and_compression_stay_off(kind: str, anchors: Path) -> None:
    """However lenient a session is (RFC 7568; CRIME)."""
    off = ssl.OP_NO_SSLv3 | ssl.OP_NO_COMPRESSION

    assert CONTEXTS[kind](TLSContexts(anchors)).options & off == off


def _extensions_offered(context: ssl.SSLContext) -> list[int]:
    """Return the types of the extensions in the ClientHello (RFC 8446 section 4.1.2)."""
    sent = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname=MX).do_handshake()
    # Record header 5, handshake header 4, version 2 and random 32 octets come first.
    hello = sent.read()[43:]
    for octets in (1, 2, 1):  # session id, cipher suites, compression methods
        hello = hello[octets + int.from_bytes(hello[:octets], "big") :]
    extensions, types = hello[2:], []
    while extensions:
        types.append(int.from_bytes(extensions[:2], "big"))
        extensions = extensions[4 + int.from_bytes(extensions[2:4], "big") :]
    return types


@pytest.mark.parametrize("kind", CONTEXTS)
@pytest.mark.requirement("7671-5.1-1")
def test_raw_public_keys_are_not_asked_for(kind: str, anchors: Path) -> None:
    """SNI (0) is among the extensions, server_certificate_type (20, RFC 7250) is not."""
    offered = _extensions_offered(CONTEXTS[kind](TLSContexts(anchors)))

    assert 0 in offered
    assert 20 not in offered


@pytest.mark.parametrize("kind", CONTEXTS)
def test_attack_no_anonymous_cipher_is_offered(kind: str, anchors: Path) -> None:
    """A server without certificate could be anybody."""
    ciphers = CONTEXTS[kind](TLSContexts(anchors)).get_ciphers()

    assert not [cipher["name"] for cipher in ciphers if cipher["auth"] == "auth-null"]


def test_anchors_are_read_again_when_their_file_changes(anchors: Path, tmp_path: Path) -> None:
    """A CA that is taken out is no longer trusted, without a restart."""
    contexts, context = TLSContexts(anchors), serving(tmp_path, chain_of(GOOD), GOOD.key)
    shake_hands(contexts.pkix, context)

    replacement = tmp_path / "new.pem"
    replacement.write_text(pem([authority("New", ec_key(33), valid=VALID).der]))
    os.replace(replacement, anchors)

    with pytest.raises(ssl.SSLError):
        shake_hands(contexts.pkix, context)


@pytest.mark.parametrize(
    "spoil", [Path.unlink, lambda file: file.write_text("half a file")], ids=["gone", "broken"]
)
def test_anchors_that_cannot_be_read_again_stay(
    spoil: Callable[[Path], object], anchors: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning, no lost mail."""
    contexts, context = TLSContexts(anchors), serving(tmp_path, chain_of(GOOD), GOOD.key)
    shake_hands(contexts.pkix, context)
    spoil(anchors)

    with caplog.at_level(logging.WARNING):
        shake_hands(contexts.pkix, context)
        shake_hands(contexts.pkix, context)

    assert len(caplog.records) == 1


def test_anchors_that_cannot_be_read_at_first_are_an_error(tmp_path: Path) -> None:
    """Nothing is trusted in their stead."""
    with pytest.raises(OSError, match="No such file"):
        _ = TLSContexts(tmp_path / "none.pem").pkix


def test_without_a_file_the_anchors_of_the_system_count() -> None:
    """As everywhere."""
    assert TLSContexts().pkix.verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (10, Reason.CERTIFICATE_EXPIRED),
        (62, Reason.CERTIFICATE_NAME_MISMATCH),
        *((code, Reason.CERTIFICATE_NOT_TRUSTED) for code in (2, 9, 18, 19, 20, 21, 26, 66, 68, 79)),
    ],
)
def test_openssls_codes_have_reasons(code: int, reason: Reason) -> None:
    """What is neither a date nor a name is a matter of trust."""
    error = ssl.SSLCertVerificationError()
    error.verify_code = code

    assert reason_of(error) is reason


def test_before_the_handshake_there_is_no_chain() -> None:
    """And no error either."""
    session = TLSContexts().dane.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=MX)

    assert peer_chain(session) == ()
    with (
        socket.socket() as unconnected,
        TLSContexts().dane.wrap_socket(
            unconnected, server_hostname=MX, do_handshake_on_connect=False
        ) as unsecured,
    ):
        assert peer_chain(unsecured) == ()


@pytest.mark.parametrize("sent", [None, [b"a leaf", b"its issuer"]], ids=["no certificate", "a chain"])
def test_the_public_way_to_the_chain_is_taken_where_there_is_one(sent: list[bytes] | None) -> None:
    """Sessions have it from Python 3.13 on; this one has nothing else."""

    class Session:
        def get_unverified_chain(self) -> list[bytes] | None:
            return sent

    assert peer_chain(cast(ssl.SSLObject, Session())) == tuple(sent or ())
