"""Put our function or class in the place of one of Mailman's, wherever it was imported already."""

from __future__ import annotations

import sys


def replace_everywhere(original: object, name: str, replacement: object) -> None:
    """Let *name* mean *replacement* in each of Mailman's modules where it means *original* now.

    Modules imported later take it from the module that defines it, which is among them.
    """
    modules = [module for key, module in sys.modules.items() if key.partition(".")[0] == "mailman"]
    for module in modules:
        if vars(module).get(name) is original:
            setattr(module, name, replacement)
