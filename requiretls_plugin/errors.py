"""Every error this package raises, drawn as one tree.

RequireTLSError
├── SettingsError            the operator's settings; lists every mistake
├── InvalidInput             a stranger's (or a caller's) bytes; also a ValueError
│   ├── InvalidDomainName
│   ├── InvalidMailAddress
│   ├── InvalidHeaderField
│   ├── InvalidParameter     knows the SMTP reply to give
│   ├── InvalidSTSRecord
│   ├── InvalidSTSPolicy
│   ├── InvalidStoredTag
│   └── InvalidFindings      a saved explanation that is none
├── ConflictingRequirement   both switches of RFC 8689 at once
├── PolicyFetchError         an MTA-STS policy could not be had; says why
├── CacheFailure             a store of policies does not work; never fails a delivery
├── ProtocolViolation        a server's reply is not SMTP
├── PluginError              a plugin answered a hook with what it may not
└── EngineStopped            the engine does not run (any more)
"""

from __future__ import annotations

from collections.abc import Sequence

from requiretls_plugin.reply import Reply


class RequireTLSError(Exception):
    """Base of every error of this package."""


class SettingsError(RequireTLSError):
    """The settings cannot be used; *problems* has one line for each mistake."""

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        self.source = source
        self.problems = tuple(problems)
        super().__init__("\n".join([f"{source}:", *(f"  {problem}" for problem in problems)]))


class InvalidInput(RequireTLSError, ValueError):
    """Some bytes or text from outside are not what they have to be."""


class InvalidDomainName(InvalidInput):
    """Not a domain name that SMTP or DNS could use."""


class InvalidMailAddress(InvalidInput):
    """Not a mailbox as RFC 5321 writes it."""


class InvalidHeaderField(InvalidInput):
    """A TLS-Required field that says something other than No, or occurs twice."""


class InvalidParameter(InvalidInput):
    """A MAIL or RCPT parameter that is refused; *reply* says how."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        super().__init__(str(reply))


class InvalidSTSRecord(InvalidInput):
    """A `_mta-sts` TXT record that RFC 8461 section 3.1 does not allow."""


class InvalidSTSPolicy(InvalidInput):
    """An MTA-STS policy file that RFC 8461 section 3.2 does not allow."""


class InvalidStoredTag(InvalidInput):
    """A stored-tag header that this package did not write."""


class InvalidFindings(InvalidInput):
    """A file of findings that this package did not write."""


class ConflictingRequirement(RequireTLSError):
    """A new message was given REQUIRETLS and TLS-Required: No together."""


class PolicyFetchError(RequireTLSError):
    """An MTA-STS policy could not be fetched.

    *result_type* is the RFC 8460 section 4.3 word for it:
    `sts-policy-fetch-error`, `sts-policy-invalid` or `sts-webpki-invalid`.
    """

    def __init__(self, result_type: str, why: str) -> None:
        self.result_type = result_type
        self.why = why
        super().__init__(f"{result_type}: {why}")


class CacheFailure(RequireTLSError):
    """A store of policies cannot be read or written.

    *lasting* tells that trying again will not help before somebody repairs it.
    """

    def __init__(self, why: str, *, lasting: bool = False) -> None:
        self.lasting = lasting
        super().__init__(why)


class ProtocolViolation(RequireTLSError):
    """The other side sent what SMTP does not allow."""


class PluginError(RequireTLSError):
    """A plugin answered a hook with something the hook's contract excludes."""


class EngineStopped(RequireTLSError):
    """The engine was not started, or was stopped."""
