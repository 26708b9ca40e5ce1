"""What `make demo` shows: a Salmon app before the laboratory."""
