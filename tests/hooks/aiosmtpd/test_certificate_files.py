"""A server's certificate is replaced while it runs."""

from __future__ import annotations

import contextlib
import datetime
import logging
import os
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization as form

from requiretls_aiosmtpd import server_tls_context
from requiretls_aiosmtpd.certificate_files import LOOK_SECONDS, CertificateFiles
from tests.hooks.aiosmtpd.serving import SERVER_NAME, Keeper, RawClient, authority, serving


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Files:
    """A certificate and a key in files, as an ACME client renews them."""

    def __init__(self, folder: Path) -> None:
        self.certificate, self.key = folder / "fullchain.pem", folder / "key.pem"
        self.serials: list[int] = []
        self.write(self.issue())

    def issue(self, key_type: trustme.KeyType = trustme.KeyType.ECDSA) -> trustme.LeafCert:
        """Return a new certificate; its serial number is the last of `serials`."""
        issued = authority().issue_cert(SERVER_NAME, key_type=key_type)
        self.serials.append(x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes()).serial_number)
        return issued

    def write(self, issued: trustme.LeafCert, *, key: bool = True) -> None:
        """Rewrite the files, or the certificate's alone."""
        self.certificate.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
        if key:
            self.key.write_bytes(issued.private_key_pem.bytes())


def serial_of(context: ssl.SSLContext) -> int:
    """Return the serial number of the certificate that a handshake with *context* shows."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(to_server, to_client, server_side=True)
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    authority().configure_trust(trusting)
    client = trusting.wrap_bio(to_client, to_server)
    for side in (client, server, client, server):
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    shown = client.getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown).serial_number


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def used(files: Files, clock: Clock) -> Callable[[], int]:
    """Return the serial number of the certificate in use, some seconds later each time."""
    kept = CertificateFiles(files.certificate, files.key, clock)

    def serial() -> int:
        clock.now += LOOK_SECONDS
        return serial_of(kept.context)

    return serial


def test_a_replaced_pair_is_used_by_a_later_handshake(files: Files, used: Callable[[], int]) -> None:
    """Also one with a key of another type."""
    assert used() == files.serials[0]
    files.write(files.issue())
    assert used() == files.serials[1]
    files.write(files.issue(trustme.KeyType.RSA))
    assert used() == files.serials[2]


def test_a_pair_that_is_switched_by_a_symbolic_link_is_followed(tmp_path: Path, clock: Clock) -> None:
    """As certbot does it: the names in the settings are links, and the files behind them are new ones."""
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    old, new = Files(tmp_path / "1"), Files(tmp_path / "2")
    live = tmp_path / "live"
    live.symlink_to(tmp_path / "1")
    kept = CertificateFiles(live / "fullchain.pem", live / "key.pem", clock)
    assert serial_of(kept.context) == old.serials[0]

    live.unlink()
    live.symlink_to(tmp_path / "2")
    clock.now += LOOK_SECONDS

    assert serial_of(kept.context) == new.serials[0]


def test_the_files_are_not_looked_at_in_every_handshake(files: Files, clock: Clock) -> None:
    """Once in a few seconds is enough."""
    kept = CertificateFiles(files.certificate, files.key, clock)
    files.write(files.issue())
    clock.now += LOOK_SECONDS - 0.1
    assert serial_of(kept.context) == files.serials[0]
    clock.now += 0.1
    assert serial_of(kept.context) == files.serials[1]


def test_a_half_replaced_pair_is_not_used_and_told_once(
    files: Files, used: Callable[[], int], caplog: pytest.LogCaptureFixture
) -> None:
    """The old pair goes on until the other half is there, too."""
    new = files.issue()
    files.write(new, key=False)
    assert used() == used() == files.serials[0]
    [told] = caplog.records
    assert told.levelno == logging.ERROR
    assert f"{files.key}: does not belong to {files.certificate}" in told.getMessage()

    files.write(new)
    assert used() == files.serials[1]
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 1


def _cut_short(files: Files) -> None:
    files.certificate.write_bytes(files.certificate.read_bytes()[:100])


def _emptied(files: Files) -> None:
    files.key.write_bytes(b"")


def _gone(files: Files) -> None:
    files.key.unlink()


def _rubbish(files: Files) -> None:
    files.certificate.write_bytes(bytes(range(256)) * 100)


def _expired(files: Files) -> None:
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    issued = authority().issue_cert(SERVER_NAME, not_before=past, not_after=past + datetime.timedelta(90))
    files.write(issued)


def _encrypted(files: Files) -> None:
    key = form.load_pem_private_key(files.key.read_bytes(), None)
    encryption = form.BestAvailableEncryption(b"secret")
    files.key.write_bytes(key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, encryption))


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        pytest.param(_cut_short, "fullchain.pem: no PEM certificate", id="cut short"),
        pytest.param(_emptied, "key.pem: no unencrypted PEM private key", id="emptied"),
        pytest.param(_gone, "key.pem", id="gone"),
        pytest.param(_rubbish, "fullchain.pem: no PEM certificate", id="rubbish"),
        pytest.param(_expired, "fullchain.pem: expired on 2020-03-31", id="expired"),
        pytest.param(_encrypted, "key.pem: no unencrypted PEM private key", id="with a passphrase"),
    ],
)
def test_files_that_cannot_be_used_change_nothing(
    spoil: Callable[[Files], None],
    named: str,
    files: Files,
    used: Callable[[], int],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One line says which file and why; a good pair later is used without a restart."""
    before = files.serials[0]
    spoil(files)
    assert used() == used() == before
    [told] = caplog.records
    assert named in told.getMessage()

    files.write(files.issue())
    assert used() == files.serials[-1]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not read a file")
def test_files_that_may_not_be_read_any_more_keep_the_old_pair(
    files: Files, used: Callable[[], int], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """As after `salmon start --uid`: the key is root's."""
    files.write(files.issue())
    files.key.chmod(0o600)
    os.seteuid(65_534)
    try:
        before = used()
        assert used() == before == files.serials[0]
    finally:
        os.seteuid(0)
    [told] = caplog.records
    assert "Permission denied" in told.getMessage()


def test_a_server_uses_the_new_pair_for_the_next_starttls(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On connections that were open before, too; whatever name the client asks for."""
    monkeypatch.setattr("requiretls_aiosmtpd.certificate_files.LOOK_SECONDS", 0.0)
    context = server_tls_context(files.certificate, files.key)
    with serving(Keeper(), tls_context=context) as port, RawClient(port) as first, RawClient(port) as second:
        for client in (first, second):
            client.greet()
            assert client.start_tls().startswith("220 ")
            assert isinstance(client.socket, ssl.SSLSocket)
            shown = client.socket.getpeercert(binary_form=True)
            assert shown is not None
            assert x509.load_der_x509_certificate(shown).serial_number == files.serials[-1]
            files.write(files.issue())
        assert len(files.serials) == 3
