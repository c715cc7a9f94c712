"""The pages of the cells are what their cells say."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from riverrun import cells
from riverrun.engine.symbols import WRITABLE
from riverrun.engine.trace import trace
from riverrun.errors import CellError

DOCS = Path(__file__).parents[2] / "docs"


def maker():
    spec = importlib.util.spec_from_file_location("make_cells", DOCS / "make_cells.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_page_is_what_make_cells_writes():
    pages = maker().pages()
    assert set(pages) == {path.name for path in (DOCS / "cells").iterdir()}
    for name, text in pages.items():
        assert (DOCS / "cells" / name).read_text(encoding="utf-8") == text, f"run: python docs/make_cells.py ({name})"


def test_the_list_of_operations_is_what_make_cells_writes():
    text = (DOCS / "operations.md").read_text(encoding="utf-8")
    assert text == maker().operations(), "run: python docs/make_cells.py"


def test_every_line_of_the_list_of_operations_can_be_written_so_and_is_that_operation():
    lines = maker().operations().partition("## Functions and operators")[2].partition("## What is refused")[0]
    written = [
        code for line in lines.splitlines() if line.startswith("| `") for code in line.split("|")[1].split(", `")
    ]
    found = []
    for code in written:
        known = {name: getattr(cells, name) for name in WRITABLE if hasattr(cells, name)}
        value = eval(f"lambda a, b: {code.strip().strip('`')}", known)
        program = trace(_step(value), states=("h",))
        found.append(program.nodes[program.outputs[0]].op)
    assert set(found) == set(WRITABLE)
    assert len(found) == len(WRITABLE) + 2  # a ** 2, a ** 0.5


def _step(value):
    return lambda x, h: value(x.a, x.b)


def test_what_the_list_of_operations_refuses_is_refused():
    for body in ("h @ U.k", "x.a if x.a > 0 else h", "h[0]", "h ** 3", "h.tanh()"):
        with pytest.raises(CellError):
            trace(eval(f"lambda x, U, h: {body}"), states=("h",))


def test_a_page_holds_the_code_the_equations_the_parameters_and_the_paper():
    for name in cells.names():
        page = maker().page(name)
        assert "def step(" in page
        assert page.count("&=") >= len(cells.find(name).states)
        assert "| `W." in page
        assert any(str(year) in page for year in range(1986, 2030))
