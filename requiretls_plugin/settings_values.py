"""The kinds of values that settings have, and how an operator writes them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.level import Level, LevelTable
from requiretls_plugin.policy.next_hop import LocalHop, UNIXSocket, parse_local_hop
from requiretls_plugin.server_address import IPAddress, Nameserver, ServerAddress
from requiretls_plugin.settings_mistakes import TableError


def _text_parser(parse: Callable[[str], object], *kinds: type) -> BeforeValidator:
    """Parse the operator's text; code may give what is parsed already, one of *kinds*."""

    def parsed(value: object) -> object:
        if isinstance(value, kinds):
            return value
        if not isinstance(value, str):
            raise ValueError("write it as a string in quotes")
        return parse(value)

    return BeforeValidator(parsed)


def _file_path(value: Any, info: ValidationInfo) -> Path:
    """Return the path *value*, relative to the folder that is the context."""
    if not isinstance(value, str | Path):
        raise ValueError("write it as a string in quotes")
    if "\0" in str(value) or not str(value):
        raise ValueError("is no file name")
    return (info.context or Path()) / value


def _not_empty(resolvers: tuple[Nameserver, ...]) -> tuple[Nameserver, ...]:
    if not resolvers:
        raise ValueError("name at least one, or leave the key out")
    return resolvers


def _listening_place(text: str) -> ServerAddress:
    place = ServerAddress.parse(text)
    if isinstance(place.host, DomainName):
        raise ValueError("write an IP address and a port, as in 127.0.0.1:9123")
    return place


def _cache_url(text: str) -> str:
    if not re.fullmatch(r"memory:|sqlite:///.+|rediss?://.+", text):
        raise ValueError("write memory:, sqlite:///path or redis://host:port/db")
    if text.startswith("redis"):
        try:
            _ = urlsplit(text).port
        except ValueError:
            # A slash in a password ends the host, and whoever connects would complain of the rest aloud.
            raise ValueError("write redis://host:port/db, in a password %2F for / and so on") from None
    return text


def _level_table(value: Any) -> LevelTable:
    if isinstance(value, LevelTable):
        return value
    if not isinstance(value, Mapping):
        raise ValueError('write a section [levels] with lines of the form "domain" = "level"')
    levels: dict[str, Level] = {}
    mistakes = []
    for key, word in value.items():
        try:
            name = _level_key(key)
            if name in levels:
                raise ValueError("the same domain again")
            levels[name] = _level(word)
        except ValueError as error:
            mistakes.append((key, str(error), word))
    if mistakes:
        raise TableError(mistakes)
    return LevelTable(levels)


def _level_key(key: str) -> str:
    if key.startswith("*."):
        raise ValueError(f"write {key[1:]} for all domains below {key[2:]}")
    if key == "*":
        return key
    dot = "." if key.startswith(".") else ""
    return dot + DomainName.parse(key.removeprefix(".")).text


def _level(word: Any) -> Level:
    known = [level.value for level in Level]
    if word not in known:
        raise ValueError(f"write one of {', '.join(known)}")
    return Level(word)


Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Port = Annotated[int, Field(ge=1, le=65_535)]
Connections = Annotated[int, Field(ge=1, le=10_000)]
FilePath = Annotated[Path, BeforeValidator(_file_path)]
HostName = Annotated[DomainName, _text_parser(DomainName.parse, DomainName)]
Resolver = Annotated[Nameserver, _text_parser(Nameserver.parse, Nameserver)]
Resolvers = Annotated[tuple[Resolver, ...], Field(strict=False), AfterValidator(_not_empty)]
ListeningPlace = Annotated[ServerAddress, _text_parser(_listening_place, ServerAddress)]
MailServer = Annotated[ServerAddress, _text_parser(ServerAddress.parse, ServerAddress)]
Address = Annotated[IPAddress, _text_parser(ipaddress.ip_address, IPv4Address, IPv6Address)]
Addresses = Annotated[tuple[Address, ...], Field(strict=False)]
TrustedHop = Annotated[LocalHop, _text_parser(parse_local_hop, UNIXSocket, ServerAddress)]
LocalHops = Annotated[frozenset[TrustedHop], Field(strict=False)]
Levels = Annotated[LevelTable, BeforeValidator(_level_table)]
Word = Annotated[str, Field(min_length=1)]
CacheURL = Annotated[str, _text_parser(_cache_url)]
