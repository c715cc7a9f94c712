"""One step from Python, one row, without gradient: riverrun's four ways, torch.nn's call, a cell by hand, ONNX Runtime.

Every call carries its state on, as a stream does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from engine_cases import CELLS, Array, Shape, inputs
from engine_peers import Case, Ready, jax_maths, onnx_model, onnx_session, riverrun_layer, torch_maths, torch_module

CHECKED = 8  # steps that are compared
Step = Callable[[Any, Any], tuple[Any, Any]]  # (x, state) -> (output, state)


def streaming(step: Step, start: Any, xs: list[Any]) -> tuple[Callable[[], None], Callable[[], Array]]:
    """A call that goes one step on, and the outputs [T, B, H] of the first steps from the start."""
    state, x = start, xs[0]

    def call() -> None:
        nonlocal state
        _, state = step(x, state)

    def outputs() -> Array:
        found, state = [], start
        for x in xs:
            output, state = step(x, state)
            found.append(np.array(output, dtype=np.float32).reshape(1, -1))
        return np.stack(found)

    return call, outputs


def riverrun(case: Case) -> Ready:
    """The streaming step of a layer and of the engine, a call of the layer, a call of the drop-in."""
    import torch

    import riverrun.nn as riverrun_nn
    from riverrun.engine.step import Stream

    torch.set_num_threads(case.threads)
    torch.set_grad_enabled(False)
    layer = riverrun_layer(case.cell, case.shape.I, case.shape.H)
    streamer = layer.streamer()
    weights = {name.rpartition("forward.")[2]: value for name, value in layer.named_parameters()}
    stream = Stream(layer.stack.evaluation, weights)
    xs = _inputs(case)

    def by_engine(x: Any, state: Any) -> tuple[Any, Any]:
        state = stream.step(x, state)
        return state[0], state

    def by_layer(x: Any, state: Any) -> tuple[Any, Any]:
        output, state, _ = layer(x, state, path=case.path)
        return output, state

    start = layer.initial_state(1)
    ways = {
        "streamer": streaming(streamer.step, start, xs),
        "engine's stream": streaming(by_engine, start[0], xs),
        "layer's call": streaming(by_layer, start, [x[None] for x in xs]),
    }
    kinds = {"lstm": riverrun_nn.LSTM, "gru-after": riverrun_nn.GRU, "elman": riverrun_nn.RNN}
    if case.cell.ours in kinds and not case.cell.norm:
        dropin = kinds[case.cell.ours](case.shape.I, case.shape.H)
        dropin.load_state_dict(torch_module(case.cell, case.shape.I, case.shape.H).state_dict())
        ways["drop-in's call"] = _module(dropin, case, xs)
    return _ready(ways)


def torch_nn(case: Case) -> Ready:
    """torch.nn's module called on one step."""
    import torch

    torch.set_num_threads(case.threads)
    torch.set_grad_enabled(False)
    module = torch_module(case.cell, case.shape.I, case.shape.H)
    return _ready({"call": _module(module, case, _inputs(case))})


def torch_cell(case: Case) -> Ready:
    """The step by hand, in torch operations."""
    import torch

    torch.set_num_threads(case.threads)
    torch.set_grad_enabled(False)
    cell, m = case.cell, torch_maths()
    packed = cell.pack(cell.weights(case.shape.I, case.shape.H))
    w = {name: torch.from_numpy(value) for name, value in packed.items()}

    def step(x: Any, state: Any) -> tuple[Any, Any]:
        state = cell.step(m, w, cell.project(m, w, x), state)
        return state[0], state

    start = (torch.zeros(1, case.shape.H),) * cell.states
    return _ready({"call": streaming(step, start, _inputs(case))})


def onnx_runtime(case: Case) -> Ready:
    """ONNX Runtime on a model of one step, the states in and out."""
    session = onnx_session(onnx_model(case.cell, case.shape, stepwise=True), case.threads)
    states = [given.name for given in session.get_inputs()][1:]
    wanted = ["Y", *(f"{state}_new" for state in states)]

    def step(x: Any, state: Any) -> tuple[Any, Any]:
        output, *after = session.run(wanted, {"X": x, **dict(zip(states, state, strict=True))})
        return output, after

    start = [np.zeros((1, 1, case.shape.H), np.float32)] * len(states)
    return _ready({"call": streaming(step, start, [x.numpy()[None] for x in _inputs(case)])})


def jax_step(case: Case) -> Ready:
    """One compiled step of JAX."""
    import jax
    import jax.numpy as jnp

    cell, m = case.cell, jax_maths()
    packed = cell.pack(cell.weights(case.shape.I, case.shape.H))
    w = {name: jnp.asarray(value) for name, value in packed.items()}
    compiled = jax.jit(lambda w, x, state: cell.step(m, w, cell.project(m, w, x), state))

    def step(x: Any, state: Any) -> tuple[Any, Any]:
        state = jax.block_until_ready(compiled(w, x, state))
        return state[0], state

    start = (jnp.zeros((1, case.shape.H)),) * cell.states
    return _ready({"call": streaming(step, start, [jnp.asarray(x.numpy()) for x in _inputs(case)])})


def _inputs(case: Case) -> list[Any]:
    """Some inputs [1, I]."""
    import torch

    x, _ = inputs(case.shape._replace(T=CHECKED))
    return [torch.from_numpy(one) for one in x]


def _module(module: Any, case: Case, xs: list[Any]) -> tuple[Callable[[], None], Callable[[], Array]]:
    import torch

    zero = torch.zeros(1, 1, case.shape.H)
    return streaming(module, (zero, zero) if case.cell.states == 2 else zero, [x[None] for x in xs])


def _ready(ways: Mapping[str, tuple[Callable[[], None], Callable[[], Array]]]) -> Ready:
    """The calls; and all their outputs, which must be one array to within rounding."""

    def arrays() -> dict[str, Array]:
        found = {name: outputs() for name, (_, outputs) in ways.items()}
        first = next(iter(found.values()))
        for name, output in found.items():
            if np.abs(output - first).max() > 1e-5:
                raise ValueError(f"{name} computes something else")
        return {"output": first}

    return Ready(calls={name: call for name, (call, _) in ways.items()}, arrays=arrays)


PEERS: Mapping[str, Callable[[Case], Ready]] = {
    "riverrun": riverrun,
    "torch.nn": torch_nn,
    "torch cell": torch_cell,
    "ONNX Runtime": onnx_runtime,
    "JAX": jax_step,
}


def make(peer: str, *, threads: int, cell: str, shape: list[int], path: str | None = None) -> Ready:
    """A step made ready by that peer."""
    return PEERS[peer](Case(cell=CELLS[cell], shape=Shape(*shape), threads=threads, train=False, path=path))
