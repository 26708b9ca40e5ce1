"""`python -m requiretls_lab [PORT]`: run the catalogue for trying things out by hand, until Ctrl-C."""

from __future__ import annotations

import signal
import sys

from rich.console import Console
from rich.table import Table

from requiretls_lab.catalogue import CATALOGUE
from requiretls_lab.errors import LabError
from requiretls_lab.laboratory import Laboratory


def main(arguments: list[str]) -> int:
    """Run the laboratory, mail servers on the port given; return the exit status."""
    if len(arguments) > 1 or not all(argument.isdigit() for argument in arguments):
        print("usage: python -m requiretls_lab [PORT]", file=sys.stderr)
        return 64
    # An end by SIGTERM cleans up as well.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with Laboratory(CATALOGUE, port=int(arguments[0]) if arguments else 0) as lab:
            _show(lab)
            signal.pause()
    except LabError as error:
        print(error, file=sys.stderr)
        return 69
    except KeyboardInterrupt:
        pass
    return 0


def _show(lab: Laboratory) -> None:
    table = Table(box=None)
    for title in ("domain", "hosts", "what it is"):
        table.add_column(title, overflow="fold")
    for domain in CATALOGUE:
        names = [host.name(domain.name) for host in domain.hosts]
        hosts = "\n".join(f"{name} {lab.destination(name).address}:{lab.port}" for name in names)
        table.add_row(domain.name, hosts, domain.meaning)
    Console().print(table)
    settings = lab.write_settings(lab.folder / "requiretls.toml")
    address, port = lab.resolver.split(":")
    print(
        f"\nsettings: {settings}",
        f"resolver: dig @{address} -p {port} NAME TYPE",
        f"try:      requiretls check --config {settings} dane-ee.test",
        "stop:     Ctrl-C",
        sep="\n",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
