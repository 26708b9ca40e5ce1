"""Hand one message to Salmon's Router, and know whether somebody has it afterwards."""

from __future__ import annotations

import logging
from typing import Any

from salmon import routing
from salmon.server import SMTPError, undeliverable_message

from requiretls_plugin.reply import INTERNAL_ERROR, NO_SUCH_MAILBOX
from requiretls_salmon.delivery_error import DeliveryError
from requiretls_salmon.handling import current_handling


def hand_over(message: Any) -> SMTPError | None:
    """Let the Router handle *message*; return None if it is taken, else the error for its sender.

    Taken is also what ended in the undeliverable queue. Raises what pushing it
    there raises: then nobody has it.
    """
    try:
        routing.Router.deliver(message)
    except SMTPError as error:
        return error
    except Exception:
        logging.exception("handling failed: %r", message)
        undeliverable_message(message.Data, f"Error in message {message!r}, look in logs.")
        if routing.Router.UNDELIVERABLE_QUEUE is None:
            return DeliveryError(INTERNAL_ERROR)
    handling = current_handling()
    if handling is not None and handling.unmatched:
        return DeliveryError(NO_SUCH_MAILBOX)
    return DeliveryError(INTERNAL_ERROR) if handling and handling.failed else None
