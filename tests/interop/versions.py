"""What each foreign program calls itself, for the head of transcripts."""

from __future__ import annotations

import json
import platform
import socket
import subprocess
from importlib import metadata

from tests.interop.exim import Exim
from tests.interop.postfix import Postfix
from tests.interop.software import fetched, node, perl_environment


def npm(package: str) -> str:
    """A package and what it runs on."""
    made = json.loads((fetched() / "node_modules" / package / "package.json").read_text())
    runtime = subprocess.run([node(), "--version"], capture_output=True, text=True, check=True).stdout
    return f"npm {package} {made['version']} on Node.js {runtime.strip()}"


def postfix(server: Postfix) -> str:
    """A running Postfix."""
    return f"Debian's Postfix {server.postconf('-h', 'mail_version').strip()}"


def exim(server: Exim) -> str:
    """A running Exim, which says it in its greeting."""
    with socket.create_connection((server.place.address, server.place.port), timeout=5) as client:
        words = client.recv(1024).decode("ascii").split()
    return f"Debian's Exim {words[words.index('Exim') + 1]}"


def swaks() -> str:
    """Debian's."""
    command = ["perl", str(fetched() / "debian" / "usr" / "bin" / "swaks"), "--version"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, env=perl_environment()).stdout
    return f"Debian's swaks {said.split()[2]}"


def smtplib() -> str:
    """The standard library's."""
    return f"smtplib of Python {platform.python_version()}"


def aiosmtplib() -> str:
    """The one in this environment."""
    return f"aiosmtplib {metadata.version('aiosmtplib')} on Python {platform.python_version()}"
