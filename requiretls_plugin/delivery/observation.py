"""What an attempt shows about the host's abilities, for the capability memory."""

from __future__ import annotations

from requiretls_plugin.delivery.outcome import Attempt
from requiretls_plugin.policy.capability import Observation
from requiretls_plugin.reason import Reason
from requiretls_plugin.security import Security


def observation_of(attempt: Attempt) -> Observation | None:
    """Return what the session of *attempt* showed, None if nothing new.

    A session that carried a message before was looked at then.
    """
    if attempt.reused:
        return None
    if attempt.refusal is Reason.REQUIRETLS_NOT_OFFERED:
        return Observation(starttls=True, requiretls=False)
    if attempt.refusal is Reason.STARTTLS_NOT_OFFERED:
        return Observation(starttls=False)
    if attempt.security is None or attempt.security is Security.CLEARTEXT:
        return None
    dane = True if attempt.security is Security.DANE else None
    return Observation(starttls=True, requiretls=attempt.requiretls_offered, dane=dane)
