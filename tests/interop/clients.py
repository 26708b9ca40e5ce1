"""Foreign clients that give one message to a server, all of one form, so that tests go through them."""

from __future__ import annotations

import asyncio
import json
import smtplib
import ssl
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import aiosmtplib

from tests.hooks.aiosmtpd.serving import SERVER_NAME, authority
from tests.interop.next_hop import Place
from tests.interop.software import HERE, fetched, node, node_environment, perl_environment

HOSTNAME = "client.test"
SECONDS = 20


@dataclass(frozen=True, slots=True)
class Letter:
    """One message and how it is to be given to the server of ours on 127.0.0.1 and *port*.

    Inside TLS the client has to verify the server by *ca_file*.
    """

    port: int
    ca_file: str
    protocol: str = "smtp"
    requiretls: bool = False
    starttls: bool = True
    sender: str = "a@sender.test"
    recipient: str = "u@receiver.test"
    text: str = "From: a@sender.test\r\nSubject: to us\r\n\r\nhello\r\n.dot\r\n"
    server_name: str = SERVER_NAME

    @property
    def options(self) -> list[str]:
        """The parameters of MAIL."""
        return ["REQUIRETLS"] if self.requiretls else []

    @property
    def context(self) -> ssl.SSLContext:
        """The client's side of TLS."""
        return ssl.create_default_context(cafile=self.ca_file)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of it: the deciding reply code, 0 if the client gave up by itself, and what was said."""

    code: int
    said: str


Client = Callable[[Letter], Answer]


def ca_file(folder: Path) -> str:
    """Write the authority of our server's certificate to *folder* and return the file's name."""
    file = folder / "ca.pem"
    file.write_bytes(authority().cert_pem.bytes())
    return str(file)


def by_nodemailer(letter: Letter) -> Answer:
    """Send with npm nodemailer."""
    command = [node(), str(HERE / "node" / "client.cjs"), json.dumps(asdict(letter))]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=SECONDS, check=True, env=node_environment()
    )
    return Answer(**json.loads(done.stdout))


def by_smtplib(letter: Letter) -> Answer:
    """Send with Python's smtplib."""
    protocol = smtplib.LMTP if letter.protocol == "lmtp" else smtplib.SMTP
    with protocol("127.0.0.1", letter.port, local_hostname=HOSTNAME) as client:
        client._host = letter.server_name  # type: ignore[attr-defined] # what the certificate has to name
        if letter.starttls:
            client.starttls(context=letter.context)
        client.ehlo_or_helo_if_needed()
        try:
            client.sendmail(letter.sender, [letter.recipient], letter.text, letter.options)
        except smtplib.SMTPResponseException as refused:
            return Answer(refused.smtp_code, str(refused.smtp_error))
    return Answer(250, "")


def by_aiosmtplib(letter: Letter) -> Answer:
    """Send with aiosmtplib, which speaks no LMTP."""

    async def send() -> Answer:
        client = aiosmtplib.SMTP(
            hostname="127.0.0.1", port=letter.port, local_hostname=HOSTNAME, start_tls=False
        )
        async with client:
            if letter.starttls:
                await client.starttls(server_hostname=letter.server_name, tls_context=letter.context)
            connection = client.get_transport_info("socket")
            answer = await _aiosmtplib_answer(client, letter)
        while connection.fileno() != -1:  # noqa: ASYNC110 - asyncio tells nobody that TLS is closed
            await asyncio.sleep(0.001)
        return answer

    return asyncio.run(send())


async def _aiosmtplib_answer(client: aiosmtplib.SMTP, letter: Letter) -> Answer:
    try:
        await client.sendmail(letter.sender, [letter.recipient], letter.text, mail_options=letter.options)
    except aiosmtplib.SMTPResponseException as refused:
        return Answer(refused.code, refused.message)
    return Answer(250, "")


_SWAKS_WORD = {"smtp": "ESMTP", "lmtp": "LMTP"}


def by_swaks(letter: Letter) -> Answer:
    """Send with swaks, which cannot say parameters on MAIL; *said* is the whole talk."""
    if letter.requiretls:
        raise ValueError("swaks has no option for MAIL parameters")
    command = [
        *(
            "perl",
            str(fetched() / "debian" / "usr" / "bin" / "swaks"),
            "--protocol",
            _SWAKS_WORD[letter.protocol],
        ),
        *("--server", "127.0.0.1", "--port", str(letter.port), "--ehlo", HOSTNAME),
        *("--from", letter.sender, "--to", letter.recipient, "--data", "-"),
        *(("--tls", "--tls-verify", "--tls-ca-path", letter.ca_file) if letter.starttls else ()),
    ]
    done = subprocess.run(
        command, input=letter.text, capture_output=True, text=True, timeout=SECONDS, check=False,
        env=perl_environment(),
    )  # fmt: skip
    return Answer(250 if done.returncode == 0 else 0, done.stdout + done.stderr)


def by_relay(relay: Place) -> Client:
    """Return a client that is a foreign server: it is given the message by smtplib and passes it on."""

    def send(letter: Letter) -> Answer:
        recipient = f"u@{letter.protocol}-{letter.port}.to.test"
        with smtplib.SMTP(relay.address, relay.port, local_hostname=HOSTNAME) as client:
            client.sendmail(letter.sender, [recipient], letter.text)
        return Answer(250, "")

    return send
