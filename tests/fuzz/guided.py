"""`python -m tests.fuzz.guided TARGET [OPTION…] FOLDER…`: one target, guided by the code that inputs reach.

Options and folders are libFuzzer's. Needs atheris (the extra `fuzz`).
"""

from __future__ import annotations

import logging
import sys
import warnings

import atheris

from tests.fuzz import catalogue

# What the code of ours calls counts, too: a new way through it is a new kind of input.
INSTRUMENTED = ["requiretls_plugin", "requiretls_aiosmtpd", "aiosmtpd", "dns", "h11", "tomllib"]


def main(name: str, *arguments: str) -> None:
    """Never returns: libFuzzer ends the process."""
    logging.disable()
    warnings.simplefilter("ignore")
    with atheris.instrument_imports(include=INSTRUMENTED):
        target = catalogue.load(name)
    atheris.Setup([sys.argv[0], *arguments], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
