"""Lookup: a recurrence over tokens. Of a token the first product, W.k e + b.k with e its vector, is a row of a table.

Frozen, as a `Stream` is, and for any number of steps: an encoder reads whole sequences so, a decoder takes one step.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from riverrun.engine import native, writer
from riverrun.engine.frame import ARRAY, HEADER, INITIAL, INPUT, LENGTHS, STATE, THREADS, WEIGHT, Frame, forward_frame
from riverrun.engine.program import Program
from riverrun.engine.scan import scan
from riverrun.errors import UsageError

MOST = 64  # forms of call that are remembered
ROW, TOKENS = 7, 16  # words of the header: how far the table's rows lie apart; which of them are read


class Lookup:
    """A program whose input is one of V tokens, with its weights as they are now.

    Args:
        program: one step.
        weights: as for `scan`.
        vectors: [V, I], what the program's input is for each token.
        masks: [1, n] for each mask of the program, such as zoneout's probability in evaluation.

    On the CPU the native engine does it, where it is there; elsewhere `scan`.

    >>> from riverrun.engine.trace import tanh, trace
    >>> program = trace(lambda x, U, h: tanh(x.h + U.h @ h), states=("h",))
    >>> weights = {"W.h": torch.ones(2, 3), "U.h": torch.eye(2), "b.h": torch.zeros(2)}
    >>> lookup = Lookup(program, weights, torch.tensor([[0.0, 0.0, 0.0], [100.0, 0.0, 0.0]]))
    >>> lookup.run(torch.tensor([[0, 1]]), (torch.zeros(2, 2),))[0]
    tensor([[[0., 0.],
             [1., 1.]]])
    """

    def __init__(
        self,
        program: Program,
        weights: Mapping[str, Tensor],
        vectors: Tensor,
        masks: Mapping[str, Tensor] | None = None,
    ) -> None:
        self._program, self._vectors = program, vectors.detach().clone()
        self._weights = {name: weight.detach().clone().contiguous() for name, weight in weights.items()}
        self._masks = {name: mask.detach().clone() for name, mask in (masks or {}).items()}
        self._forms: dict[tuple[int, int, bool], _Form] = {}
        self._table: Tensor | None = None
        tensors = (self._vectors, *self._weights.values(), *self._masks.values())
        if all(one.is_cpu and one.dtype is vectors.dtype for one in tensors) and writer.serves(vectors.dtype):
            self._panels = {name: writer.packed(one) for name, one in self._weights.items() if one.dim() == 2}
            self._table = self._projected()

    def _projected(self) -> Tensor:
        """[V, sum n]: every W.k e + b.k, in the order of the code's columns."""
        found = [
            writer.linear(self._vectors, self._panels[f"W.{key}"], self._weights.get(f"b.{key}"))
            if key in self._program.x_biases
            else writer.linear(self._vectors, self._panels[f"W.{key}"], None)
            for key in self._program.x_keys
        ]
        return torch.cat(found, 1) if found else self._vectors.new_zeros(len(self._vectors), 1)

    @torch.no_grad()
    def run(
        self, tokens: Tensor, initial: Sequence[Tensor], lengths: Tensor | None = None, *, reverse: bool = False
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """All steps of a batch of sequences, as `scan` does them: the outputs [T, B, n] and the final states [B, n].

        tokens: [T, B] int64, from 0 to V - 1 also in the padding.  initial: [B, n] each.  lengths: [B], T where None.
        Raises UsageError for shapes that do not fit and ids that there are not.
        """
        table = self._table
        whole = all(state.is_cpu and state.dtype is self._vectors.dtype for state in initial) and 0 not in tokens.shape
        if table is None or not tokens.is_cpu or not whole or torch.is_autocast_enabled("cpu"):
            masks = {name: mask.expand(tokens.shape[1], -1) for name, mask in self._masks.items()}  # [B, n]
            done = scan(
                self._program, self._weights, self._vectors[tokens], initial,
                lengths=lengths, masks=masks, reverse=reverse,
            )  # fmt: skip
            return done.outputs, done.states
        low, high = tokens.aminmax()
        if tokens.dtype is not torch.int64 or int(low) < 0 or int(high) >= len(table):
            raise UsageError(
                f"tokens: expected int64 from 0 to {len(table) - 1}, came {tokens.dtype}, {low} to {high}."
            )
        steps, rows = tokens.shape
        tokens, initial = tokens.contiguous(), [state.contiguous() for state in initial]
        form = self._forms.get((steps, rows, reverse)) or self._form(steps, rows, reverse, initial)
        words = form.words[:]
        words[TOKENS] = tokens.data_ptr()
        for word, shape, state in zip(form.initial, form.shapes, initial, strict=True):
            if state.shape != shape:
                raise UsageError(f"initial: expected {list(shape)}, came {list(state.shape)}.")
            words[word] = state.data_ptr()
        made = []
        for result in form.frame.results:
            made.append(table.new_empty(result.shape))
            words[result.word] = made[-1].data_ptr()
        for word, number in form.frame.also:
            words[word] = made[number].data_ptr()
        if form.frame.scratch:
            scratch = table.new_empty(form.frame.scratch)
            for word, offset in form.frame.places:
                words[word] = scratch.data_ptr() + offset
        if lengths is not None:
            lengths = lengths.to(device="cpu", dtype=torch.int64).contiguous()
            if lengths.shape != (rows,) or int(lengths.min()) < 0 or int(lengths.max()) > steps:
                raise UsageError(f"lengths: expected {rows} from 0 to T = {steps}, came {lengths.tolist()}.")
            words[LENGTHS] = lengths.data_ptr()
        words[THREADS] = min(form.frame.threads, torch.get_num_threads())
        native.call(words, table.dtype, False)
        return made[0], tuple(made[1:])

    def _form(self, steps: int, rows: int, reverse: bool, initial: Sequence[Tensor]) -> _Form:
        """The call for so many steps and rows, without what changes from one to the next."""
        like, table = self._vectors, self._table
        assert table is not None
        tensors = (like.new_empty(steps, rows, like.shape[1]), *initial, *self._weights.values(), *self._masks.values())
        form = native.form_of(self._program, self._weights, tensors, reverse, (), tuple(self._masks))
        frame = forward_frame(form, False, ())
        words = frame.words[:]
        held = native.point(frame, words, tensors)
        words[INPUT], words[ROW] = table.data_ptr(), table.stride(0)
        for index, (name, _) in enumerate(frame.code.weights):
            at = HEADER + ARRAY * len(frame.code.arrays) + WEIGHT * index
            words[at], words[at + WEIGHT - 1] = self._panels[name].panels.data_ptr(), 1
        places = tuple(frame.states + STATE * index + INITIAL for index in range(len(initial)))
        if len(self._forms) >= MOST:
            self._forms.clear()
        made = _Form(words, places, tuple(state.shape for state in initial), frame, held)
        self._forms[steps, rows, reverse] = made
        return made


class _Form(NamedTuple):
    """A call of the library, whose words lack the addresses of tokens, lengths, states and results.

    initial, shapes: for each state the word for its address before the first step, and its shape.
    held: what the words point to beside the lookup's own tensors.
    """

    words: array[int]
    initial: tuple[int, ...]
    shapes: tuple[torch.Size, ...]
    frame: Frame
    held: list[Tensor]
