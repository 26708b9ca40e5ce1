"""Log, metrics and TLS reports: plugins like any other, switched on by the settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from requiretls_plugin.errors import SettingsError
from requiretls_plugin.observe.log import Log
from requiretls_plugin.observe.tlsrpt import TLSReports
from requiretls_plugin.observe.watched import Watched
from requiretls_plugin.settings import Settings

if TYPE_CHECKING:  # its library is an extra
    from requiretls_plugin.observe.metrics import Metrics


class Observers:
    """The observers that the settings ask for.

    Iterate over it for pairs of plugin name and plugin. Raises SettingsError if
    one needs a library that is not installed.
    """

    def __init__(self, settings: Settings) -> None:
        self._log = Log(settings.log.format)
        socket = settings.reports.tlsrpt_socket
        self._reports = TLSReports(socket) if socket is not None else None
        self._metrics = None
        if settings.metrics.listen is not None:
            self._metrics = _metrics_class()(settings.metrics.listen, self._reports)

    def __iter__(self) -> Iterator[tuple[str, object]]:
        """Yield every observer with the name it goes by among the plugins."""
        yield "requiretls.log", self._log
        if self._reports is not None:
            yield "requiretls.tlsrpt", self._reports
        if self._metrics is not None:
            yield "requiretls.metrics", self._metrics

    async def open(self, watched: Watched) -> None:
        """Start what has to run; nothing is raised for what is not there yet."""
        if self._reports is not None:
            self._reports.open(watched.dns)
        if self._metrics is not None:
            await self._metrics.open(watched)

    async def close(self) -> None:
        """Let reports under way go out, and stop."""
        if self._reports is not None:
            await self._reports.close()
        if self._metrics is not None:
            await self._metrics.close()


def _metrics_class() -> type[Metrics]:
    try:
        from requiretls_plugin.observe.metrics import Metrics
    except ImportError:
        problem = "metrics.listen: needs the extra metrics: pip install 'requiretls-plugin[metrics]'"
        raise SettingsError("settings", [problem]) from None
    return Metrics
