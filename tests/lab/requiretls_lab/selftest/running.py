"""Run cases, against the installation or against a server that somebody names."""

from __future__ import annotations

import contextlib
import fnmatch
import functools
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence

from requiretls_lab.errors import LabError
from requiretls_lab.laboratory import Laboratory
from requiretls_lab.selftest.case import Broken, Case, Result, Skipped, Verdict
from requiretls_lab.selftest.outgoing import OUTGOING
from requiretls_lab.selftest.outgoing.play import play
from requiretls_lab.selftest.outgoing.steps import Do, OutgoingCase
from requiretls_lab.selftest.receiving import RECEIVING
from requiretls_lab.selftest.receiving.cases import ReceivingCase
from requiretls_lab.selftest.receiving.own import own_receiver
from requiretls_lab.selftest.receiving.target import Server, looked_at
from requiretls_lab.settings_file import Table
from requiretls_plugin.engine import Engine
from requiretls_plugin.settings import Settings

# A slow machine is no finding: only cases that wait for a time to run out have shorter ones.
_PATIENT = {"connect_timeout": 20.0, "command_timeout": 20.0, "data_timeout": 20.0, "total_timeout": 60.0}


def chosen(patterns: Sequence[str], cases: Iterable[Case]) -> list[Case]:
    """Return the *cases* whose theme or name is one of *patterns*, in which `*` stands for anything.

    Without patterns that is all of them. Raises LookupError with a pattern that fits none.
    """
    cases = list(cases)
    found: dict[str, list[Case]] = {
        pattern: [case for case in cases if _fits(case.name, pattern)] for pattern in patterns
    }
    for pattern, fitting in found.items():
        if not fitting:
            raise LookupError(pattern)
    wanted = {case.name for fitting in found.values() for case in fitting}
    return [case for case in cases if case.name in wanted or not patterns]


def _fits(name: str, pattern: str) -> bool:
    return name.partition("/")[0] == pattern or fnmatch.fnmatchcase(name, pattern)


def all_cases() -> tuple[Case, ...]:
    """Return every case, those about outgoing mail first."""
    return (*OUTGOING, *RECEIVING)


def receiving_cases() -> tuple[Case, ...]:
    """Return the cases that any server can be tried with."""
    return RECEIVING


def against_installation(cases: Iterable[Case], own: Settings) -> Iterator[Result]:
    """Run *cases* in a laboratory with this package and the plugins installed, and yield their results.

    Of the settings *own* count what weakens REQUIRETLS or switches it off: the
    levels, `mta_sts.accept_testing` and `receive.advertise`. Raises LabError if
    the laboratory does not start, and PluginError if a plugin cannot be loaded.
    """
    Engine(own)  # for its errors: they are none of a case
    cases = list(cases)
    outgoing = [case for case in cases if isinstance(case, OutgoingCase)]
    receiving = [case for case in cases if isinstance(case, ReceivingCase)]
    with _quiet(), Laboratory(domain for case in outgoing for domain in case.domains) as lab:
        for case in outgoing:
            yield _judged(case, functools.partial(play, case, lab, _settings(lab, own, case)))
        if receiving:
            with own_receiver(_weakened(lab.settings(), own)) as server:
                yield from _received(receiving, server)


def against_server(cases: Iterable[Case], server: Server) -> Iterator[Result]:
    """Run those of *cases* that are about receiving against *server*; raises LabError if nobody answers."""
    try:
        server = looked_at(server)
    except (OSError, Broken) as error:
        raise LabError(f"{server.host}:{server.port}: {error}; is there an SMTP server?") from None
    yield from _received((case for case in cases if isinstance(case, ReceivingCase)), server)


def _received(cases: Iterable[ReceivingCase], server: Server) -> Iterator[Result]:
    for case in cases:
        yield _judged(case, functools.partial(case.run, server))


def _judged(case: Case, run: Callable[[], str]) -> Result:
    try:
        return Result(case, Verdict.PASS, run())
    except Broken as broken:
        return Result(case, Verdict.FAIL, str(broken))
    except Skipped as skipped:
        return Result(case, Verdict.SKIP, str(skipped))
    except OSError as error:
        return Result(case, Verdict.FAIL, f"the connection fails: {error}")


def _settings(lab: Laboratory, own: Settings, case: OutgoingCase) -> Settings:
    changes: dict[str, Table] = {
        "delivery": {**_PATIENT, **dict(case.limits)},
        "dns": {"timeout": 20.0},
    }
    if any(isinstance(step, Do) for step in case.steps):
        # What was learned before something happened is what such a case is about.
        changes["cache"] = {"url": f"sqlite:///{lab.folder}/{case.name.replace('/', '-')}.sqlite"}
    return _weakened(lab.settings(**changes), own)


def _weakened(settings: Settings, own: Settings) -> Settings:
    return settings.model_copy(
        update={
            "levels": own.levels,
            "mta_sts": settings.mta_sts.model_copy(update={"accept_testing": own.mta_sts.accept_testing}),
            "receive": settings.receive.model_copy(update={"advertise": own.receive.advertise}),
        }
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what engines and sessions log of hostile servers from standard error."""
    handler = logging.NullHandler()
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
