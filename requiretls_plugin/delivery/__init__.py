"""Outgoing mail: the dialogue, the connections, the outcomes."""
