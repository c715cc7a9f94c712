"""The pages of the cells are what their cells say."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from riverrun import cells

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


def test_a_page_holds_the_code_the_equations_the_parameters_and_the_paper():
    for name in cells.names():
        page = maker().page(name)
        assert "def step(" in page
        assert page.count("&=") >= len(cells.find(name).states)
        assert "| `W." in page
        assert any(str(year) in page for year in range(1986, 2030))
