"""Recipient domains of the laboratory, described in a few lines each."""

from __future__ import annotations

from dataclasses import dataclass, field

from requiretls_lab.authority import Leaf
from requiretls_lab.policy_host import PolicyAnswer, policy_text
from requiretls_lab.smtp_script import Script
from requiretls_lab.zones import ZoneKind


@dataclass(frozen=True, slots=True)
class MailHost:
    """A mail server of a domain.

    *label* is its name below the domain, `@` for the domain itself.
    *preference* is that of its MX record; None for no MX record. *tlsa* lists
    forms such as `3 1 1`, `2 0 1` or `3 1 1 wrong` (see `Certificate.tlsa`);
    the owner name has the laboratory's mail port in it. *leaf* describes the
    certificate, by default a good one for the host's name. If not *listening*
    it has an address that refuses connections.
    """

    label: str = "mx"
    preference: int | None = 10
    tlsa: tuple[str, ...] = ()
    leaf: Leaf | None = None
    script: Script = field(default_factory=Script)
    listening: bool = True

    def name(self, domain: str) -> str:
        """Return the host's full name in *domain*."""
        return domain if self.label == "@" else f"{self.label}.{domain}"


@dataclass(frozen=True, slots=True)
class Policy:
    """A domain's MTA-STS policy (RFC 8461): the TXT record and the HTTPS site.

    *txt* is the record's content, None for no record. *leaf* describes the
    site's certificate, by default a good one for `mta-sts.`domain. If not
    *listening* the site refuses connections.
    """

    answer: PolicyAnswer
    txt: str | None = "v=STSv1; id=1;"
    leaf: Leaf | None = None
    listening: bool = True

    @classmethod
    def enforce(cls, *mx: str) -> Policy:
        """Return a policy in mode `enforce` for the *mx* patterns."""
        return cls(PolicyAnswer(policy_text("enforce", *mx)))

    @classmethod
    def testing(cls, *mx: str) -> Policy:
        """Return a policy in mode `testing` for the *mx* patterns."""
        return cls(PolicyAnswer(policy_text("testing", *mx)))


@dataclass(frozen=True, slots=True)
class Domain:
    """A zone with the mail servers and the policy of one domain.

    *records* are more records as in a zone file, names relative to the zone:
    `"@ MX 0 ."`, `"alias CNAME mx.other.test."`; `{port}` in them stands for
    the laboratory's mail port. A TLSA lookup that fails is a domain of its own:
    `Domain("_tcp.mx.a.test", zone=ZoneKind.UNSERVED)`.
    """

    name: str
    hosts: tuple[MailHost, ...] = ()
    zone: ZoneKind = ZoneKind.SIGNED
    policy: Policy | None = None
    records: tuple[str, ...] = ()
    meaning: str = ""
