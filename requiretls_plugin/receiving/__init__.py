"""Incoming mail: what commands say, how a message is read, what a server answers. No sessions here."""
