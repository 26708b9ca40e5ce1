"""Fetch an MTA-STS policy over HTTPS from addresses already looked up (RFC 8461 section 3.3)."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.errors import InvalidSTSPolicy
from requiretls_plugin.policy.sts_http import PolicyRequest, fetch_error
from requiretls_plugin.policy.sts_policy import STSPolicy, parse_sts_policy
from requiretls_plugin.server_address import IPAddress

_READ_SIZE = 8192


def policy_host(domain: DomainName) -> DomainName:
    """Return the name of the server that has the policy of *domain*."""
    return domain.child("mta-sts")


async def fetch_policy(
    domain: DomainName,
    addresses: Sequence[IPAddress],
    *,
    port: int,
    context: ssl.SSLContext,
    timeout: float,
) -> STSPolicy:
    """Fetch the policy of *domain* from the policy host at *addresses*.

    IPv6 addresses come first. The next address is tried if one cannot be
    reached; a TLS error is final. *timeout* is in seconds and bounds everything
    together, however slowly the server drips. Raises PolicyFetchError.
    *context* has to check DNS-IDs and never the certificate's common name (RFC
    8461 section 3.3); that is not checked here.
    """
    try:
        async with asyncio.timeout(timeout):
            body = await _fetch_body(policy_host(domain), addresses, port, context, timeout)
    except TimeoutError:
        raise fetch_error(f"no policy within {timeout:g} seconds") from None
    try:
        return parse_sts_policy(body)
    except InvalidSTSPolicy as error:
        raise fetch_error(str(error), "sts-policy-invalid") from None


async def _fetch_body(
    host: DomainName, addresses: Sequence[IPAddress], port: int, context: ssl.SSLContext, timeout: float
) -> bytes:
    reader, writer = await _connect(host, addresses, port, context, timeout)
    try:
        return await _get(host, reader, writer)
    except OSError as error:
        raise fetch_error(f"the connection was lost: {error}") from None
    finally:
        # Not close(): that would keep the connection until the server has said close_notify too.
        writer.transport.abort()


async def _connect(
    host: DomainName, addresses: Sequence[IPAddress], port: int, context: ssl.SSLContext, timeout: float
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    why = "the policy host has no address"
    for address in sorted(addresses, key=lambda address: -address.version):
        try:
            # An address that swallows packets leaves time for the others.
            async with asyncio.timeout(timeout / len(addresses)):
                return await asyncio.open_connection(
                    str(address), port, ssl=context, server_hostname=host.text
                )
        except ssl.SSLCertVerificationError as error:
            raise fetch_error(f"{address}: {error.verify_message}", "sts-webpki-invalid") from None
        except ssl.SSLError as error:
            raise fetch_error(f"{address}: TLS failed: {error.reason or error}") from None
        except OSError as error:
            why = f"{address}: cannot be reached: {str(error) or 'timed out'}"
    raise fetch_error(why)


async def _get(host: DomainName, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    talk = PolicyRequest(host)
    writer.write(talk.request)
    while True:
        data = await reader.read(_READ_SIZE)
        if (body := talk.receive(data)) is not None:
            return body
        if not data:
            raise fetch_error("the connection ended before the answer")
