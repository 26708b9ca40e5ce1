"""OpenSSL's own DANE, asked by `openssl s_client`, is the judge of ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from requiretls_plugin.certificate.dane_match import match_dane
from requiretls_plugin.certificate.verdict import Authenticated
from requiretls_plugin.domain_name import DomainName
from tests.certificate.combinations import Combination, combinations
from tests.certificate.forge import NOW
from tests.certificate.openssl_oracle import openssl_accepts, server_context
from tests.certificate.shapes import MX, Shape, shapes
from tests.certificate.tlsa import tlsa


@pytest.mark.parametrize("shape", shapes(), ids=str)
def test_openssl_judges_the_shape_as_the_table_says(shape: Shape, tmp_path: Path) -> None:
    """By `2 0 1`, or `2 0 0` where the anchor is not sent."""
    record = tlsa("2 0 1" if shape.anchor_is_sent else "2 0 0", shape.anchor)

    accepted = openssl_accepts(server_context(tmp_path, shape.chain, shape.key), [record], MX)

    assert accepted == shape.openssl


@pytest.mark.parametrize("shape", shapes()[2::3], ids=str)
def test_openssl_and_we_agree_on_the_servers_key(shape: Shape, tmp_path: Path) -> None:
    """By `3 1 1`."""
    record = tlsa("3 1 1", shape.chain[0])

    accepted = openssl_accepts(server_context(tmp_path, shape.chain, shape.key), [record], MX)

    ours = match_dane(shape.chain, [record], [DomainName(MX)], NOW)
    assert accepted == isinstance(ours, Authenticated)


@pytest.mark.parametrize("combination", combinations(), ids=str)
def test_openssl_and_we_agree_on_the_records(combination: Combination, tmp_path: Path) -> None:
    """By every usage, selector and matching type, and by several at once."""
    context = server_context(tmp_path, combination.chain, combination.key)

    accepted = openssl_accepts(context, combination.records, MX)

    assert accepted == combination.matches
