"""`python -m requiretls_plugin` is `requiretls`."""

from requiretls_plugin.cli import main

main()
