"""REQUIRETLS for Salmon: receivers and a relay with Salmon's own signatures.

In `config/boot.py`, import them from here instead of from `salmon.server`.
"""

from requiretls_salmon.delivery_error import DeliveryError
from requiretls_salmon.handling import not_inheriting
from requiretls_salmon.installing import InstalledTooLateError, install
from requiretls_salmon.kept import requirement_of
from requiretls_salmon.queue_receiver import QueueReceiver
from requiretls_salmon.receiver import LMTPReceiver, SMTPReceiver
from requiretls_salmon.relay import Relay

__all__ = [
    "DeliveryError",
    "InstalledTooLateError",
    "LMTPReceiver",
    "QueueReceiver",
    "Relay",
    "SMTPReceiver",
    "install",
    "not_inheriting",
    "requirement_of",
]
