"""The frame of a call of the native engine: every word of it that the program, the shapes and a few flags decide.

What a frame lacks are the addresses, and it says where they go. It is made, and the shapes are checked, once for each
form of call; a call then is a copy of some hundred words and some twenty addresses, which is what a small network's
time goes into: at 25 steps, batch 1 and 100 tanh units the library itself takes 14 microseconds.

csrc/call.hpp says what the words mean.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from riverrun.engine.adjoint import adjoint
from riverrun.engine.code import Code, Sizes, backward_code, forward_code
from riverrun.engine.lower import fitted
from riverrun.engine.program import Program
from riverrun.errors import UsageError

MOST = 1 << 16  # threads
HEADER, ARRAY, WEIGHT, STATE, OVERRIDE = 24, 4, 6, 7, 10  # words; of each array, weight, state and override
THREADS, INPUT, ARRIVING, TO_INPUT, LENGTHS = 4, 5, 12, 15, 17  # single words of the header
INITIAL, FINAL, ARRIVING_LAST, TO_INITIAL = 0, 4, 5, 6  # within a state's words
LINE = 64  # bytes; what lies side by side in one allocation begins at such a border
# Multiplications that are worth one more thread: 25 steps of an LSTM with 100 units (2 million) take 61 microseconds on
# one and 74 on two, 8 rows of it with 64 units (13 million) 174 and 130. But a row that goes through much memory once
# or twice is worth all of them, which the library then decides.
GRAIN, MEMORY = 1 << 22, 768 << 10  # the latter in bytes

Key = tuple[str, str | int]  # of an array: its role and its key in code.Array
Tensors = tuple[tuple[int, ...], ...]


class Form(NamedTuple):
    """All of a call but addresses and values, as a key.

    shapes, strides: of the input, the initial states, the weights, the values of the overrides, their masks, and the
    program's masks, in this order, which is also that of the tensors that a frame speaks of by number. No strides:
    none of them has gaps.
    """

    program: Program
    names: tuple[str, ...]  # of the weights
    overridden: tuple[str, ...]  # the state that each override acts on
    masked: tuple[str, ...]  # the keys of the masks
    shapes: Tensors
    strides: Tensors
    dtype: torch.dtype
    reverse: bool

    @property
    def values(self) -> int:
        """The number of the first override's value: so many tensors come before."""
        return 1 + len(self.program.states) + len(self.names)

    def number(self, name: str) -> int:
        """The number of a weight; -1 where it is not given."""
        return 1 + len(self.program.states) + self.names.index(name) if name in self.names else -1


class Result(NamedTuple):
    """A tensor that a call fills: the word for its address, its shape, and whose gradients lie in it.

    tensors: the numbers of the tensors whose gradients lie in it side by side, so many rows each; -1: of none.
    """

    word: int
    shape: tuple[int, ...]
    tensors: tuple[int, ...] = ()
    rows: tuple[int, ...] = ()


class Frame(NamedTuple):
    """The words, and what is to be filled in."""

    code: Code
    words: array[int]
    threads: int  # more of them are not worth it
    addresses: tuple[tuple[int, int], ...]  # a word, and the tensor whose address it is
    copies: tuple[tuple[int, tuple[int, ...]], ...]  # tensors that the library cannot read as they lie, and their shape
    scratch: int  # elements of the one allocation for everything that no caller asked for
    places: tuple[tuple[int, int], ...]  # a word, and how many bytes into that allocation it points
    kept: tuple[tuple[int, int], ...]  # the same for the allocation that the forward pass has left
    where: dict[Key, tuple[int, int]]  # array -> at which element of the allocation it begins, and how wide it is
    zeros: npt.NDArray[np.float64] | None  # in the place of biases that are not there
    states: int  # the first word of the states
    results: tuple[Result, ...]  # written whole
    also: tuple[tuple[int, int], ...]  # a word, and the result whose address it is once more
    added: tuple[Result, ...]  # added to, so they begin as zeros


