"""What a Postfix that hands mail to us can do to the promise: its own tag is a header field.

Postfix writes `Require-TLS-ESMTP: yes` into mail that came with REQUIRETLS, and
believes the field in any mail that comes in. Versions before 3.11 know nothing
of it and pass on what strangers wrote.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from requiretls_plugin.header_field import REQUIRE_TLS_ESMTP
from requiretls_plugin.server_address import IPAddress

PARAMETERS = ("mail_version", "lmtp_tls_security_level")
"""What `front_problems` wants to know of Postfix: `postconf NAME…` tells it."""

_KNOWS_REQUIRETLS = (3, 11)
_VERSION = re.compile(r"(\d+)\.(\d+)")


def parse_postconf(output: str) -> dict[str, str]:
    """Return the parameters that `postconf NAME…` printed, one `name = value` on each line."""
    lines = (line.partition("=") for line in output.splitlines())
    return {name.strip(): value.strip() for name, equals, value in lines if equals}


def front_problems(parameters: Mapping[str, str], trusted_hops: Collection[IPAddress]) -> list[str]:
    """Return what is wrong with Postfix before us on this machine, one line each, with the remedy.

    *parameters* are those of PARAMETERS that it has.
    """
    problems = []
    match = _VERSION.match(parameters.get("mail_version", ""))
    version = (int(match[1]), int(match[2])) if match else (0, 0)
    trusted = any(address.is_loopback for address in trusted_hops)
    if version < _KNOWS_REQUIRETLS and trusted:
        problems.append(
            f"Postfix {parameters.get('mail_version', '')} passes on a {REQUIRE_TLS_ESMTP} field that anybody"
            " can have written, and receive.trusted_hops believes it: set trusted_hops = []"
        )
    if parameters.get("lmtp_tls_security_level", "") in ("", "none"):
        problems.append(
            "Postfix hands mail to LMTP without TLS, where REQUIRETLS cannot be said:"
            " set lmtp_tls_security_level = encrypt in main.cf"
        )
    return problems
