"""A step as segments: the code that the native engine interprets.

The engine works on a tile, some rows by 64 columns, that stays in the first cache: the products of these columns land
in it, and every operation that needs nothing but them follows at once. Only a product or a row's mean needs a whole
row of something; there a segment ends. So a step is a list of segments, each

    row operations      mean, rstd: over whole rows that earlier segments have left; one value for a row, so that a
                        tile of it stands for all columns
    products            [rows, m] @ [m, n] for these columns, from zero or from a row, as x.k + U.k @ v starts from x.k
    instructions        elementwise, over the tile

and every value has a slot that says where its rows lie. The same lowering serves a program and its adjoint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from riverrun.engine.program import Node

# The numbers are the interface to csrc/: operations as in interpret.hpp, kinds as in scan.hpp.
OPERATIONS = {
    name: number
    for number, name in enumerate(
        (
            "copy", "add", "sub", "mul", "div", "maximum", "minimum", "neg", "sigmoid", "tanh", "relu", "exp", "log",
            "softplus", "square", "sqrt", "abs", "sign", "positive", "sigmoid_grad", "tanh_grad", "fma",
        )
    )
} | {"mean": 100, "rstd": 101}  # fmt: skip
TILE, LANDING, ROW, SERIES, BATCH, VECTOR, CONST, STATE, X, CARRY_IN, CARRY_OUT, TOTAL = range(12)


class Slot(NamedTuple):
    """Where a value lies. `number` counts within its kind; `column` is where its columns start in a row."""

    kind: int
    number: int
    width: int
    column: int = 0


class Product(NamedTuple):
    """out = start + sum of operand @ weight over the terms, each going on where the one before stopped."""

    terms: tuple[tuple[int, int], ...]  # slot of the operand, number of the weight
    start: int  # a slot, or -1
    out: int


class Segment(NamedTuple):
    """What is done for one block of columns after another; the row operations before all of them."""

    width: int
    row_operations: tuple[tuple[int, int, int], ...]  # operation, input, output
    products: tuple[Product, ...]
    instructions: tuple[tuple[int, int, int, int, int], ...]  # operation, a, b, c, output


class Segments(NamedTuple):
    """A step, with the memory that it needs for itself."""

    slots: tuple[Slot, ...]
    segments: tuple[Segment, ...]
    tiles: int
    landings: int
    rows: tuple[int, ...]  # the width of each row that crosses segments
    constants: tuple[float, ...]


def segmented(
    nodes: Sequence[Node],
    width: Callable[[Node], int],
    leaves: Mapping[int, Slot],
    places: Mapping[int, Sequence[Slot]],
    terms: Callable[[int], Iterable[tuple[int, int]]],
) -> Segments:
    """The segments of a list of nodes.

    width: columns of a node; leaves: where each leaf lies that is no constant; places: where a node has to be written;
    terms: of a product, its operands (nodes) and the numbers of their weights. Every node is needed by something in
    `places`.
    """
    return _Lowering(nodes, width, leaves, places, terms).run()


class _Lowering:
    def __init__(
        self,
        nodes: Sequence[Node],
        width: Callable[[Node], int],
        leaves: Mapping[int, Slot],
        places: Mapping[int, Sequence[Slot]],
        terms: Callable[[int], Iterable[tuple[int, int]]],
    ) -> None:
        self.nodes, self.leaves, self.places = nodes, leaves, places
        self.terms = {i: tuple(terms(i)) for i, n in enumerate(nodes) if n.op in ("matmul", "matmul_t")}
        self.inputs = [tuple(o for o, _ in self.terms[i]) if i in self.terms else n.inputs for i, n in enumerate(nodes)]
        self.readers: dict[int, list[int]] = {i: [] for i in range(len(nodes))}
        for index, read in enumerate(self.inputs):
            for i in read:
                self.readers[i].append(index)
        self.alone = [len(self.readers[i]) == 1 and i not in places for i in range(len(nodes))]
        self.level = [0] * len(nodes)
        self.lands: dict[
            int, tuple[int, int]
        ] = {}  # the add in which a product lands -> the product, what it starts from
        self._levels()
        self.width = [width(n) for n in nodes]
        self.slots: dict[Slot, int] = {}
        self.rows: list[int] = []
        self.constants: list[float] = []
        self.slot_of: dict[int, int] = {}

    def _ready(self, index: int) -> int:
        """The first level at which the whole row of a value is there."""
        return self.level[index] + 1 if self.nodes[index].inputs else 0

    def _levels(self) -> None:
        for index, node in enumerate(self.nodes):
            whole = index in self.terms or node.op in ("mean", "rstd")
            before = [self._ready(i) if whole else self.level[i] for i in self.inputs[index]]
            self.level[index] = max(before, default=0)
            if node.op == "add":
                for product, start in (node.inputs, node.inputs[::-1]):
                    fits = product in self.terms and self.alone[product] and self.nodes[start].op != "const"
                    if fits and product != start and self._ready(start) <= self.level[product]:
                        self.lands[index] = (product, start)
                        break

    def run(self) -> Segments:
        """Level by level, width by width."""
        landed = {product for product, _ in self.lands.values()}
        found: dict[tuple[int, int], list[int]] = {}
        for index, node in enumerate(self.nodes):
            if index not in landed and (node.inputs or index in self.places):
                found.setdefault((self.level[index], self.width[index]), []).append(index)
        self.segment_of = {index: key for key, members in found.items() for index in members}
        self.crossing = {
            i
            for index in range(len(self.nodes))
            for i in self.inputs[index]
            if index in self.terms or self.nodes[index].op in ("mean", "rstd") or self._apart(i, index)
        }
        self.crossing |= {start for _, start in self.lands.values()}
        self.alike = self._alike()
        self.landings = max(sum(i in self.terms or i in self.lands for i in members) for members in found.values())
        segments, tiles, landings = [], 0, self.landings + len(self.alike)
        for (_, width), members in sorted(found.items(), key=lambda item: item[0][0]):
            segment, more_tiles, more_landings = self._segment(width, members)
            segments.append(segment)
            tiles, landings = max(tiles, more_tiles), max(landings, more_landings)
        return Segments(
            tuple(self.slots), tuple(segments), tiles, landings, tuple(self.rows), tuple(self.constants)
        )  # fmt: skip

    def _alike(self) -> dict[int, int]:
        """The row operations whose result only tiles read, numbered."""
        read_whole = {i for index in self.terms for i in self.inputs[index]} | {
            start for _, start in self.lands.values()
        }
        read_whole |= {self.inputs[i][0] for i, node in enumerate(self.nodes) if node.op in ("mean", "rstd")}
        read_whole |= set(self.places)
        found = [i for i, node in enumerate(self.nodes) if node.op in ("mean", "rstd") and i not in read_whole]
        return {index: number for number, index in enumerate(found)}

    def _apart(self, read: int, reader: int) -> bool:
        return self.segment_of.get(read) != self.segment_of.get(reader)

    def _put(self, slot: Slot) -> int:
        return self.slots.setdefault(slot, len(self.slots))

    def _slot(self, index: int) -> int:
        """The slot that a node is read from."""
        node = self.nodes[index]
        if node.inputs:
            return self.slot_of[index]
        if node.op == "const":
            if node.value not in self.constants:
                self.constants.append(node.value)
            return self._put(Slot(CONST, self.constants.index(node.value), 0))
        return self._put(self.leaves[index])

    def _home(self, index: int) -> Slot | None:
        """Where a computed node has to lie; None: in a tile."""
        if self.places.get(index):
            return self.places[index][0]
        if index in self.crossing:
            self.rows.append(self.width[index])
            return Slot(ROW, len(self.rows) - 1, self.width[index])
        return None

    def _segment(self, width: int, members: Sequence[int]) -> tuple[Segment, int, int]:
        row_operations, products = [], []
        code: list[tuple[str, tuple[int, ...], int]] = []  # operation, nodes, node; or a copy to a slot: ~slot
        landings = 0
        folded = self._folded(members)
        for index in members:
            node = self.nodes[index]
            if not node.inputs:
                code += [("copy", (index,), ~self._put(place)) for place in self.places[index]]
                continue
            home = None if index in self.alike else self._home(index)
            if node.op in ("mean", "rstd"):
                if index in self.alike:
                    home = Slot(LANDING, self.landings + self.alike[index], width)
                elif home is None:
                    self.rows.append(width)
                    home = Slot(ROW, len(self.rows) - 1, width)
                self.slot_of[index] = self._put(home)
                row_operations.append((OPERATIONS[node.op], self._slot(node.inputs[0]), self.slot_of[index]))
            elif index in self.terms or index in self.lands:
                product, start = self.lands.get(index, (index, -1))
                if home is None:
                    home = Slot(LANDING, landings, width)
                    landings += 1
                self.slot_of[index] = self._put(home)
                parts = tuple((self._slot(operand), weight) for operand, weight in self.terms[product])
                products.append(Product(parts, self._slot(start) if start >= 0 else -1, self.slot_of[index]))
            elif index in folded.values():
                continue
            else:
                if home is not None:
                    self.slot_of[index] = self._put(home)
                if index in folded:
                    other = next((i for i in node.inputs if i != folded[index]), folded[index])
                    code.append(("fma", (*self.nodes[folded[index]].inputs, other), index))
                else:
                    code.append((node.op, node.inputs, index))
            code += [("copy", (index,), ~self._put(place)) for place in self.places.get(index, ())[1:]]
        instructions, tiles = self._tiled(code, width)
        return Segment(width, tuple(row_operations), tuple(products), instructions), tiles, landings

    def _folded(self, members: Sequence[int]) -> dict[int, int]:
        """add -> the product of two factors that becomes one operation with it: a * b + c."""
        found: dict[int, int] = {}
        for index in members:
            node = self.nodes[index]
            if node.op != "add" or index in self.lands or node.inputs[0] == node.inputs[1]:
                continue
            for factor in node.inputs[::-1]:
                if self.nodes[factor].op == "mul" and self.alone[factor] and factor not in self.crossing:
                    found[index] = factor
                    break
        return found

    def _tiled(
        self, code: list[tuple[str, tuple[int, ...], int]], width: int
    ) -> tuple[tuple[tuple[int, int, int, int, int], ...], int]:
        """The instructions, with a tile for every value that nothing outside reads; tiles are used again."""
        last = {i: place for place, (_, nodes, _) in enumerate(code) for i in nodes}
        tile: dict[int, int] = {}
        free: list[int] = []
        tiles = 0
        instructions = []
        for place, (op, nodes, out) in enumerate(code):
            read = [self._put(Slot(TILE, tile[i], width)) if i in tile else self._slot(i) for i in nodes]
            free += [tile.pop(i) for i in dict.fromkeys(nodes) if i in tile and last[i] == place]
            if out < 0:
                target = ~out
            elif out in self.slot_of:
                target = self.slot_of[out]
            else:
                if not free:
                    free.append(tiles)
                    tiles += 1
                tile[out] = free.pop()
                target = self._put(Slot(TILE, tile[out], width))
            a, b, c = (*read, -1, -1)[:3]
            instructions.append((OPERATIONS[op], a, b, c, target))
        return tuple(instructions), tiles
