"""The worlds that most cases need, in a word."""

from __future__ import annotations

from typing import Any

from requiretls_lab.domains import Domain, MailHost, Policy
from requiretls_lab.smtp_script import Offer, Script
from requiretls_lab.zones import ZoneKind

DANE = ("3 1 1",)
NO_KEYWORD = Script(requiretls=Offer.NEVER)
NO_STARTTLS = Script(starttls=False, requiretls=Offer.NEVER)


def signed(name: str, meaning: str, **host: Any) -> tuple[Domain]:
    """Return NAME.test, signed, whose MX record names one host, a `MailHost` of *host*."""
    return (Domain(f"{name}.test", (MailHost(**host),), meaning=meaning),)


def dane(name: str, meaning: str, **script: Any) -> tuple[Domain]:
    """Return the same with a matching TLSA 3 1 1; its host follows a `Script` of *script*."""
    return signed(name, meaning, tlsa=DANE, script=Script(**script))


def under_policy(name: str, meaning: str, policy: Policy, **host: Any) -> tuple[Domain]:
    """Return NAME.test, not signed, under an MTA-STS *policy*, with one host."""
    return (Domain(f"{name}.test", (MailHost(**host),), ZoneKind.UNSIGNED, policy, meaning=meaning),)
