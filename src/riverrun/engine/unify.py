"""Is one Program another one, up to the names of its keys and states and the order of its sums and products?

>>> from riverrun.engine.trace import tanh, trace
>>> pattern = trace(lambda x, U, h: tanh(x.a + U.a @ h), states=("h",))
>>> unify(pattern, trace(lambda x, U, s: tanh(U.q @ s + x.k), states=("s",)))
{('state', 'h'): 's', ('x', 'a'): 'k', ('matmul', 'a'): 'q'}
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from riverrun.engine.program import LEAVES, Program

Names = dict[tuple[str, str], str]  # (operation, the pattern's key) -> the program's key
ASSOCIATIVE = ("add", "mul")
SYMMETRIC = ("maximum", "minimum")


def unify(pattern: Program, program: Program) -> Names | None:
    """The names that turn the pattern into the program, or None where the two are different recurrences."""
    if len(pattern.states) != len(program.states):
        return None
    names: Names = {("state", p): q for p, q in zip(pattern.states, program.states, strict=True)}
    found = next(_all(pattern, program, pattern.outputs, program.outputs, names), None)
    if found is None or any(_left_over(program, op, found) for op in ("x", "matmul", "bias", "vector", "mask")):
        return None
    return found


def _left_over(program: Program, op: str, names: Names) -> bool:
    used = {q for (kind, _), q in names.items() if kind == op}
    return any(key not in used for key in program.keys(op))


def _all(a: Program, b: Program, left: Sequence[int], right: Sequence[int], names: Names) -> Iterator[Names]:
    """Each of `left` with the one at the same place in `right`."""
    if not left:
        yield names
        return
    for found in _one(a, b, left[0], right[0], names):
        yield from _all(a, b, left[1:], right[1:], found)


def _any_order(a: Program, b: Program, left: Sequence[int], right: Sequence[int], names: Names) -> Iterator[Names]:
    """Each of `left` with one of `right`, in some order."""
    if not left:
        yield names
        return
    for place, candidate in enumerate(right):
        for found in _one(a, b, left[0], candidate, names):
            yield from _any_order(a, b, left[1:], [*right[:place], *right[place + 1 :]], found)


def _one(a: Program, b: Program, i: int, j: int, names: Names) -> Iterator[Names]:
    left, right = a.nodes[i], b.nodes[j]
    if left.op != right.op or left.value != right.value:
        return
    if left.op in LEAVES or left.op == "matmul":
        if left.op != "const":
            known = names.get((left.op, left.key))
            taken = {q for (kind, _), q in names.items() if kind == left.op}
            if known is None and right.key not in taken:
                names = {**names, (left.op, left.key): right.key}
            elif known != right.key:
                return
        yield from _all(a, b, left.inputs, right.inputs, names)
    elif left.op in ASSOCIATIVE or left.op in SYMMETRIC:
        mine, other = _operands(a, i, left.op), _operands(b, j, left.op)
        if len(mine) == len(other):
            yield from _any_order(a, b, mine, other, names)
    else:
        yield from _all(a, b, left.inputs, right.inputs, names)


def _operands(program: Program, index: int, op: str) -> list[int]:
    """The terms of a sum (a + b) + c, or the factors of a product, as one list."""
    if program.nodes[index].op != op:
        return [index]
    if op in SYMMETRIC:
        return list(program.nodes[index].inputs)
    return [part for i in program.nodes[index].inputs for part in _operands(program, i, op)]
