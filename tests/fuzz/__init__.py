"""Fuzzing: a target for each place where strangers' bytes arrive, and seeds (docs/testing.md)."""
