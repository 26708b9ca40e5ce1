"""Whom may we trust at the next hop? DNSSEC, DANE and MTA-STS."""
