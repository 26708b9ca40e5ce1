"""The laboratory does what it says."""
