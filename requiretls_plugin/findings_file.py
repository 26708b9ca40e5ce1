"""Findings as JSON, to be kept, sent to somebody, and judged again elsewhere.

Every value but text, numbers, true, false and null is an object with one
member: its class and what it consists of. What is read back is checked field by
field against the classes, so a file that anybody wrote gives findings or InvalidFindings.
"""

from __future__ import annotations

import dataclasses
import enum
import ipaddress
import json
from collections.abc import Callable, Mapping
from typing import Any

from requiretls_plugin.certificate.verdict import Authenticated, Mechanism, NotAuthenticated
from requiretls_plugin.delivery.proof import Proof, TLSProof
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.errors import InvalidFindings
from requiretls_plugin.field_types import wrong_field
from requiretls_plugin.findings import Findings, SessionFinding, judge
from requiretls_plugin.level import Level
from requiretls_plugin.mail_address import AddressLiteral
from requiretls_plugin.policy import evidence, mx_lookup, next_hop, refusal, sts, tlsa_lookup
from requiretls_plugin.policy.answers import TLSARecord
from requiretls_plugin.policy.demand import Rules
from requiretls_plugin.policy.sts_cache import is_time
from requiretls_plugin.policy.sts_failure import FetchFailure
from requiretls_plugin.policy.sts_policy import STSPolicy, parse_sts_policy
from requiretls_plugin.reason import Reason
from requiretls_plugin.reply import Reply
from requiretls_plugin.requirement import Requirement
from requiretls_plugin.server_address import ServerAddress
from requiretls_plugin.smtp_extension import Extensions

FORMAT = "requiretls-findings-1"

# Nothing that is gathered comes near it.
MAX_BYTES = 4 * 1024 * 1024

_CLASSES: Mapping[str, type[Any]] = {
    kind.__name__: kind
    for kind in (
        *(Findings, SessionFinding, evidence.Evidence, evidence.HostEvidence, Rules, Level, Requirement),
        *(next_hop.DomainHop, next_hop.NamedHop, next_hop.UNIXSocket, next_hop.Login),
        *(next_hop.Wrapping, next_hop.Protocol, ServerAddress, AddressLiteral),
        *(mx_lookup.MailHosts, mx_lookup.Candidate, mx_lookup.NullMX, mx_lookup.NoSuchDomain),
        *(mx_lookup.NoUsableMX, mx_lookup.MailLoop, mx_lookup.MXFailed),
        *(tlsa_lookup.HostAddresses, tlsa_lookup.HostUnknown, tlsa_lookup.HostLookupFailed),
        *(tlsa_lookup.NoDANE, tlsa_lookup.DANERecords, tlsa_lookup.DANEFailed, TLSARecord),
        *(sts.NoSTS, sts.STSFound, sts.STSUnavailable, FetchFailure),
        *(Proof, TLSProof, Authenticated, NotAuthenticated, Mechanism),
        *(refusal.Refusal, refusal.Sureness, refusal.Peer, Reply, Reason),
    )
}

# Values that are written as text, and how they are read back: parsed as if they came from outside.
_TEXTS: Mapping[type[Any], tuple[Callable[[Any], str], Callable[[str], Any]]] = {
    DomainName: (str, DomainName.parse),
    ipaddress.IPv4Address: (str, ipaddress.IPv4Address),
    ipaddress.IPv6Address: (str, ipaddress.IPv6Address),
    bytes: (bytes.hex, bytes.fromhex),
    STSPolicy: (lambda policy: policy.text, lambda text: parse_sts_policy(text.encode())),
    Extensions: (
        lambda extensions: "\n".join(
            " ".join((word, *arguments)) for word, arguments in extensions.keywords.items()
        ),
        lambda text: Extensions.parse(["", *text.split("\n")]),
    ),
}
_PARSERS = {kind.__name__: parse for kind, (_, parse) in _TEXTS.items()}


def findings_as_json(findings: Findings) -> str:
    """Return *findings* as JSON; passwords are left out.

    Raises InvalidFindings if there is more than `findings_from_json` reads.
    """
    text = json.dumps({"format": FORMAT, "findings": _frozen(findings)}, indent=1)
    if len(text) > MAX_BYTES:
        raise InvalidFindings(f"these findings need {len(text)} octets, more than {MAX_BYTES}")
    return text


def findings_from_json(data: bytes) -> Findings:
    """Return the findings in *data*; raises InvalidFindings."""
    if len(data) > MAX_BYTES:
        raise InvalidFindings("the file is too long for saved findings")
    try:
        table = json.loads(data)
        if not isinstance(table, dict) or table.get("format") != FORMAT:
            raise InvalidFindings(f"the file does not have the format {FORMAT}")
        findings = _thawed(table.get("findings"))
        if not isinstance(findings, Findings):
            raise InvalidFindings("the file has something else in place of findings")
        if not is_time(findings.taken):
            raise InvalidFindings("the file does not say when its findings were taken")
        for requirement in Requirement:
            judge(findings, requirement)
    except RecursionError:
        raise InvalidFindings("the file is nested too deeply") from None
    except (ValueError, TypeError) as error:
        raise InvalidFindings(str(error)) from None
    return findings


def _frozen(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    kind = type(value)
    if isinstance(value, enum.Enum):
        return {kind.__name__: value.value}
    if kind in _TEXTS:
        return {kind.__name__: _TEXTS[kind][0](value)}
    if isinstance(value, tuple | frozenset):
        return {kind.__name__: [_frozen(each) for each in value]}
    fields = {field.name: _frozen(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, next_hop.Login):
        fields["password"] = ""
    return {kind.__name__: fields}


def _thawed(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if not isinstance(value, dict) or len(value) != 1:
        raise InvalidFindings("the file has a value without a class")
    [(name, content)] = value.items()
    if name in ("tuple", "frozenset") and isinstance(content, list):
        return (tuple if name == "tuple" else frozenset)(map(_thawed, content))
    if name in _PARSERS and isinstance(content, str):
        return _PARSERS[name](content)
    kind = _CLASSES.get(name)
    if kind is not None and issubclass(kind, enum.Enum):
        return kind(content)
    if kind is None or not isinstance(content, dict):
        raise InvalidFindings(f"the file has a class that findings do not have: {name[:80]!r}")
    return _checked(kind(**{key: _thawed(each) for key, each in content.items()}))


def _checked(value: Any) -> Any:
    """Return *value*, a dataclass, if its fields have the types that its class says."""
    if (wrong := wrong_field(value)) is not None:
        raise InvalidFindings(f"the file has a wrong {wrong} of {type(value).__name__}")
    return value
