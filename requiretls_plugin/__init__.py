"""REQUIRETLS and TLS-Required: No (RFC 8689) for Python mail servers."""

__version__ = "0.1.0"
