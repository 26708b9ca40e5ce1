"""Public keys in forms that libraries read but do not write, both P-256 and made by OpenSSL."""

from __future__ import annotations

COMPRESSED_KEY = bytes.fromhex(
    "3039301306072a8648ce3d020106082a8648ce3d03010703220003687359c7b891a925c26fec24d88957c080f7faf15c"
    "d8c0020f0b1920579310c9"
)
"""A compressed point."""

EXPLICIT_KEY = bytes.fromhex(
    "3082014b3082010306072a8648ce3d02013081f7020101302c06072a8648ce3d0101022100ffffffff00000001000000"
    "000000000000000000ffffffffffffffffffffffff305b0420ffffffff00000001000000000000000000000000ffffff"
    "fffffffffffffffffc04205ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b031500c49d"
    "360886e704936a6678e1139d26b7819f7e900441046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a139"
    "45d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5022100ffffffff00000000"
    "ffffffffffffffffbce6faada7179e84f3b9cac2fc63255102010103420004687359c7b891a925c26fec24d88957c080"
    "f7faf15cd8c0020f0b1920579310c97c617da4675c7eab6c6ea8666e9eefc3fcfb7ab929e51b1b8cd17c2a49e30343"
)
"""Curve parameters spelt out (RFC 5480 forbids it, OpenSSL takes it)."""
