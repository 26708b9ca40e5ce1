"""Make what tests of the app need; no server."""

import logging.config

from requiretls_salmon import Relay
from salmon.routing import Router

from . import settings

logging.config.fileConfig("config/test_logging.conf")

settings.relay = Relay()
settings.receiver = None

Router.defaults(**settings.router_defaults)
Router.load(settings.handlers)
Router.RELOAD = True
Router.LOG_EXCEPTIONS = False
