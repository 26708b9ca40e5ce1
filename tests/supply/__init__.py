"""What is shipped and what it stands on; `python -m tests.supply` looks at all of it."""
