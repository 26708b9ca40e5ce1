"""Subcommands of `mailman`; Mailman finds them here."""
