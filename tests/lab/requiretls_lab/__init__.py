"""The laboratory: real DNSSEC, a throwaway PKI and mail servers that lie on cue, on loopback addresses."""
