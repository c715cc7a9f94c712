"""Writes docs/cells/NAME.md, a page for each cell, from the cell itself, and docs/operations.md, what a cell may use.

Run `python docs/make_cells.py`. What a cell's page says is the class's docstring, its step as code, its equations as
LaTeX printed from the trace, its parameters with their shapes, what can be recorded, and which kernel runs it; the list
of operations is that of the engine. A test compares the pages with this.
"""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from pathlib import Path

from riverrun import cells
from riverrun.cells.cell import Cell, Initialise, keys, program
from riverrun.engine import kernels, parallel
from riverrun.engine import program as engine_program
from riverrun.engine.latex import latex
from riverrun.engine.program import Program
from riverrun.engine.symbols import WRITABLE

FOLDER = Path(__file__).parent / "cells"
OPERATIONS = Path(__file__).parent / "operations.md"
WORDS = {
    "lstm": "torch's LSTM kernel (oneDNN, cuDNN)",
    "gru": "torch's GRU kernel (oneDNN, cuDNN)",
    "rnn_tanh": "torch's RNN kernel (oneDNN, cuDNN)",
    "rnn_relu": "torch's RNN kernel (oneDNN, cuDNN)",
}


def page(name: str) -> str:
    """The page of one cell."""
    cell = cells.find(name)
    traced = program(cell)
    title, *rest = inspect.cleandoc(cell.__doc__ or "").split("\n\n")
    parts = [
        f"# {name}",
        _joined(title),
        *map(_joined, rest),
        f"    riverrun train DATA --cell {name}\n    riverrun.nn.Recurrent({cell.__name__}, 64, 256)"
        f"    # from riverrun.cells import {cell.__name__}",
        "## As code",
        f"```python\n{_step(cell)}\n```",
        "## As equations",
        "$$\\begin{aligned}\n" + " \\\\\n".join(_aligned(line) for line in latex(traced)) + "\n\\end{aligned}$$",
        "## Parameters",
        _parameters(traced),
        "## What there is to know",
        "\n".join(f"- {line}" for line in _facts(cell, traced)),
    ]
    return "\n\n".join(parts) + "\n"


def _joined(paragraph: str) -> str:
    return textwrap.fill(" ".join(paragraph.split()), 110, break_long_words=False, break_on_hyphens=False)


def _step(cell: type[Cell]) -> str:
    return textwrap.dedent(inspect.getsource(cell.step)).rstrip()


def _aligned(line: str) -> str:
    return line.replace(" = ", " &= ", 1)


def _parameters(traced: Program) -> str:
    roles = {"W": "input", "U": "recurrent", "b": "bias", "p": "vector"}
    lines = ["| parameter | shape | |", "|---|---|---|"]
    for name, shape in traced.weights.items():
        lines.append(f"| `{name}` | [{', '.join(shape)}] | {roles[name[0]]} |")
    widths = {"I": "the input's width", "H": "the hidden size", "Y": "the output's size"}
    used = dict.fromkeys(symbol for shape in traced.weights.values() for symbol in shape)
    return "\n".join([*lines, "", f"{', '.join(f'{s}: {widths[s]}' for s in sorted(used))}."])


def _facts(cell: type[Cell], traced: Program) -> list[str]:
    stages = 1 + max((group.stage for group in traced.groups), default=-1)
    count = ("no product", "one product", f"{len(traced.groups)} products")[min(len(traced.groups), 2)]
    after = f", {stages} of them one after the other" if stages > 1 else ""
    facts = [
        f"States: {', '.join(f'`{s}`' for s in cell.states)}; the output is `{cell.states[0]}`.",
        f"Gates: {', '.join(f'`{k}`' for k in keys(cell))}. Recordable: {', '.join(f'`{n}`' for n in traced.names)}.",
        f"A step has {count} inside the loop{after}.",
        f"Runs on {_kernel(traced)}.",
    ]
    if cell.candidate:
        facts.append(f"Recurrent dropout multiplies `{cell.candidate}`.")
    return [*facts, *_starts(cell.initialise)]


def _kernel(traced: Program) -> str:
    found = kernels.match(traced)
    if found:
        return WORDS[found.kernel]
    if parallel.match(traced):
        return "the parallel scan: all steps at once"
    return "the fused loop, with the gradient derived from these equations"


