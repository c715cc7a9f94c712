"""The native engine's library is found, or a clause says why it is not."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import riverrun
from riverrun.engine import library as module
from riverrun.engine.library import ABI, FILE, Library, find, library

ROOT = Path(__file__).parents[2]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A library of its own: an instruction set that is chosen in it is not chosen in this process's."""
    there = find({})
    if there.path is None:
        pytest.skip(there.reason)
    return Path(shutil.copy(there.path, tmp_path / FILE))


def compiled(there: Library) -> list[str]:
    names: list[str] = []
    while name := there.handle.rr_compiled(len(names)):
        names.append(name.decode())
    return names


def test_it_is_loaded_and_of_this_version(copy: Path) -> None:
    there = find({"RIVERRUN_LIBRARY": str(copy), "RIVERRUN_NATIVE": "1"})
    assert (there.reason, there.remedy, there.broken, there.path) == ("", "", False, copy)
    assert there.handle.rr_version().decode() == riverrun.__version__
    assert there.isa in compiled(there)


def test_every_compiled_instruction_set_is_chosen_or_the_processor_lacks_it(copy: Path) -> None:
    names = compiled(find({"RIVERRUN_LIBRARY": str(copy)}))
    assert names[-1] == "plain"
    serving = []
    for name in names:
        there = find({"RIVERRUN_LIBRARY": str(copy), "RIVERRUN_ISA": name})
        if there.handle is None:
            assert there.broken
            assert there.reason == f"RIVERRUN_ISA is {name!r}, which this processor lacks"
        else:
            assert there.isa == name
            serving.append(name)
    assert serving[-1] == "plain"
    assert find({"RIVERRUN_LIBRARY": str(copy)}).isa == serving[0]  # the widest, where none is named


def test_an_instruction_set_that_the_processor_lacks(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handle = find({"RIVERRUN_LIBRARY": str(copy)}).handle

    class Narrow:
        rr_abi, rr_compiled, rr_isa, rr_version = handle.rr_abi, handle.rr_compiled, handle.rr_isa, handle.rr_version
        rr_flush_subnormals = handle.rr_flush_subnormals

        @staticmethod
        def rr_choose(name: bytes) -> int:
            return 2

    monkeypatch.setattr(module.ctypes, "CDLL", lambda path: Narrow())
    there = find({"RIVERRUN_LIBRARY": str(copy), "RIVERRUN_ISA": "avx512"})
    assert (there.handle, there.broken) == (None, True)
    assert there.reason == "RIVERRUN_ISA is 'avx512', which this processor lacks"


def test_an_unknown_instruction_set(copy: Path) -> None:
    there = find({"RIVERRUN_LIBRARY": str(copy), "RIVERRUN_ISA": "sse9"})
    assert (there.handle, there.broken) == (None, True)
    assert there.reason == "RIVERRUN_ISA is 'sse9', which is not compiled"
    assert re.fullmatch(r"Leave it out, or set one of ([a-z0-9]+, )*plain\.", there.remedy)


def test_turned_off_is_no_fault() -> None:
    there = find({"RIVERRUN_NATIVE": "0", "RIVERRUN_ISA": "sse9", "RIVERRUN_LIBRARY": "nowhere"})
    assert there == Library(None, "the native engine is turned off by RIVERRUN_NATIVE=0")


def test_not_built_is_no_fault_and_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(riverrun, "__path__", [str(tmp_path)])
    there = find({})
    assert (there.handle, there.reason, there.broken) == (None, "the native engine is not built", False)
    assert "make engine" in there.remedy
    monkeypatch.setattr(module, "__file__", str(tmp_path / "lib" / "site-packages" / "riverrun" / "library.py"))
    assert "pip install --force-reinstall" in find({}).remedy


def test_every_folder_of_the_package_is_searched(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(riverrun, "__path__", [str(tmp_path / "without"), str(tmp_path)])
    assert find({}).path == copy


def test_a_library_of_another_version(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ABI", ABI + 1)
    there = find({"RIVERRUN_LIBRARY": str(copy)})
    assert (there.handle, there.broken) == (None, True)
    assert f"its interface is {ABI}, {ABI + 1} is expected" in there.reason


@pytest.mark.parametrize("content", [b"", b"no library\n"])
def test_a_file_that_is_no_library(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    there = find({"RIVERRUN_LIBRARY": str(tmp_path / FILE)})
    assert (there.handle, there.broken) == (None, True)
    assert there.reason.startswith(f"{tmp_path / FILE} cannot be loaded (")


def test_a_library_that_is_not_ours() -> None:
    extension = next(Path(sys.executable).resolve().parents[1].glob("lib/python3*/lib-dynload/*.so"), None)
    if extension is None:
        pytest.skip("no other library at hand")
    assert "cannot be loaded" in find({"RIVERRUN_LIBRARY": str(extension)}).reason


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"RIVERRUN_NATIVE": "no"}, "RIVERRUN_NATIVE is 'no'"),
        ({"RIVERRUN_LIBRARY": "nowhere.so"}, "RIVERRUN_LIBRARY is 'nowhere.so', which is no file"),
    ],
)
def test_a_wrong_variable_is_a_fault(variables: dict[str, str], reason: str) -> None:
    there = find(variables)
    assert (there.handle, there.reason, there.broken) == (None, reason, True)


def test_it_is_looked_for_once_in_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    first = library()
    monkeypatch.setenv("RIVERRUN_NATIVE", "0" if first.handle else "1")
    assert library() is first


def test_looking_for_it_loads_no_heavy_library() -> None:
    program = (
        "import sys; from riverrun.engine.library import library; library()\n"
        "assert not {'torch', 'numpy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_the_two_sides_have_the_same_number_and_one_version() -> None:
    number = re.search(r"constexpr int ABI = (\d+);", (ROOT / "csrc" / "api.cpp").read_text(encoding="utf-8"))
    assert number is not None
    assert int(number[1]) == ABI
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == riverrun.__version__
