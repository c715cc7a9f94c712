"""What a cell's step computes with while it is traced: symbols, and clear refusals of what a Program cannot say."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from torch import Tensor

from riverrun.engine.program import BINARY, UNARY, Node
from riverrun.errors import CellError

WRITABLE = tuple(op for op in (*UNARY, *BINARY) if op not in ("sign", "positive"))
SYNONYMS = {
    "subtract": "sub", "multiply": "mul", "divide": "div", "true_divide": "div", "negative": "neg", "absolute": "abs",
    "logistic": "sigmoid", "expit": "sigmoid",
}  # fmt: skip
ENGINE = str(Path(__file__).parent)


class Recorder:
    """Collects the nodes of one trace, each distinct one once, and what is known of their widths."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.known: dict[Node, int] = {}
        self.width: list[int] = []  # node -> width variable
        self.parent: list[int] = []  # width variable -> the one it equals
        self.symbol: dict[int, tuple[str, str]] = {}  # root variable -> (symbol, who says so)
        self.keyed: dict[tuple[str, str], int] = {}  # ("U in", key) and the like -> variable

    def leaf(self, op: str, key: str) -> Symbol:
        node = Node(op, (), key, where=here())
        if node not in self.known:
            self.keyed[op, key] = self._variable()
        return self._add(node, self.keyed[op, key])

    def product(self, key: str, operand: Symbol) -> Symbol:
        for side in ("U out", "U in"):
            if (side, key) not in self.keyed:
                self.keyed[side, key] = self._variable()
        self._join(self.keyed["U in", key], self.width[operand.index], f"U.{key}", here())
        return self._add(Node("matmul", (operand.index,), key, where=here()), self.keyed["U out", key])

    def operation(self, op: str, values: Iterable[Any]) -> Symbol:
        where = here()
        symbols = [self.symbol_of(value, op, where) for value in values]
        wide = [s.index for s in symbols if self.nodes[s.index].op != "const"]
        for index in wide[1:]:
            self.same_width(wide[0], index, op, where)
        width = self.width[wide[0]] if wide else self._variable()
        return self._add(Node(op, tuple(s.index for s in symbols), where=where), width)

    def symbol_of(self, value: Any, op: str, where: str) -> Symbol:
        if isinstance(value, Symbol):
            if value.recorder is not self:
                raise CellError(f"{where}: {op} reads a symbol of another step. Use this step's own arguments.")
            return value
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return self._add(Node("const", value=float(value), where=where), -1)
        if isinstance(value, Tensor):
            raise CellError(f"{where}: {op} reads a tensor; a step knows none. Write p.k for a vector of its own.")
        if isinstance(value, Matrix):
            raise CellError(f"{where}: {op} reads the matrix U.{value.key}. Only U.{value.key} @ v means something.")
        if isinstance(value, (Leaves, Matrices)):
            raise CellError(f"{where}: {op} reads {value._letter} itself. Write {value._letter}.k, with a key k.")
        raise CellError(f"{where}: {op}: expected symbols and numbers, came {type(value).__name__}.")

    def _add(self, node: Node, width: int) -> Symbol:
        if node not in self.known:
            self.known[node] = len(self.nodes)
            self.nodes.append(node)
            self.width.append(width)
        return Symbol(self, self.known[node])

    def _variable(self) -> int:
        self.parent.append(len(self.parent))
        return len(self.parent) - 1

    def _root(self, variable: int) -> int:
        while self.parent[variable] != variable:
            variable = self.parent[variable]
        return variable

    def _join(self, a: int, b: int, what: str, where: str) -> None:
        a, b = self._root(a), self._root(b)
        if a == b:
            return
        if a in self.symbol and b in self.symbol and self.symbol[a][0] != self.symbol[b][0]:
            (left, because), (right, why) = self.symbol[a], self.symbol[b]
            raise CellError(
                f"{where}: {what} meets width {left} (of {because}) and width {right} (of {why}). "
                "Put a product U.k @ v between them, or give them one width in `sizes`."
            )
        self.parent[b] = a
        if b in self.symbol:
            self.symbol.setdefault(a, self.symbol[b])

    def same_width(self, a: int, b: int, what: str, where: str) -> None:
        if self.nodes[b].op == "const":
            raise CellError(f"{where}: {what} is a number. Return a value that depends on x or on a state.")
        self._join(self.width[a], self.width[b], what, where)

    def name_width(self, index: int, symbol: str, who: str) -> None:
        self.symbol.setdefault(self._root(self.width[index]), (symbol, who))

    def finished(self, sizes: Mapping[str, str]) -> list[Node]:
        """The nodes with their widths: what no state settles, `sizes` does by key, and else it is H."""
        for (side, key), variable in self.keyed.items():
            if key in sizes and side != "U in":
                self.symbol.setdefault(self._root(variable), (sizes[key], key))
        widths = [("" if w < 0 else self.symbol.get(self._root(w), ("H", ""))[0]) for w in self.width]
        return [Node(n.op, n.inputs, n.key, n.value, w, n.where) for n, w in zip(self.nodes, widths, strict=True)]


