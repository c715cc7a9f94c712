"""Finds and loads the native engine, the shared library that csrc/ becomes; or says in a clause why it is not there.

    RIVERRUN_NATIVE=0       turns it off
    RIVERRUN_ISA=avx2       takes a narrower instruction set than the widest that the processor has
    RIVERRUN_LIBRARY=FILE   takes this file: another build, as `make sanitize` makes one

They are read once, when the engine is first wanted: all numbers of a process come from one library.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import riverrun

PROCESS = os.getpid()
ABI = 5  # csrc/api.cpp has the same number
FILE = "_engine.so"


class Library(NamedTuple):
    """The loaded library; or None, why as a plain clause, and what to do about it as a sentence."""

    handle: ctypes.CDLL | None
    reason: str = ""
    remedy: str = ""
    broken: bool = False  # it is asked for or lies there, and cannot serve
    path: Path | None = None
    isa: str = ""


@cache
def library() -> Library:
    """The library of this process, on torch's threads where they can be had."""
    found = find(os.environ)
    if found.handle is not None and os.getpid() == PROCESS:  # in a forked child libgomp hangs
        lend_threads(found.handle)
    return found


def lend_threads(handle: ctypes.CDLL) -> bool:
    """Let the engine run on the threads of torch's OpenMP runtime; csrc/threads.hpp says why. Whether it has one.

    That is libgomp in torch's wheels for Linux. It is looked up through the torch that is loaded: whoever has tensors
    has one.
    """
    torch = sys.modules.get("torch")
    try:
        folder = Path(str(torch.__file__)).parent / "lib"  # type: ignore[union-attr]
        loaded = ctypes.CDLL(str(folder / "libtorch_cpu.so"), mode=os.RTLD_NOLOAD)
        handle.rr_borrow.argtypes = [ctypes.c_void_p]
        handle.rr_borrow(ctypes.cast(loaded.GOMP_parallel, ctypes.c_void_p))
    except (OSError, AttributeError):
        return False
    return True


def find(environment: Mapping[str, str]) -> Library:
    """Look for the library as `environment` says, load it, and check that it fits this version."""
    wanted = environment.get("RIVERRUN_NATIVE", "")
    if wanted == "0":
        return Library(None, "the native engine is turned off by RIVERRUN_NATIVE=0")
    if wanted not in ("", "1"):
        return Library(None, f"RIVERRUN_NATIVE is {wanted!r}", "Set it to 0 or 1.", broken=True)
    named = environment.get("RIVERRUN_LIBRARY", "")
    # An editable install may spread the package over several folders.
    places = [Path(named)] if named else [Path(folder) / FILE for folder in riverrun.__path__]
    path = next((place for place in places if place.is_file()), None)
    if path is not None:
        return _load(path, environment.get("RIVERRUN_ISA", ""))
    if named:
        return Library(None, f"RIVERRUN_LIBRARY is {named!r}, which is no file", "Leave it out.", broken=True)
    return Library(None, "the native engine is not built", _remedy())


def _remedy() -> str:
    if (Path(__file__).parents[3] / "csrc").is_dir():
        return "Run `make engine`; it needs CMake and a C++ compiler (g++ or clang++)."
    # Without its cache pip would install the wheel again that it made without a compiler.
    again = "pip install --force-reinstall --no-deps --no-cache-dir riverrun"
    return f"Install a C++ compiler (g++ or clang++), then riverrun once more: `{again}`."


def _load(path: Path, isa: str) -> Library:
    try:
        handle = ctypes.CDLL(str(path))
        handle.rr_abi.restype = ctypes.c_int
        abi = handle.rr_abi()
    except (OSError, AttributeError) as error:
        return Library(None, f"{path} cannot be loaded ({error})", _remedy(), broken=True, path=path)
    if abi != ABI:
        reason = f"{path} is of another version of riverrun (its interface is {abi}, {ABI} is expected)"
        return Library(None, reason, _remedy(), broken=True, path=path)
    handle.rr_compiled.argtypes = [ctypes.c_int]
    handle.rr_compiled.restype = handle.rr_isa.restype = handle.rr_version.restype = ctypes.c_char_p
    handle.rr_choose.argtypes = [ctypes.c_char_p]
    handle.rr_flush_subnormals.argtypes = [ctypes.c_int]
    handle.rr_flush_subnormals.restype = None
    refused = handle.rr_choose(isa.encode())
    if not refused:
        return Library(handle, path=path, isa=handle.rr_isa().decode())
    compiled: list[str] = []
    while name := handle.rr_compiled(len(compiled)):
        compiled.append(name.decode())
    reason = f"RIVERRUN_ISA is {isa!r}, " + ("which this processor lacks" if refused == 2 else "which is not compiled")
    return Library(None, reason, f"Leave it out, or set one of {', '.join(compiled)}.", broken=True, path=path)
