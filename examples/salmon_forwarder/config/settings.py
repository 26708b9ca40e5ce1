"""Settings of the app; config/boot.py makes a server of them."""

import os

# The settings of requiretls-plugin. Where REQUIRETLS_CONFIG is not set, /etc/requiretls.toml counts.
requiretls_config = os.environ.get("REQUIRETLS_CONFIG")

_host, _, _port = os.environ.get("SALMON_LISTEN", "127.0.0.1:8823").rpartition(":")
receiver_config = {"host": _host.strip("[]"), "port": int(_port)}

# "smtp" or "lmtp"
receiver_protocol = os.environ.get("SALMON_PROTOCOL", "smtp")

handlers = ["app.handlers.forward"]

router_defaults = {"host": ".+"}