class _Untraceable:
    """Everything that Python, torch or numpy might do with a symbol and a Program cannot say."""

    def _refuse(self, what: str, instead: str) -> NoReturn:
        raise CellError(f"{here()}: {what} cannot be traced. {instead}")

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = getattr(func, "__name__", str(func)).strip("_")
        if name in ("matmul", "mm", "linear", "rmatmul", "bmm"):
            raise CellError(f"{here()}: torch's {name} cannot be traced. Write U.k @ v, which means v U.k^T.")
        name = SYNONYMS.get(name, name)
        if name == "rsub":
            name, args = "sub", (args[1], args[0], *args[2:])
        recorder = next((a.recorder for a in args if isinstance(a, Symbol)), None)
        arity = 1 if name in UNARY else 2
        if recorder is None or name not in WRITABLE or len(args) != arity or kwargs:
            raise CellError(f"{here()}: torch's {name} cannot be traced. {_may_use()}")
        return recorder.operation(name, args)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        name = SYNONYMS.get(ufunc.__name__, ufunc.__name__)
        recorder = next((a.recorder for a in inputs if isinstance(a, Symbol)), None)
        plain = all(isinstance(a, (Symbol, float, int)) for a in inputs)
        if recorder is not None and method == "__call__" and name in BINARY and plain and not kwargs:
            return recorder.operation(name, inputs)
        return self._refuse(f"numpy's {ufunc.__name__}", _may_use())

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        self._refuse("a numpy array of a symbol", _may_use())

    def __bool__(self) -> NoReturn:
        self._refuse("a branch on a value", "Every step does the same; use maximum, minimum or relu.")

    def _compare(self, other: object) -> NoReturn:
        self._refuse("a comparison of values", "Every step does the same; use maximum, minimum or relu.")

    __lt__ = __le__ = __gt__ = __ge__ = __eq__ = __ne__ = _compare
    __hash__ = object.__hash__

    def _number(self, *args: object) -> NoReturn:
        self._refuse("a plain number made of a symbol", "Its value is known only when the cell runs. " + _may_use())

    __float__ = __int__ = __index__ = __complex__ = __round__ = _number

    def _part(self, *args: object) -> NoReturn:
        self._refuse("indexing, len() or iterating over a symbol", "Give each part a key of its own: x.a, x.b.")

    __getitem__ = __len__ = __iter__ = _part


