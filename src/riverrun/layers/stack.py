"""Stack: what a recurrent network consists of, without its weights, and how it runs on them.

A stack is data: a cell, sizes and options. `shapes` names its weights; `run` is a function of weights and input. The
module `Recurrent` keeps such weights under these very names, the drop-ins of `riverrun.nn` make them as views of
torch's flat tensors; both run through here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from riverrun.cells import cell as cells
from riverrun.engine.choose import choose
from riverrun.engine.program import Program
from riverrun.engine.scan import scan
from riverrun.engine.scanned import Override
from riverrun.errors import OptionError, UsageError, nearest
from riverrun.layers.masks import drop_connections, dropout, inverted, loop_masks
from riverrun.layers.options import Depth, Dropouts
from riverrun.layers.projection import WEIGHT, WIDTH, feeds_back
from riverrun.layers.rewritten import rewritten

State = tuple[tuple[Tensor, ...], ...]  # for each layer and direction, a tensor [B, n] for each of the cell's states
DIRECTIONS = {"forward": ("forward",), "reverse": ("reverse",), "both": ("forward", "reverse")}
SKIPS = ("none", "residual", "dense")


class Recurrence(NamedTuple):
    """What a stack gives back."""

    output: Tensor  # [T, B, n], of both directions [T, B, 2 n]; zero at padding
    state: State  # after each sequence's last step (in reverse: after its first)
    records: dict[str, Tensor]  # "layers.0.forward.i" -> [T, B, n], detached, only what was asked for


class Part(NamedTuple):
    """One direction of one layer."""

    layer: int
    direction: str
    input_size: int

    @property
    def prefix(self) -> str:
        return f"layers.{self.layer}.{self.direction}."


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A recurrent network without its weights; `Recurrent` says what each field means. Checked when it is made."""

    cell: type[cells.Cell]
    input_size: int
    hidden_size: int
    num_layers: int = 1
    bias: bool = True
    direction: str = "forward"
    output_size: int | None = None
    projection: int = 0
    skip: str = "none"
    learned_initial: bool = False
    norm: bool = False
    dropouts: Dropouts = field(default_factory=Dropouts)
    depth: Depth = field(default_factory=Depth)
    drawn_by_torch: bool = False  # dropout between layers: the very masks of torch's modules from the same seed

    def __post_init__(self) -> None:
        for name in ("input_size", "hidden_size", "num_layers"):
            value = getattr(self, name)
            if not (isinstance(value, int) and value > 0):
                raise OptionError(name, f"expected a whole number from 1, got {value!r}.")
        for name, known in (("direction", tuple(DIRECTIONS)), ("skip", SKIPS)):
            value = getattr(self, name)
            if value not in known:
                hint = nearest(str(value), known)
                raise OptionError(name, f"expected one of {', '.join(known)}; got {value!r}.{hint}")
        if not (isinstance(self.projection, int) and self.projection >= 0):
            raise OptionError("projection", f"expected a width from 1, or 0 for none; got {self.projection!r}.")
        own_sizes = set(cells.program(self.cell).sizes) - {"H"}
        name = cells.name(self.cell)
        if self.output_size is not None and not own_sizes:
            raise OptionError(
                "output_size", f"cell {name!r} has no output of a width of its own (jordan has). Use projection."
            )
        if self.dropouts.recurrent and self.cell.candidate is None:
            raise OptionError("dropouts.recurrent", f"cell {name!r} names no candidate. Set `candidate` in the cell.")
        if self.dropouts.weight and not set(self.evaluation.u_keys) - {WEIGHT}:
            raise OptionError(
                "dropouts.weight", f"cell {name!r} has no recurrent matrix whose connections could be dropped."
            )
        if self.dropouts.between and self.num_layers == 1:
            raise OptionError("dropouts.between", "acts between layers, and there is only one. Leave out one of them.")
        into = self._width_of_input(0)
        if self.skip != "none" and self.num_layers == 1 and (self.skip == "dense" or self._width != into):
            raise OptionError(
                "skip", f"{self.skip!r} finds nothing to connect in one layer from {into} to {self._width}."
            )
        self._derive()

    def _derive(self) -> None:
        """What follows from the fields, all of it now: torch.compile cannot go through a cached_property (3.11)."""
        for one in (self, self.training, self.evaluation):
            for name, found in vars(type(one)).items():
                if isinstance(found, cached_property):
                    getattr(one, name)

    # ------------------------------------------------------------------ the programs and their weights

    @cached_property
    def sizes(self) -> dict[str, int]:
        """A number for every symbolic width but the input's."""
        own = dict.fromkeys(cells.program(self.cell).sizes, self.output_size or self.hidden_size)
        return {**own, "H": self.hidden_size, WIDTH: self.projection}

    @cached_property
    def _projects_inside(self) -> bool:
        return bool(self.projection) and feeds_back(self._step(Dropouts(), projected=False))

    @property
    def projects_outside(self) -> bool:
        """Whether the projection is of the layer's output alone, since the output state also enters elementwise."""
        return bool(self.projection) and not self._projects_inside

    def _step(self, dropouts: Dropouts, projected: bool) -> Program:
        return rewritten(
            cells.program(self.cell),
            dropouts=dropouts,
            norm=self.norm,
            hidden_depth=self.depth.hidden,
            projected=projected,
        )

    @cached_property
    def training(self) -> Program:
        """One step of one direction of one layer while it trains."""
        return self._step(self.dropouts, self._projects_inside)

    @cached_property
    def evaluation(self) -> Program:
        """The same outside training: the same weights, and of the dropouts only zoneout, by its expectation."""
        return self._step(Dropouts(zoneout=self.dropouts.zoneout), self._projects_inside)

    @cached_property
    def state_sizes(self) -> tuple[int, ...]:
        """The width of each state of each direction of each layer."""
        return tuple(self.sizes[width] for width in self.evaluation.state_widths)

    @property
    def _width(self) -> int:
        one = self.projection or self.state_sizes[0]
        return one * len(DIRECTIONS[self.direction])

    @property
    def width(self) -> int:
        """The width of the output, both directions together."""
        return self._width

    def _width_of_input(self, layer: int) -> int:
        lowest = self.input_size if self.depth.input == 1 else self.hidden_size
        if layer == 0:
            return lowest
        return lowest + layer * self._width if self.skip == "dense" else self._width

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """Every direction of every layer, in the order of the states."""
        return tuple(
            Part(layer, direction, self._width_of_input(layer))
            for layer in range(self.num_layers)
            for direction in DIRECTIONS[self.direction]
        )

    def shapes(self, part: Part) -> dict[str, tuple[int, ...]]:
        """The weights of one part: `W.k` [n, I], `U.k` [n, m], `b.k`, `p.k` [n], `initial.s` [n]."""
        program = self.training
        found = {
            name: shape
            for name, shape in program.resolve({**self.sizes, "I": part.input_size}).items()
            if self.bias or not name.startswith("b.")
        }
        if self.projects_outside:
            found[f"U.{WEIGHT}"] = (self.projection, self.state_sizes[0])
        if self.learned_initial:
            found |= {f"initial.{s}": (n,) for s, n in zip(program.states, self.state_sizes, strict=True)}
        return found

    def own(self, weights: Mapping[str, Tensor], part: Part) -> dict[str, Tensor]:
        """The weights of one part by their local names."""
        return {name: weights[full] for name, full in self._names[part]}

    @cached_property
    def _names(self) -> dict[Part, tuple[tuple[str, str], ...]]:
        """For each part, local and full name of its weights; made once, since every call reads them."""
        return {part: tuple((name, part.prefix + name) for name in self.shapes(part)) for part in self.parts}

    def feedforward_shapes(self) -> dict[str, tuple[int, ...]]:
        """The layers before and after the recurrence: `input.0.V` [H, I], `input.0.a` [H], `output.0.V`, ..."""
        found: dict[str, tuple[int, ...]] = {}
        sizes = [self.input_size] + [self.hidden_size] * (self.depth.input - 1)
        above = [self._width] * self.depth.output
        for place, widths in (("input", sizes), ("output", above)):
            for index, (before, after) in enumerate(pairwise(widths)):
                found[f"{place}.{index}.V"] = (after, before)
                if self.bias:
                    found[f"{place}.{index}.a"] = (after,)
        return found

    def must_stream(self) -> None:
        """Raises UsageError where the stack cannot go one step at a time, since it reads from the end."""
        if self.direction != "forward":
            raise UsageError(f"step: direction={self.direction!r} needs the whole sequence; use direction='forward'")

    # ------------------------------------------------------------------ running

    def initial(self, weights: Mapping[str, Tensor], batch: int, like: Tensor) -> State:
        """The state from which every sequence starts: zeros, or the learned one, [B, n] each."""
        return tuple(
            tuple(
                weights[f"{part.prefix}initial.{state}"].expand(batch, n)
                if self.learned_initial
                else torch.zeros(batch, n, dtype=like.dtype, device=like.device)
                for state, n in zip(self.evaluation.states, self.state_sizes, strict=True)
            )
            for part in self.parts
        )

    def run(
        self,
        weights: Mapping[str, Tensor],
        data: Tensor,
        lengths: Tensor | None,
        state: State | None,
        *,
        training: bool,
        resets: Tensor | None = None,
        forced: Tensor | None = None,
        record: Sequence[str] = (),
        path: str | None = None,
    ) -> Recurrence:
        """The whole stack over data [T, B, I]; `Recurrent.forward` says the rest."""
        if self.is_one_scan and lengths is resets is forced is None and not record:
            return self.run_scan(self.own(weights, self.parts[0]), data, state, path)
        like = next(iter(weights.values()))
        steps, rows = data.shape[0], data.shape[1]
        initial = self.initial(weights, rows, like) if state is None or resets is not None else state
        begin = initial if state is None else state
        program = self.training if training else self.evaluation
        wanted = self._wanted(program, record) if record else {}
        valid = None if lengths is None else _valid(lengths, steps, data.device)
        if valid is not None and self._reads_padding(training):
            data = data.masked_fill(~valid[..., None], 0)  # what lies in the padding may be NaN
        data = feedforward(weights, "input", self.depth.input, data)
        below, after = [data], []  # outputs of all layers so far, [T, B, n] each; final states
        records: dict[str, Tensor] = {}
        more = self.learned_initial or self.projects_outside  # weights that are not the program's
        for layer in range(self.num_layers):
            into = torch.cat(below, -1) if self.skip == "dense" else below[-1]  # [T, B, I of this layer]
            if training and self.dropouts.variational:
                into = into * inverted((rows, into.shape[-1]), self.dropouts.variational, like).to(into.dtype)
            outputs = []
            for place, part in enumerate(self.parts):
                if part.layer != layer:
                    continue
                own = self.own(weights, part)
                if training and self.dropouts.weight:
                    own = drop_connections(own, self.dropouts.weight, spared=f"U.{WEIGHT}")
                done = scan(
                    program,
                    {name: own[name] for name in program.weights if name in own} if more else own,
                    into,
                    begin[place],
                    lengths=lengths,
                    overrides=self._overrides(program, part, initial[place], resets, forced),
                    masks=loop_masks(program, self.sizes, steps, rows, self.dropouts, training, like),
                    record=wanted.get(part.prefix, ()),
                    reverse=part.direction == "reverse",
                    path=path,
                )
                side = done.outputs  # [T, B, n]
                outputs.append(functional.linear(side, own[f"U.{WEIGHT}"]) if self.projects_outside else side)
                after.append(done.states)
                for name, value in done.records.items():
                    records[part.prefix + name] = value
            out = outputs[0] if len(outputs) == 1 else torch.cat(outputs, -1)  # [T, B, n or 2 n]
            if self.skip == "residual" and out.shape[-1] == into.shape[-1]:
                out = out + below[-1]
            if self.dropouts.between and layer + 1 < self.num_layers:
                drop = functional.dropout if self.drawn_by_torch else dropout
                out = drop(out, self.dropouts.between, training)
            below.append(out)
        out = feedforward(weights, "output", self.depth.output, below[-1])
        if valid is not None and self.depth.output > 1:
            out = out.masked_fill(~valid[..., None], 0)  # tanh(a) is not zero
        return Recurrence(out, tuple(after), records)

    @cached_property
    def is_one_scan(self) -> bool:
        """Whether a plain call is one scan and nothing else, so that the rest of `run` would find nothing to do."""
        return (
            len(self.parts) == 1
            and self.dropouts == Dropouts()
            and self.depth.input == self.depth.output == 1
            and self.skip == "none"
            and not self.learned_initial
            and not self.projects_outside
        )

    def run_scan(self, own: Mapping[str, Tensor], data: Tensor, state: State | None, path: str | None) -> Recurrence:
        """`run` of a stack that is one scan, with the part's own weights by their local names."""
        if state is None:
            state = self.initial({}, data.shape[1], next(iter(own.values())))
        done = scan(self.training, own, data, state[0], reverse=self.direction == "reverse", path=path)
        return Recurrence(done.outputs, (done.states,), {})

    def explain(self, weights: Mapping[str, Tensor], training: bool) -> dict[str, str]:
        """For each part, the path that a plain call takes on these weights now, and why: "torch: torch's ..."."""
        program, like = (self.training if training else self.evaluation), next(iter(weights.values()))
        kind = like.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else like.dtype
        learning = torch.is_grad_enabled()
        choice = choose(program, device=kind, dtype=dtype, masked=bool(program.mask_keys), learning=learning)
        return {part.prefix.rstrip("."): f"{choice.path}: {choice.reason}" for part in self.parts}

    def _reads_padding(self, training: bool) -> bool:
        """Whether anything but `scan`, which never does, would read the input's padding."""
        return self.depth.input > 1 or self.skip != "none" or bool(training and self.dropouts.variational)

    def _overrides(
        self,
        program: Program,
        part: Part,
        initial: tuple[Tensor, ...],
        resets: Tensor | None,
        forced: Tensor | None,
    ) -> list[Override]:
        """Resets, and in the last layer the forced output, as overrides at the border between step t-1 and step t."""
        found = []
        if forced is not None and part.layer == self.num_layers - 1:
            if part.direction == "forward":  # the state before step t is what was wanted of step t-1
                value = torch.cat([forced[:1], forced[:-1]])
            else:  # the state before step t-1, in reverse, is what was wanted of step t
                value = forced
            mask = torch.ones(forced.shape[:2], dtype=torch.bool, device=forced.device)
            mask[:1] = False
            found.append(Override(program.states[0], mask, value))
        if resets is not None:  # after the forced ones: where both are, a sequence starts
            found += [Override(s, resets, value) for s, value in zip(program.states, initial, strict=True)]
        return found

    def _wanted(self, program: Program, record: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Prefix of a part -> the names to record there. "i" asks all parts, "layers.0.forward.i" one."""
        found: dict[str, list[str]] = {}
        for name in record:
            matches = [p for p in self.parts if "layers." not in name or name.startswith(p.prefix)]
            local = name.rpartition(".")[2]
            if not matches or local not in program.names:
                known = [*program.names, *(p.prefix + n for p in self.parts for n in program.names)]
                raise UsageError(
                    f"record: {name!r} is no value of cell {cells.name(self.cell)!r} in this stack; "
                    f"expected {', '.join(program.names)}, also behind layers.N.DIRECTION.{nearest(name, known)}"
                )
            for part in matches:
                found.setdefault(part.prefix, []).append(local)
        return {prefix: tuple(dict.fromkeys(names)) for prefix, names in found.items()}


def _valid(lengths: Tensor, steps: int, device: torch.device) -> Tensor:
    return torch.arange(steps, device=device)[:, None] < lengths.to(device)[None, :]  # [T, B]


def feedforward(weights: Mapping[str, Tensor], place: str, depth: int, v: Tensor) -> Tensor:
    """The depth - 1 layers tanh(V v + a) of that place, "input" or "output"."""
    for index in range(depth - 1):
        v = torch.tanh(functional.linear(v, weights[f"{place}.{index}.V"], weights.get(f"{place}.{index}.a")))
    return v
