"""The native engine with each instruction set that this processor has."""

from __future__ import annotations

import shutil

import pytest

from riverrun.engine import frame, native, writer
from riverrun.engine.library import FILE, find, library


def instruction_sets() -> list[str]:
    """Those that are compiled, the widest first."""
    there, names = library(), []
    while there.handle is not None and (name := there.handle.rr_compiled(len(names))):
        names.append(name.decode())
    return names


@pytest.fixture(params=instruction_sets(), scope="module")
def engine(request, tmp_path_factory):
    """The engine with this instruction set, and as many threads as torch has however small the work is."""
    name = request.param
    copy = shutil.copy(library().path, tmp_path_factory.mktemp(name) / FILE)
    there = find({"RIVERRUN_LIBRARY": str(copy), "RIVERRUN_ISA": name})
    if there.handle is None:
        pytest.skip(there.reason)

    def forget():
        for cached in (native._entry, native.steps_entry, writer._entry, frame.forward_frame, frame.backward_frame):
            cached.cache_clear()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "library", lambda: there)
        patch.setattr(writer, "library", lambda: there)
        patch.setattr(frame, "GRAIN", 1)
        forget()
        yield name
    forget()
