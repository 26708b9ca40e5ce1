"""Make the server that `salmon start` runs."""

import logging.config

from requiretls_salmon import LMTPReceiver, Relay, SMTPReceiver
from salmon import queue
from salmon.routing import Router

from . import settings

logging.config.fileConfig("config/logging.conf")

# No host: mail goes direct to the MX hosts of each recipient's domain.
settings.relay = Relay()

_receiver = {"smtp": SMTPReceiver, "lmtp": LMTPReceiver}[settings.receiver_protocol]
# A worker waits for the server that its message goes to, and a slow one takes its time.
settings.receiver = _receiver(settings.receiver_config["host"], settings.receiver_config["port"], workers=50)

Router.defaults(**settings.router_defaults)
Router.load(settings.handlers)
Router.RELOAD = False
Router.UNDELIVERABLE_QUEUE = queue.Queue("run/undeliverable")