def _starts(hints: Initialise) -> list[str]:
    lines = []
    if hints.forget:
        lines.append(f"The bias of {_listed(hints.forget)} starts at the layer's `forget_bias`, 1.")
    chrono = [f"{_listed(hints.forget + hints.keep)} at log u"] if hints.forget + hints.keep else []
    chrono += [f"{_listed(hints.write)} at -log u"] if hints.write else []
    if chrono:
        lines.append(f"Chrono initialisation starts the bias of {' and that of '.join(chrono)}, u from U(1, T - 1).")
    if hints.recurrent:
        lines.append(f"The recurrent matrices start as {hints.recurrent}.")
    return lines


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


OPERATORS = {
    "add": ("a + b", "sum"),
    "sub": ("a - b", "difference"),
    "mul": ("a * b", "product, place by place"),
    "div": ("a / b", "quotient"),
    "neg": ("-a", "negative"),
    "abs": ("abs(a)", "absolute value"),
}
ALSO = {"square": "a ** 2", "sqrt": "a ** 0.5"}
LEAVES = """\
| in a step | what it is | width |
|---|---|---|
| `x.k` | W.k x_t + b.k, computed for all steps at once, before the loop | H, or what it meets |
| `h`, `c`, ... | a state before the step, by its name in `states` | H, or as `sizes` says |
| `U.k @ v` | a matrix times a value: v U.k^T on a batch [B, n] | H, or what it meets |
| `b.k` | a bias inside the loop; zero in a layer without biases | what it meets |
| `p.k` | any other vector of parameters, such as a peephole | what it meets |
| `2`, `0.5` | a number | any |"""
REFUSED = """\
| not | but |
|---|---|
| `v @ U.k`, `torch.matmul` | `U.k @ v` |
| `if v > 0:`, a comparison | `relu`, `maximum`, `minimum`: every step does the same |
| `v[0]`, `len(v)`, `for part in v` | a key for each part: `x.a`, `x.b` |
| `v ** 3` | `v * v * v`; for v > 0 `exp(3 * log(v))` |
| `numpy.tanh(v)`, `v.tanh()` | `tanh(v)` (torch's function of the same name is understood, too) |
| a tensor from outside | `p.k`, a parameter |
| the raw input x | `x.k`, a projection of it |"""

OPERATIONS_PAGE = """\
# What a step may compute

A cell's `step` is traced: it is called once, with symbols, and becomes a list of operations. From that list come its
gradient, its fast paths, its recorded values and its equations. The list is closed: what is not on this page is an
error that names the line and what to write instead.

## What there is to compute with

{leaves}

## Functions and operators

Place by place, on values of one width; import the functions from `riverrun.cells`.

{table}

Where `maximum` or `minimum` meets a tie, each side gets half of the gradient; `relu` and `abs` have the slope 0 at 0.

## What is refused, and what to write

{refused}

## As the engine has it

The same list by the names of the operations, as `print(riverrun.cells.cell.program(MyCell))` shows them, with what only
the options of a layer (rowwise, mask) and the program of a gradient add. From `engine/program.py`:

```text
{listed}
```
"""


def operations() -> str:
    """The page of what a step may compute."""
    rows = []
    for op in WRITABLE:
        if op in OPERATORS:
            written, meaning = OPERATORS[op]
        else:
            function = getattr(cells, op)
            written = f"{op}({', '.join('ab'[: len(inspect.signature(function).parameters)])})"
            meaning = re.sub(r"\bv\b", "a", (inspect.getdoc(function) or "").rstrip("."))
        also = f", `{ALSO[op]}`" if op in ALSO else ""
        rows.append(f"| `{written}`{also} | {meaning[0].lower()}{meaning[1:]} |")
    listed = (inspect.getdoc(engine_program) or "").partition("\n\n")[2]  # without its title
    missing = set(engine_program.OPERATIONS) - set(re.findall(r"\w+", listed))
    assert not missing, f"engine/program.py does not list {missing} in its docstring"
    table = "\n".join(["| in a step | what it is |", "|---|---|", *rows])
    return OPERATIONS_PAGE.format(leaves=LEAVES, table=table, refused=REFUSED, listed=listed)


def pages() -> dict[str, str]:
    """File name to text, of every page and of the list of them."""
    found = {f"{name}.md": page(name) for name in cells.names()}
    lines = [f"- [{name}]({name}.md): {_first(cells.find(name))}" for name in cells.names()]
    found["README.md"] = "\n".join(["# Cells", "", *lines]) + "\n"
    return found


def _first(cell: type[Cell]) -> str:
    """The head of the first sentence, up to its colon or bracket."""
    head = _joined(inspect.cleandoc(cell.__doc__ or "")).replace("\n", " ")
    return head.split(":")[0].split(" (")[0] + "."


def main() -> int:
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    OPERATIONS.write_text(operations(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