def check(program: Program, input: Sequence[int], initial: Sequence[Sequence[int]]) -> None:
    """Whether the shapes of input and initial states can be those of a scan; raises UsageError where not."""
    if len(input) != 3:
        raise UsageError(f"input: expected [T, B, I], came {list(input)}.")
    batch = input[1]
    if len(initial) != len(program.states):
        raise UsageError(f"initial: expected a tensor for each of {program.states}, came {len(initial)}.")
    for state, came in zip(program.states, initial, strict=True):
        if len(came) != 2 or came[0] != batch:
            raise UsageError(f"initial: expected [B = {batch}, n] for {state}, came {list(came)}.")


@lru_cache(maxsize=256)
def forward_frame(form: Form, learning: bool, record: tuple[str, ...]) -> Frame:
    """All steps. Results: the outputs [T, B, n], then the final states [B, n] each.

    learning: whether the adjoint will want the values that it reads; record: names whose values are wanted. Both lie
    in the scratch allocation, as `where` says.
    Raises UsageError where the shapes do not fit the program.
    """
    check(form.program, form.shapes[0], form.shapes[1 : 1 + len(form.program.states)])
    program, sizes = form.program, _sizes(form)
    keep = {program.names[name] for name in record}
    if learning:
        keep |= {i for i in adjoint(program).saved if program.nodes[i].op != "state"}
    draft = _Draft(form, forward_code(program, sizes, frozenset(keep), _biases(form), _stepwise(form)))
    steps, batch = form.shapes[0][:2]
    results, last = [], []
    for word, (role, key, columns) in draft.arrays():
        if (role, key) == ("after", 0):
            results.append(Result(word, (steps, batch, columns)))
        elif role == "after" and not learning and not record:  # nothing but the next step reads it
            if steps == 1:
                last.append((word, int(key)))  # the only step leaves the final state
            else:
                draft.words[word + 2] = 2 * batch  # two steps by turns
                draft.scratch_at(word, (role, key), 2 * batch, columns)
        elif role in ("after", "kept"):
            draft.scratch_at(word, (role, key), steps * batch, columns)
    for index in range(len(program.states)):
        results.append(Result(draft.states + STATE * index + FINAL, form.shapes[1 + index]))
    return draft.frame(results=results, also=[(word, 1 + index) for word, index in last])


@lru_cache(maxsize=256)
def backward_frame(form: Form, record: tuple[str, ...], needed: tuple[bool, ...]) -> Frame:
    """The gradient of all steps, after a forward pass with the same form and record.

    needed: of which tensors the gradient is wanted. Tensor number len(form.shapes) is the outputs.
    """
    program, sizes, before = form.program, _sizes(form), forward_frame(form, True, record)
    draft = _Draft(form, backward_code(program, sizes, _biases(form), _stepwise(form), needed[0]))
    steps, batch = form.shapes[0][:2]
    results, added = [], []
    for word, (role, key, columns) in draft.arrays():
        if (role, key) == ("after", 0):
            draft.addresses.append((word, len(form.shapes)))
        elif (role, key) in before.where:
            draft.kept.append((word, before.where[role, key][0] * form.dtype.itemsize))
        elif role == "columns":
            draft.scratch_at(word, (role, key), steps * batch, draft.words[word + 1])
        elif role == "total":
            draft.scratch_at(word, (role, key), batch, columns)
        elif role == "sum":
            names, widths, m = draft.code.sums[int(key)]
            numbers = tuple(form.number(name) for name in names)
            results.append(Result(word, (sum(widths), m) if m else (columns,), numbers, widths))
    if needed[0]:
        results.append(Result(TO_INPUT, form.shapes[0], (0,)))
    for index in range(len(program.states)):
        word, shape = draft.states + STATE * index + TO_INITIAL, form.shapes[1 + index]
        if needed[1 + index]:
            results.append(Result(word, shape, (1 + index,)))
        else:
            draft.scratch_at(word, ("gradient", index), *shape)
    for index in range(len(form.overridden)):
        word, number = draft.overrides + OVERRIDE * index + 7, form.values + index
        shape = form.shapes[number]
        draft.words[word + 1 : word + 3] = _by_step(_strides(shape))
        added.append(Result(word, shape, (number,)))
    return draft.frame(results=results, added=added)


