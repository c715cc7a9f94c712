"""The folder is the list of cells."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from riverrun import cells
from riverrun.cells.cell import Cell
from riverrun.errors import UsageError

NAMES = (
    "cifg", "elman", "elman-logistic", "elman-relu", "fgr", "gru", "gru-after", "jordan", "lstm", "mingru", "minlstm",
    "mlstm", "mut1", "mut2", "mut3", "nfg", "niaf", "nig", "noaf", "nog", "peephole",
)  # fmt: skip


def test_every_file_is_a_cell_under_its_own_name():
    assert cells.names() == NAMES
    for name in NAMES:
        assert issubclass(cells.find(name), Cell)
    assert len({cells.find(name) for name in NAMES}) == len(NAMES)


def test_a_cell_is_found_by_its_class_name_too():
    assert cells.GRUAfter is cells.find("gru-after")
    with pytest.raises(AttributeError, match="Nothing"):
        cells.Nothing  # noqa: B018


def test_a_wrong_name_gets_the_nearest():
    with pytest.raises(UsageError, match=r"came 'lstn'\. Did you mean 'lstm'\?"):
        cells.find("lstn")


def test_a_file_that_is_added_is_a_cell_and_no_other_is_touched(tmp_path, monkeypatch):
    (tmp_path / "leaky_unit.py").write_text(
        "from riverrun.cells.cell import Cell, tanh\n\n\nclass Leaky(Cell):\n    states = ('h',)\n\n"
        "    def step(x, U, h):\n        return tanh(x.h + U.h @ h)\n"
    )
    monkeypatch.setattr(cells, "__path__", [*cells.__path__, str(tmp_path)])
    assert "leaky-unit" in cells.names()
    assert cells.find("leaky-unit").__name__ == "Leaky"
    sys.modules.pop("riverrun.cells.leaky_unit")


def test_a_file_with_no_cell_or_with_two_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "empty_file.py").write_text("")
    monkeypatch.setattr(cells, "__path__", [*cells.__path__, str(tmp_path)])
    with pytest.raises(UsageError, match="expected one Cell in the file; came 0"):
        cells.find("empty-file")
    sys.modules.pop("riverrun.cells.empty_file")


def test_listing_the_names_needs_no_torch():
    code = "import sys, riverrun.cells as c; c.names(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_cell_says_its_equation_and_its_paper():
    for name in NAMES:
        words = cells.find(name).__doc__ or ""
        assert any(year in words for year in map(str, range(1986, 2030))), name
        assert Path(sys.modules[cells.find(name).__module__].__file__ or "").stem.replace("_", "-") == name
