"""What breaks around a running server, really broken: `make test` in small, `make faults` at full size."""
