"""Claims about a server that receives mail: the installation's own, or any other."""

from __future__ import annotations

from requiretls_lab.selftest.receiving import offer, parameter, sizes, smuggling, transactions
from requiretls_lab.selftest.receiving.cases import ReceivingCase

RECEIVING: tuple[ReceivingCase, ...] = (
    *offer.CASES,
    *parameter.CASES,
    *transactions.CASES,
    *sizes.CASES,
    *smuggling.CASES,
)
