"""The whole state of a run as bytes and back: what a checkpoint holds, so that a resumed run ends in the same bits.

Files: model.safetensors, average.safetensors (where weights are averaged), optimizer.safetensors, training.json (step,
schedule, counters, the optimiser's plain values), and for every rank R: rank-R.safetensors (carried state, random
generators) and rank-R.json (their structure, the stream's cursor). No pickle anywhere.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from riverrun.errors import ModelError
from riverrun.models.protocol import State

VERSION = 1


def model_bytes(model: nn.Module) -> bytes:
    """The model's parameters and buffers; of tied ones, one (the others' names are in the file's metadata)."""
    first: dict[tuple[int, int, torch.Size, tuple[int, ...]], str] = {}
    tensors, tied = {}, {}
    for name, tensor in model.state_dict().items():
        identity = (tensor.data_ptr(), tensor.storage_offset(), tensor.shape, tensor.stride())
        if tensor.numel() and identity in first:
            tied[name] = first[identity]
            continue
        first[identity] = name
        tensors[name] = tensor.detach().cpu().contiguous()
    return save_tensors(tensors, metadata={"tied": json.dumps(tied)})


def model_tensors(data: bytes) -> dict[str, Tensor]:
    """A state dict from `model_bytes`, tied names included."""
    tensors = load_tensors(data)
    length = int.from_bytes(data[:8], "little")  # a safetensors file: header length, JSON header, tensors
    tied = json.loads(json.loads(data[8 : 8 + length]).get("__metadata__", {}).get("tied", "{}"))
    return tensors | {name: tensors[other] for name, other in tied.items()}


def optimizer_bytes(optimizer: torch.optim.Optimizer) -> tuple[bytes, dict[str, Any]]:
    """The optimiser's tensors as `INDEX.NAME`, and its plain values, which JSON can hold."""
    tensors, plain = {}, {}
    for index, values in optimizer.state_dict()["state"].items():
        for name, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"{index}.{name}"] = value.detach().cpu().contiguous()
            elif value is not None:
                plain[f"{index}.{name}"] = value
    return save_tensors(tensors), plain


def restore_optimizer(optimizer: torch.optim.Optimizer, data: bytes, plain: Mapping[str, Any]) -> None:
    """Put the saved state into an optimiser that was built with the same options."""
    state: dict[int, dict[str, Any]] = {}
    for key, value in {**load_tensors(data), **plain}.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = value
    if isinstance(optimizer, torch.optim.SGD):  # SGD without momentum looks for its (None) buffer
        for position in range(sum(len(group["params"]) for group in optimizer.param_groups)):
            state.setdefault(position, {}).setdefault("momentum_buffer", None)
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def pack(state: State, tensors: dict[str, Tensor], prefix: str) -> Any:
    """The structure of a carried state as plain values; its tensors go into `tensors` under `prefix.N`."""
    if state is None:
        return None
    if isinstance(state, Tensor):
        name = f"{prefix}.{len(tensors)}"
        tensors[name] = state.detach().cpu().contiguous().clone()
        return name
    if isinstance(state, dict):
        return {"dict": {key: pack(value, tensors, prefix) for key, value in state.items()}}
    kind = "list" if isinstance(state, list) else "tuple"
    return {kind: [pack(value, tensors, prefix) for value in state]}


def unpack(structure: Any, tensors: Mapping[str, Tensor], device: torch.device) -> State:
    """The state that `pack` took apart. Named tuples come back as tuples."""
    if structure is None:
        return None
    if isinstance(structure, str):
        return tensors[structure].to(device)
    if "dict" in structure:
        return {key: unpack(value, tensors, device) for key, value in structure["dict"].items()}
    if "list" in structure:
        return [unpack(value, tensors, device) for value in structure["list"]]
    return tuple(unpack(value, tensors, device) for value in structure["tuple"])


def rank_files(rank: int, state: State, streams: Mapping[str, Any], device: torch.device) -> dict[str, bytes]:
    """What belongs to one process: carried state, random generators (torch, CUDA, NumPy, Python), cursor."""
    tensors: dict[str, Tensor] = {}
    structure = pack(state, tensors, "state")
    tensors["generator.torch"] = torch.get_rng_state()
    if device.type == "cuda":
        tensors["generator.cuda"] = torch.cuda.get_rng_state(device)
    kind, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    tensors["generator.numpy"] = torch.from_numpy(np.asarray(keys).astype(np.int64))
    version, words, next_gauss = random.getstate()
    record = {
        "state": structure,
        "numpy": [kind, int(position), int(has_gauss), float(gauss)],
        "python": [version, list(words), next_gauss],
        "streams": dict(streams),
    }
    return {f"rank-{rank}.safetensors": save_tensors(tensors), f"rank-{rank}.json": json.dumps(record).encode()}


def restore_rank(files: Mapping[str, bytes], rank: int, device: torch.device) -> tuple[State, dict[str, Any]]:
    """Set this process's random generators; returns the carried state and the stream's cursor."""
    tensors = load_tensors(files[f"rank-{rank}.safetensors"])
    record = json.loads(files[f"rank-{rank}.json"])
    torch.set_rng_state(tensors["generator.torch"])
    if device.type == "cuda" and "generator.cuda" in tensors:
        torch.cuda.set_rng_state(tensors["generator.cuda"], device)
    kind, position, has_gauss, gauss = record["numpy"]
    np.random.set_state((kind, tensors["generator.numpy"].numpy().astype(np.uint32), position, has_gauss, gauss))
    version, words, next_gauss = record["python"]
    random.setstate((version, tuple(words), next_gauss))
    return unpack(record["state"], tensors, device), record["streams"]


def record(files: Mapping[str, bytes], where: object) -> dict[str, Any]:
    """training.json of a checkpoint. Raises ModelError where a newer riverrun wrote it."""
    values: dict[str, Any] = json.loads(files["training.json"])
    if values["version"] > VERSION:
        raise ModelError(
            f"{where}: written in checkpoint format {values['version']}; this version reads up to {VERSION}. Upgrade."
        )
    return values


def weights(files: Mapping[str, bytes]) -> dict[str, Tensor]:
    """The state dict to evaluate and export: the averaged weights where there are such, else the model's own."""
    tensors = model_tensors(files["model.safetensors"])
    if "average.safetensors" in files:
        averaged = load_tensors(files["average.safetensors"])
        # A tied name is a name of the same parameter: give it the average too.
        owner = {id(tensor): name for name, tensor in tensors.items() if name in averaged}
        tensors = {name: averaged.get(owner.get(id(tensor), name), tensor) for name, tensor in tensors.items()}
    return tensors
