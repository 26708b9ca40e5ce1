"""What `requiretls selftest` tries: named claims of the RFCs, each with a world to try it in."""
