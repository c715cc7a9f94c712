"""Model folders: config.json, model.safetensors, the coder's files, README.md, sealed by their SHA-256. No pickle.

`model/` alone is enough to use a model on another machine. It names its kind (`lm`, `classify` ...), the task that
knows how its options become a module; its coder's files (tokenizer.json, labels.json ...) say how text becomes numbers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor, nn

from riverrun import files
from riverrun.errors import ModelError, RiverrunError, UsageError

FORMAT = 1  # of the folder; a reader refuses what is newer
CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
TOKENIZER = "tokenizer.json"  # the coder's only file where config.json does not list them
OWN = ("format", "kind", "options", "coder")  # keys of config.json that are not the caller's


class Stored(NamedTuple):
    """What a model folder holds, before its kind makes a module of it.

    options: of the model, by name. coder: the coder's files. config: the rest of config.json, as `save` was given it.
    """

    kind: str
    options: dict[str, Any]
    coder: dict[str, bytes]
    weights: dict[str, Tensor]
    config: dict[str, Any]
    card: str


def save(
    folder: Path,
    model: nn.Module,
    kind: str,
    options: Any,
    coder: Mapping[str, bytes],
    card: str,
    config: Mapping[str, Any] | None = None,
) -> None:
    """Write the model folder, whole or not at all; an older one of that name is replaced.

    options: the dataclass of the [model] section. config: JSON values to add to config.json.
    """
    described = {
        "format": FORMAT,
        "kind": kind,
        "coder": sorted(coder),
        "options": asdict(options),
        **(config or {}),
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    content = {
        CONFIG: (json.dumps(described, indent=1, ensure_ascii=False) + "\n").encode(),
        WEIGHTS: safetensors.torch.save(tensors),
        CARD: card.encode(),
        **coder,
    }
    files.write_folder(folder, content)


def read(folder: Path) -> Stored:
    """What lies in `folder`. Raises ModelError naming the file where it is missing, corrupted or of a newer version."""
    config = _config(folder / CONFIG, files.read_folder(folder, [CONFIG])[CONFIG])
    names = config.get("coder", [TOKENIZER])
    found = files.read_folder(folder, [WEIGHTS, *names])
    card = files.read_folder(folder, [CARD])[CARD].decode(errors="replace")
    try:
        weights = safetensors.torch.load(found.pop(WEIGHTS))
    except SafetensorError as error:
        raise ModelError(f"{folder / WEIGHTS}: not weights as safetensors keeps them ({error}).") from None
    extra = {key: value for key, value in config.items() if key not in OWN}
    return Stored(config["kind"], config["options"], found, weights, extra, card)


def module(folder: Path, stored: Stored, options: type, build: Callable[[Any], nn.Module]) -> tuple[nn.Module, Any]:
    """The module, in evaluation mode, on the CPU, and its options.

    options: the dataclass of this kind's [model] section. build: makes the module that such options describe.
    Raises ModelError where options or weights are those of something else.
    """
    chosen = _options(folder / CONFIG, options, stored.options)
    try:
        model = build(chosen)
        dtypes = {tensor.dtype for tensor in stored.weights.values() if tensor.is_floating_point()}
        model.to(dtypes.pop() if len(dtypes) == 1 else None).load_state_dict(stored.weights)
    except UsageError as error:
        raise ModelError(
            f"{folder / CONFIG}: {error} A cell of one's own is given to `load(folder, cell=...)`."
        ) from None
    except RuntimeError as error:
        first = str(error).strip().splitlines()[:3]
        raise ModelError(f"{folder / WEIGHTS}: does not fit {CONFIG}: {' '.join(first)}") from None
    return model.eval(), chosen


def _config(path: Path, data: bytes) -> dict[str, Any]:
    try:
        config = json.loads(data)
    except ValueError:
        config = None
    version = config.get("format") if isinstance(config, dict) else None
    if not isinstance(config, dict) or not isinstance(version, int) or version < 1:
        raise ModelError(f"{path}: not the configuration of a model. Restore it from a copy.")
    if version > FORMAT:
        raise ModelError(
            f"{path}: written in format {version} by a newer riverrun; this one reads up to {FORMAT}. Upgrade riverrun."
        )
    names = config.get("coder", [])
    listed = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not isinstance(config.get("kind"), str) or not isinstance(config.get("options"), dict) or not listed:
        raise ModelError(f"{path}: not the configuration of a model: kind or options missing. Restore it from a copy.")
    return config


def _options(path: Path, kind: type, values: dict[str, Any]) -> Any:
    known = {option.name for option in fields(kind)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ModelError(
            f"{path}: unknown option {unknown[0]!r}: written by another version of riverrun. Upgrade riverrun."
        )
    try:
        return kind(**values)
    except RiverrunError as error:
        raise ModelError(f"{path}: {error}") from None