class _Draft:
    """A frame while it is made: the words that both directions share."""

    def __init__(self, form: Form, code: Code) -> None:
        if not form.strides:
            form = form._replace(strides=tuple(map(_strides, form.shapes)))
        self.form, self.code = form, code
        program, count = form.program, len(form.program.states)
        self.states = HEADER + ARRAY * len(code.arrays) + WEIGHT * len(code.weights)
        self.overrides = self.states + STATE * count
        self.words = [0] * (self.overrides + OVERRIDE * len(form.overridden))
        self.addresses: list[tuple[int, int]] = []
        self.copies: dict[int, tuple[int, ...]] = {}
        self.places: list[tuple[int, int]] = []
        self.kept: list[tuple[int, int]] = []
        self.where: dict[Key, tuple[int, int]] = {}
        self.scratch = 0
        self.zeros: npt.NDArray[np.float64] | None = None
        steps, batch, width = form.shapes[0]
        by_step, by_row, _ = self.reads(INPUT, 0)
        self.words[:THREADS] = steps, batch, width, form.reverse
        self.words[INPUT + 1 : ARRIVING] = (
            by_step, by_row, count, len(form.overridden), len(code.arrays), len(code.weights)
        )  # fmt: skip
        self.words[18:21] = code.constants.ctypes.data, code.words.ctypes.data, len(code.words)
        for word, (role, key, columns) in self.arrays():
            self._array(word, role, key, columns)
        for index, (name, transposed) in enumerate(code.weights):
            at, number = HEADER + ARRAY * len(code.arrays) + WEIGHT * index, form.number(name)
            (n, m), (by_row, by_column) = form.shapes[number], form.strides[number]
            self.words[at + 1 : at + 5] = (by_column, by_row, m, n) if transposed else (by_row, by_column, n, m)
            self.addresses.append((at, number))
        for index in range(count):
            at = self.states + STATE * index
            self.words[at + 1 : at + FINAL] = self.reads(at + INITIAL, 1 + index)[0], form.shapes[1 + index][1], index
        for index, state in enumerate(form.overridden):
            at, number = self.overrides + OVERRIDE * index, form.values + index
            mask = number + len(form.overridden)
            self.words[at] = program.states.index(state)
            self.addresses.append((at + 1, mask))
            self.words[at + 2 : at + 4] = form.strides[mask]
            self.words[at + 5 : at + 7] = _by_step(self.reads(at + 4, number))

    def arrays(self) -> list[tuple[int, tuple[str, str | int, int]]]:
        """The first word of each array, and what the array is."""
        return [(HEADER + ARRAY * index, found) for index, found in enumerate(self.code.arrays)]

    def _array(self, word: int, role: str, key: str | int, columns: int) -> None:
        """The words after its address: distance of rows, rows, columns; of what is passed the address too."""
        form = self.form
        steps, batch = form.shapes[0][:2]
        distance, rows = columns, steps * batch
        if role == "vector":
            distance, rows = 0, 1
            number = form.number(str(key))
            if number >= 0:
                self.reads(word, number)
            else:  # a bias that is not there
                if self.zeros is None:
                    self.zeros = np.zeros(max(found.width for found in self.code.arrays))  # long enough for floats
                self.words[word] = self.zeros.ctypes.data
        elif role == "mask":
            number = form.values + 2 * len(form.overridden) + form.masked.index(str(key))
            stepwise = len(form.shapes[number]) == 3
            shape = (steps, batch, columns) if stepwise else (batch, columns)
            if any(came not in (1, n) for came, n in zip(form.shapes[number], shape, strict=True)):
                came = list(form.shapes[number])
                raise UsageError(f"masks: {key}: expected {list(shape)}, came {came}.")
            distance = self.reads(word, number, shape, whole=stepwise)[-2]
            rows = rows if stepwise else batch
        elif role == "columns":
            distance = _apart(columns, form.dtype.itemsize)
        elif role == "total":
            rows = batch
        elif role == "sum":
            of = self.code.sums[int(key)]
            rows = sum(of.widths) if of.m else 1
        self.words[word + 1 : word + ARRAY] = distance, rows, columns

    def reads(
        self, word: int, number: int, shape: tuple[int, ...] | None = None, *, whole: bool = False
    ) -> tuple[int, ...]:
        """The word is this tensor's address; returns the strides by which it is read, of a copy where it is one.

        The library reads rows without gaps; whole: all of it without gaps.
        """
        form = self.form
        shape = shape or form.shapes[number]
        strides, gapless = form.strides[number], _strides(shape)
        self.addresses.append((word, number))
        good = strides == gapless if whole else strides[-1] == 1 or shape[-1] == 1
        if good and shape == form.shapes[number]:
            return strides
        self.copies[number] = tuple(shape)
        return gapless

    def scratch_at(self, word: int, key: Key, rows: int, width: int) -> None:
        """The word points at rows * width elements of the scratch allocation."""
        size = self.form.dtype.itemsize
        self.where[key] = self.scratch, width
        self.places.append((word, self.scratch * size))
        self.scratch += -(-rows * width * size // LINE) * LINE // size

    def frame(
        self, *, results: Sequence[Result], also: Sequence[tuple[int, int]] = (), added: Sequence[Result] = ()
    ) -> Frame:
        """The frame, all of whose words are set or named."""
        steps, batch = self.form.shapes[0][:2]
        first = 1 + len(self.form.program.states)
        products = sum(shape[0] * shape[1] for shape in self.form.shapes[first : self.form.values] if len(shape) == 2)
        large = steps * batch <= 2 and products * self.form.dtype.itemsize >= MEMORY
        return Frame(
            code=self.code,
            words=array("q", self.words),
            threads=MOST if large else 1 + steps * batch * products // GRAIN,
            addresses=tuple(self.addresses),
            copies=tuple(self.copies.items()),
            scratch=self.scratch,
            places=tuple(self.places),
            kept=tuple(self.kept),
            where=self.where,
            zeros=self.zeros,
            states=self.states,
            results=tuple(results),
            also=tuple(also),
            added=tuple(added),
        )


def _sizes(form: Form) -> Sizes:
    """The number behind each symbolic width; raises UsageError where the shapes do not agree."""
    first = 1 + len(form.program.states)
    weights = dict(zip(form.names, form.shapes[first : form.values], strict=True))
    widths = [shape[-1] for shape in form.shapes[1:first]]
    return tuple(fitted(form.program, weights, form.shapes[0][-1], widths).items())


def _biases(form: Form) -> frozenset[str]:
    return frozenset(key for key in form.program.x_biases if f"b.{key}" in form.names)


def _stepwise(form: Form) -> frozenset[str]:
    first = form.values + 2 * len(form.overridden)
    return frozenset(key for key, shape in zip(form.masked, form.shapes[first:], strict=True) if len(shape) == 3)


def _strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Those of a tensor without gaps."""
    found = [1]
    for n in shape[:0:-1]:
        found.insert(0, found[0] * n)
    return tuple(found)


def _apart(width: int, size: int) -> int:
    """The distance of rows that products read: a multiple of a kilobyte would crowd them into a few cache lines."""
    return width + LINE // size if width * size % 1024 == 0 else width


def _by_step(strides: tuple[int, ...]) -> tuple[int, int]:
    """The distances of steps and of rows: a value [B, n] is the same at every step."""
    return (0, strides[0]) if len(strides) == 2 else (strides[0], strides[1])
