"""Forward every message to its recipient."""

from config.settings import relay
from salmon.routing import nolocking, route, stateless


@route("(user)@(host)", user=".+")
@stateless
@nolocking
def FORWARD(message, user=None, host=None):  # noqa: N802 - Salmon names states so
    """Forward the message; Salmon tells the sender what the relay raises."""
    relay.deliver(message)
