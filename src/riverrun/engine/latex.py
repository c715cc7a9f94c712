"""A Program as LaTeX: one equation for each named value, in the papers' letters.

>>> from riverrun.engine.trace import tanh, trace
>>> print(*latex(trace(lambda x, U, h: tanh(x.h + U.h @ h), states=("h",))))
h_t = \\tanh\\left(W_{h} x_t + b_{h} + U_{h} h_{t-1}\\right)
"""

from __future__ import annotations

from riverrun.engine.program import Program

SUM, PRODUCT, ATOM = 0, 1, 2  # how tightly a piece of LaTeX holds together
FUNCTIONS = {
    "sigmoid": "\\sigma",
    "tanh": "\\tanh",
    "exp": "\\exp",
    "log": "\\log",
    "maximum": "\\max",
    "minimum": "\\min",
}


def latex(program: Program) -> list[str]:
    """The equations of one step, in the order in which they are computed; the new states carry the index t."""
    letters = {index: f"{_letter(name)}_t" for name, index in program.named}
    letters |= {index: f"{_letter(s)}_t" for s, index in zip(program.states, program.outputs, strict=True)}
    writer = _Writer(program, letters)
    lines = [f"{letters[index]} = {writer.definition(index)}" for index in sorted(letters) if writer.says(index)]
    doubled = [
        f"{_letter(state)}_t = {letters[index] if writer.says(index) else writer.definition(index)}"
        for state, index in zip(program.states, program.outputs, strict=True)
        if letters[index] != f"{_letter(state)}_t" or not writer.says(index)
    ]
    return [*lines, *doubled]


class _Writer:
    def __init__(self, program: Program, letters: dict[int, str]) -> None:
        self.program, self.letters = program, letters

    def says(self, index: int) -> bool:
        """Is the named value more than another name for a state?"""
        return self.program.nodes[index].op != "state"

    def definition(self, index: int) -> str:
        """The right-hand side of a named value."""
        return self._write(index)[0]

    def _read(self, index: int, tightness: int) -> str:
        """A value inside another expression: its letter where it has one, in brackets where it holds less tightly."""
        if index in self.letters and self.says(index):
            return self.letters[index]
        text, holds = self._write(index)
        return text if holds >= tightness else f"\\left({text}\\right)"

    def _write(self, index: int) -> tuple[str, int]:
        node = self.program.nodes[index]
        key = _letter(node.key) if node.key else ""
        read = self._read
        if node.op == "x":
            biased = node.key in self.program.x_biases
            return f"W_{{{key}}} x_t" + (f" + b_{{{key}}}" if biased else ""), SUM if biased else PRODUCT
        if node.op in _LEAVES:
            return _LEAVES[node.op].format(key=key), ATOM
        if node.op == "const":
            return f"{node.value:g}", ATOM
        if node.op in ("matmul", "matmul_t"):
            turned = "^\\top" if node.op == "matmul_t" else ""
            return f"U_{{{key}}}{turned} {read(node.inputs[0], ATOM)}", PRODUCT
        if node.op == "add":
            left, right = (read(i, SUM) for i in node.inputs)
            return (f"{left} - {right[1:]}" if right.startswith("-") else f"{left} + {right}"), SUM
        if node.op == "sub":
            return f"{read(node.inputs[0], SUM)} - {read(node.inputs[1], PRODUCT)}", SUM
        if node.op == "neg":
            return f"-{read(node.inputs[0], PRODUCT)}", SUM
        if node.op == "mul":
            return " \\odot ".join(read(i, PRODUCT if self._chains(i) else ATOM) for i in node.inputs), PRODUCT
        if node.op == "div":
            return f"\\frac{{{read(node.inputs[0], SUM)}}}{{{read(node.inputs[1], SUM)}}}", ATOM
        if node.op in ("square", "sqrt", "abs", "positive"):
            inner = read(node.inputs[0], ATOM if node.op == "square" else SUM)
            return _AROUND[node.op].format(inner), ATOM
        inner = ", ".join(read(i, SUM) for i in node.inputs)
        function = FUNCTIONS.get(node.op, f"\\operatorname{{{node.op}}}".replace("_", "\\_"))
        return f"{function}\\left({inner}\\right)", ATOM

    def _chains(self, index: int) -> bool:
        """a * b * c needs no brackets."""
        return self.program.nodes[index].op == "mul"


_LEAVES = {
    "state": "{key}_{{t-1}}",
    "bias": "b_{{{key}}}",
    "vector": "p_{{{key}}}",
    "mask": "m_{{{key}}}",
    "saved": "{key}_t",
    "gradient": "\\partial {key}_t",
}
_AROUND = {
    "square": "{0}^2",
    "sqrt": "\\sqrt{{{0}}}",
    "abs": "\\left|{0}\\right|",
    "positive": "\\left[{0} > 0\\right]",
}
GREEK = ("alpha", "beta", "gamma", "delta", "epsilon", "eta", "theta", "kappa", "mu", "nu", "rho", "tau", "phi", "psi")


def _letter(name: str) -> str:
    """A name in LaTeX: one letter as it is, a Greek one by its command, a word upright; `if_` is `if`."""
    name = name.rstrip("_") or name
    if name in GREEK:
        return f"\\{name}"
    if len(name) <= 2 and name.isalpha():
        return name
    return "\\mathit{" + name.replace("_", "\\_") + "}"
