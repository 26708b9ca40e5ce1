"""Put our classes in the place of Salmon's, for apps whose boot module has to stay as it is."""

from __future__ import annotations

import sys

from salmon import server

from requiretls_plugin.errors import RequireTLSError
from requiretls_salmon.queue_receiver import QueueReceiver
from requiretls_salmon.receiver import LMTPReceiver, SMTPReceiver
from requiretls_salmon.relay import Relay

_OURS = {
    "SMTPReceiver": SMTPReceiver,
    "LMTPReceiver": LMTPReceiver,
    "QueueReceiver": QueueReceiver,
    "Relay": Relay,
}
_STOCK = {name: getattr(server, name) for name in _OURS}


class InstalledTooLateError(RequireTLSError):
    """Some module has imported Salmon's own classes already and would go on using them."""


def install() -> None:
    """Let `salmon.server` have our receivers and our relay; call it in `config/settings.py`.

    Raises InstalledTooLateError if a module outside Salmon has the stock classes
    already. A second call changes nothing.
    """
    late = sorted(
        f"{module_name}.{name}"
        for module_name, module in list(sys.modules.items())
        for name, stock in _STOCK.items()
        if not module_name.startswith(("salmon.", "requiretls_salmon"))
        and getattr(module, "__dict__", {}).get(name) is stock
    )
    if late:
        raise InstalledTooLateError(f"call install() before these are imported: {', '.join(late)}")
    for name, ours in _OURS.items():
        setattr(server, name, ours)