class Symbol(_Untraceable):
    """A value of the step while it is traced."""

    def __init__(self, recorder: Recorder, index: int) -> None:
        self.recorder = recorder
        self.index = index

    def __add__(self, other: Any) -> Symbol:
        return self.recorder.operation("add", (self, other))

    def __radd__(self, other: Any) -> Symbol:
        return self.recorder.operation("add", (other, self))

    def __sub__(self, other: Any) -> Symbol:
        return self.recorder.operation("sub", (self, other))

    def __rsub__(self, other: Any) -> Symbol:
        return self.recorder.operation("sub", (other, self))

    def __mul__(self, other: Any) -> Symbol:
        return self.recorder.operation("mul", (self, other))

    def __rmul__(self, other: Any) -> Symbol:
        return self.recorder.operation("mul", (other, self))

    def __truediv__(self, other: Any) -> Symbol:
        return self.recorder.operation("div", (self, other))

    def __rtruediv__(self, other: Any) -> Symbol:
        return self.recorder.operation("div", (other, self))

    def __neg__(self) -> Symbol:
        return self.recorder.operation("neg", (self,))

    def __abs__(self) -> Symbol:
        return self.recorder.operation("abs", (self,))

    def __pow__(self, power: Any) -> Symbol:
        if power in (2, 0.5):
            return self.recorder.operation("square" if power == 2 else "sqrt", (self,))
        return self._refuse(
            f"a power of {power}", "Only ** 2 and ** 0.5 are; exp(k * log(v)) is another power of v > 0."
        )

    def __matmul__(self, other: Any) -> NoReturn:
        key = other.key if isinstance(other, Matrix) else "k"
        self._refuse(f"v @ U.{key}", f"Write U.{key} @ v, which means v U.{key}^T.")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self._refuse(f"the attribute .{name} of a value", f"Write {name}(v). {_may_use()}")


class Matrix(_Untraceable):
    """U.k while it is traced: nothing but the left of `@`."""

    def __init__(self, recorder: Recorder, key: str) -> None:
        self.recorder = recorder
        self.key = key

    def __matmul__(self, other: Any) -> Symbol:
        if not isinstance(other, Symbol) or other.recorder.nodes[other.index].op == "const":
            what = f"U.{self.key} @ {type(other).__name__}"
            self._refuse(what, f"Write U.{self.key} @ v, with v a value of the step.")
        return self.recorder.product(self.key, other)

    def _arithmetic(self, *args: object) -> NoReturn:
        self._refuse(f"arithmetic on the matrix U.{self.key}", f"Only U.{self.key} @ v means something.")

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __neg__ = __rmatmul__ = _arithmetic

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self._refuse(f"U.{self.key}.{name}", f"Only U.{self.key} @ v means something.")


class Leaves(_Untraceable):
    """x, b or p while it is traced: x.k is a leaf."""

    _recorder: Recorder
    _op: str
    _letter: str

    def __init__(self, recorder: Recorder, op: str, letter: str) -> None:
        self.__dict__.update(_recorder=recorder, _op=op, _letter=letter)

    def __getattr__(self, key: str) -> Symbol:
        if key.startswith("__"):
            raise AttributeError(key)
        return self._recorder.leaf(self._op, key)

    def _arithmetic(self, *args: object) -> NoReturn:
        self._refuse(f"{self._letter} itself", f"Write {self._letter}.k, with a key k: a value of its own.")

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __neg__ = _arithmetic
    __matmul__ = __rmatmul__ = _arithmetic


class Matrices(_Untraceable):
    """U while it is traced: U.k is a matrix."""

    _letter = "U"
    _recorder: Recorder

    def __init__(self, recorder: Recorder) -> None:
        self.__dict__.update(_recorder=recorder)

    def __getattr__(self, key: str) -> Matrix:
        if key.startswith("__"):
            raise AttributeError(key)
        return Matrix(self._recorder, key)

    def __matmul__(self, other: Any) -> NoReturn:
        self._refuse("U itself", "Write U.k @ v, with a key k for each matrix.")


def _may_use() -> str:
    functions = [op for op in WRITABLE if op not in ("add", "sub", "mul", "div", "neg")]
    return f"A step may use + - * / and {', '.join(functions)}."


def here() -> str:
    """file:line of the step's own code: the first frame that is neither the engine's nor torch's."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith(ENGINE) and "/torch/" not in name:
            return f"{name}:{frame.f_lineno}"
        frame = frame.f_back
    return "?"
