"""Finds and loads the native engine, the shared library that csrc/ becomes; or says in a clause why it is not there.

    RIVERRUN_NATIVE=0       turns it off
    RIVERRUN_ISA=avx2       takes a narrower instruction set than the widest that the processor has
    RIVERRUN_LIBRARY=FILE   takes this file: another build, as `make sanitize` makes one

They are read once, when the engine is first wanted: all numbers of a process come from one library.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import riverrun

ABI = 1  # csrc/api.cpp has the same number
FILE = "_engine.so"


class Library(NamedTuple):
    """The loaded library, or None and the reason as a plain clause."""

    handle: ctypes.CDLL | None
    reason: str
    path: Path | None = None
    isa: str = ""


@cache
def library() -> Library:
    """The library of this process."""
    return find(os.environ)


def find(environment: Mapping[str, str]) -> Library:
    """Look for the library as `environment` says, load it, and check that it fits this version."""
    wanted = environment.get("RIVERRUN_NATIVE", "")
    if wanted == "0":
        return Library(None, "the native engine is turned off by RIVERRUN_NATIVE=0")
    if wanted not in ("", "1"):
        return Library(None, f"RIVERRUN_NATIVE is {wanted!r}, expected 0 or 1")
    named = environment.get("RIVERRUN_LIBRARY", "")
    # An editable install may spread the package over several folders.
    places = [Path(named)] if named else [Path(folder) / FILE for folder in riverrun.__path__]
    path = next((place for place in places if place.is_file()), None)
    if path is not None:
        return _load(path, environment.get("RIVERRUN_ISA", ""))
    if named:
        return Library(None, f"RIVERRUN_LIBRARY names {named}, which is no file")
    return Library(None, "the native engine is not built")


def remedy() -> str:
    """What to do where the engine is not built, as a sentence."""
    if (Path(__file__).parents[3] / "csrc").is_dir():
        return "Run `make engine`: it needs CMake and a C++ compiler (g++ or clang++)."
    # pip keeps a wheel that it has built, this one without the engine.
    return (
        "Install a C++ compiler (g++ or clang++), then "
        "`pip install --force-reinstall --no-deps --no-cache-dir riverrun`."
    )


def _load(path: Path, isa: str) -> Library:
    try:
        handle = ctypes.CDLL(str(path))
        handle.rr_abi.restype = ctypes.c_int
        abi = handle.rr_abi()
    except (OSError, AttributeError) as error:
        return Library(None, f"{path} cannot be loaded ({error})", path)
    if abi != ABI:
        why = f"{path} is of another version of riverrun (its interface is {abi}, {ABI} is expected)"
        return Library(None, why, path)
    handle.rr_compiled.argtypes = [ctypes.c_int]
    handle.rr_compiled.restype = handle.rr_isa.restype = handle.rr_version.restype = ctypes.c_char_p
    handle.rr_choose.argtypes = [ctypes.c_char_p]
    refused = handle.rr_choose(isa.encode())
    if not refused:
        return Library(handle, "", path, handle.rr_isa().decode())
    compiled: list[str] = []
    while name := handle.rr_compiled(len(compiled)):
        compiled.append(name.decode())
    why = "which this processor lacks" if refused == 2 else f"expected one of {', '.join(compiled)}"
    return Library(None, f"RIVERRUN_ISA is {isa!r}, {why}", path)
