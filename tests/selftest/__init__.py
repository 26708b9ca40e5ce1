"""The self-test passes where all is well, and finds what is not."""
