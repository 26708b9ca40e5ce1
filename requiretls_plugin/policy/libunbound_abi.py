"""The part of libunbound's C interface that is used (unbound.h, libunbound(3))."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_char_p, c_int, c_void_p

from requiretls_plugin.errors import SettingsError

# The name that holds while the binary interface does.
LIBRARY = "libunbound.so.8"


class Result(ctypes.Structure):
    """struct ub_result, to the last field of version 1.17."""

    _fields_ = (
        ("qname", c_char_p),
        ("qtype", c_int),
        ("qclass", c_int),
        ("data", POINTER(c_void_p)),
        ("len", POINTER(c_int)),
        ("canonname", c_char_p),
        ("rcode", c_int),
        ("answer_packet", c_void_p),
        ("answer_len", c_int),
        ("havedata", c_int),
        ("nxdomain", c_int),
        ("secure", c_int),
        ("bogus", c_int),
        ("why_bogus", c_char_p),
        ("was_ratelimited", c_int),
        ("ttl", c_int),
    )


Callback = ctypes.CFUNCTYPE(None, c_void_p, c_int, POINTER(Result))

_SIGNATURES: dict[str, tuple[object, list[object]]] = {
    "ub_ctx_create": (c_void_p, []),
    "ub_ctx_delete": (None, [c_void_p]),
    "ub_ctx_config": (c_int, [c_void_p, c_char_p]),
    "ub_ctx_set_option": (c_int, [c_void_p, c_char_p, c_char_p]),
    "ub_ctx_set_fwd": (c_int, [c_void_p, c_char_p]),
    "ub_ctx_add_ta_file": (c_int, [c_void_p, c_char_p]),
    "ub_ctx_async": (c_int, [c_void_p, c_int]),
    "ub_fd": (c_int, [c_void_p]),
    "ub_process": (c_int, [c_void_p]),
    "ub_resolve_async": (
        c_int,
        [c_void_p, c_char_p, c_int, c_int, c_void_p, Callback, POINTER(c_int)],
    ),
    "ub_cancel": (c_int, [c_void_p, c_int]),
    "ub_resolve_free": (None, [POINTER(Result)]),
    "ub_strerror": (c_char_p, [c_int]),
}


def load_library(name: str = LIBRARY) -> ctypes.CDLL:
    """Return the library with its functions declared; raises SettingsError if it is not installed."""
    try:
        library = ctypes.CDLL(name)
    except OSError:
        problem = f"{name} is not installed; install it (Debian: libunbound8) or use the backend stub"
        raise SettingsError("dns.backend", [problem]) from None
    for function, (result, arguments) in _SIGNATURES.items():
        declared = getattr(library, function)
        declared.restype = result
        declared.argtypes = arguments
    return library
