"""Claims about mail that the installation sends."""

from __future__ import annotations

from requiretls_lab.selftest.outgoing import (
    chain,
    dane,
    forgeries,
    header_field,
    hosts,
    keyword,
    mta_sts,
    notices,
    sessions,
    starttls,
)
from requiretls_lab.selftest.outgoing.steps import OutgoingCase

OUTGOING: tuple[OutgoingCase, ...] = (
    *keyword.CASES,
    *starttls.CASES,
    *dane.CASES,
    *chain.CASES,
    *hosts.CASES,
    *mta_sts.CASES,
    *sessions.CASES,
    *header_field.CASES,
    *forgeries.CASES,
    *notices.CASES,
)
