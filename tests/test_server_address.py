"""Servers as settings write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from requiretls_plugin.server_address import Nameserver, ServerAddress


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        pytest.param("relay.example.net:587", "relay.example.net:587", id="name and port"),
        pytest.param("Relay.Example.NET", "relay.example.net:25", id="name alone"),
        pytest.param(" relay.example.net ", "relay.example.net:25", id="blanks around it"),
        pytest.param("192.0.2.1", "192.0.2.1:25", id="IPv4"),
        pytest.param("192.0.2.1:2525", "192.0.2.1:2525", id="IPv4 and port"),
        pytest.param("[192.0.2.1]:2525", "192.0.2.1:2525", id="IPv4 in brackets"),
        pytest.param("2001:db8::1", "[2001:db8::1]:25", id="IPv6"),
        pytest.param("[2001:db8::1]", "[2001:db8::1]:25", id="IPv6 in brackets"),
        pytest.param("[2001:db8::1]:465", "[2001:db8::1]:465", id="IPv6 and port"),
    ],
)
def test_a_mail_server_is_parsed(written: str, shown: str) -> None:
    """And shown in one form, which parses to the same."""
    server = ServerAddress.parse(written)
    assert str(server) == shown
    assert ServerAddress.parse(shown) == server


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        pytest.param("127.0.0.1", "127.0.0.1:53", id="IPv4"),
        pytest.param("127.0.0.1:5353", "127.0.0.1:5353", id="IPv4 and port"),
        pytest.param("::1", "[::1]:53", id="IPv6"),
        pytest.param("[::1]:5353", "[::1]:5353", id="IPv6 and port"),
        pytest.param("tls://dns.example@192.0.2.53", "tls://dns.example@192.0.2.53:853", id="TLS"),
        pytest.param(
            "tls://dns.example@[2001:db8::53]:8853", "tls://dns.example@[2001:db8::53]:8853", id="v6"
        ),
    ],
)
def test_a_resolver_is_parsed(written: str, shown: str) -> None:
    """With the usual port of its kind."""
    server = Nameserver.parse(written)
    assert str(server) == shown
    assert Nameserver.parse(shown) == server


@pytest.mark.parametrize(
    "written",
    [
        "",
        "host:",
        "host:0",
        "host:65536",
        "host:٢٥",
        "host:25:26",
        "host:25\n",
        "a b:25",
        "[relay.example",
        "relay.example]:25",
        "[2001:db8::1%eth0]:25",
        "fe80::1%eth0",
        "user@relay.example:25",
        "smtp://relay.example",
        "-relay.example",
    ],
)
def test_what_names_no_mail_server_is_refused(written: str) -> None:
    """ValueError, as settings want it."""
    if written.endswith("\n"):
        written = f"a{written}b"
    with pytest.raises(ValueError, match=r"."):
        ServerAddress.parse(written)


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        pytest.param("tls://192.0.2.53", "the certificate's name first", id="no name: nothing to verify"),
        pytest.param("tls://@192.0.2.53", "no domain name", id="an empty name"),
        pytest.param("tls://192.0.2.53@192.0.2.53", "an address", id="an address as the name"),
        pytest.param("tls://good.example@evil.example@192.0.2.53", "no domain name", id="two names"),
        pytest.param("tls://dns.example@dns.example", "named by address", id="a name to look up first"),
        pytest.param("tls://dns.example@127.0.0.1@192.0.2.53", "no domain name", id="two addresses"),
        pytest.param("tls://dns.example/@192.0.2.53", "no domain name", id="a path in the name"),
        pytest.param("tls://dns.example\r\n@192.0.2.53", "no domain name", id="CR LF in the name"),
        pytest.param("tls://*.example@192.0.2.53", "no domain name", id="a wildcard"),
        pytest.param("tls://dns.example@[fe80::1%eth0]", "zone", id="a zone"),
        pytest.param("TLS://dns.example@192.0.2.53", "host:port", id="another spelling of the scheme"),
        pytest.param("tls:dns.example@192.0.2.53", "host:port", id="no slashes"),
        pytest.param("https://dns.example/dns-query", "host:port", id="another scheme"),
        pytest.param("udp://192.0.2.53", "host:port", id="a scheme that is none"),
        pytest.param("dns.example", "named by address", id="a name"),
    ],
)
def test_attack_no_spelling_turns_a_verified_resolver_into_another(written: str, complaint: str) -> None:
    """Nothing is guessed: a typing error must not end in cleartext or with a name nobody verifies."""
    with pytest.raises(ValueError, match=complaint):
        Nameserver.parse(written)


_PIECES = st.sampled_from(
    ["tls://", "a.example", "@", "[", "]", "::1", "127.0.0.1", ":", "53", "%", "\n", " "]
)


@given(st.text() | st.lists(_PIECES, max_size=8).map("".join))
def test_any_text_gives_a_server_or_a_value_error(text: str) -> None:
    """And what is a server is shown in a form that parses to it."""
    for kind in (ServerAddress, Nameserver):
        try:
            server = kind.parse(text)
        except ValueError:
            continue
        assert kind.parse(str(server)) == server
        assert str(server).isprintable()
