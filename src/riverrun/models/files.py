"""Model folders: config.json, model.safetensors, tokenizer.json, README.md, sealed by their SHA-256. No pickle.

`model/` alone is enough to use a model on another machine. What reads it is told the kind (`lm`), whose file here says
how its options become a module.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
from safetensors import SafetensorError
from torch import nn

from riverrun import files
from riverrun.cells.cell import Cell
from riverrun.data.tokenizer import Tokenizer
from riverrun.errors import ModelError, RiverrunError, UsageError
from riverrun.models.fixed_window import FixedWindow
from riverrun.models.language_model import LanguageModel
from riverrun.models.options import LanguageModelOptions

FORMAT = 1  # of the folder; a reader refuses what is newer
KIND = "lm"
CONFIG, WEIGHTS, TOKENIZER, CARD = "config.json", "model.safetensors", "tokenizer.json", "README.md"


class Saved(NamedTuple):
    """What a model folder holds. config: the rest of config.json, as it was given to `save`."""

    model: LanguageModel | FixedWindow
    kind: str
    options: LanguageModelOptions
    tokenizer: Tokenizer
    config: dict[str, Any]
    card: str


def build(
    options: LanguageModelOptions, vocabulary: int, *, cell: type[Cell] | None = None
) -> LanguageModel | FixedWindow:
    """The module that `options` describe, over `vocabulary` tokens; `cell`: a class of one's own."""
    if options.model == "window":
        if cell is not None:
            raise UsageError("cell: the fixed-window network has none. Use model='recurrent'.")
        return FixedWindow(options, vocabulary)
    return LanguageModel(options, vocabulary, cell=cell)


def content(
    model: nn.Module,
    kind: str,
    options: LanguageModelOptions,
    tokenizer: Tokenizer,
    card: str,
    config: dict[str, Any] | None = None,
) -> dict[str, bytes]:
    """The files of a model folder by name; `config` may add JSON values to config.json."""
    described = {
        "format": FORMAT,
        "kind": kind,
        "vocabulary": tokenizer.size,
        "options": asdict(options),
        **(config or {}),
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    return {
        CONFIG: (json.dumps(described, indent=1, ensure_ascii=False) + "\n").encode(),
        WEIGHTS: safetensors.torch.save(tensors),
        TOKENIZER: tokenizer.to_json(),
        CARD: card.encode(),
    }


def save(
    folder: Path,
    model: nn.Module,
    kind: str,
    options: LanguageModelOptions,
    tokenizer: Tokenizer,
    card: str,
    config: dict[str, Any] | None = None,
) -> None:
    """Write the model folder, whole or not at all; an older one of that name is replaced."""
    files.write_folder(folder, content(model, kind, options, tokenizer, card, config))


def load(folder: Path, *, cell: type[Cell] | None = None) -> Saved:
    """The model in `folder`, in evaluation mode, on the CPU.

    cell: the class of a model that was built with a cell of one's own.
    Raises ModelError naming the file where it is missing, corrupted, of another kind or of a newer version.
    """
    config = _config(folder / CONFIG, files.read_folder(folder, [CONFIG])[CONFIG])
    found = files.read_folder(folder, [WEIGHTS, TOKENIZER])
    card = files.read_folder(folder, [CARD])[CARD].decode(errors="replace")
    tokenizer = Tokenizer.from_json(found[TOKENIZER])
    options = _options(folder / CONFIG, config["options"])
    if tokenizer.size != config["vocabulary"]:
        raise ModelError(
            f"{folder / TOKENIZER}: expected {config['vocabulary']} tokens, as {CONFIG} says, got {tokenizer.size}. "
            "Restore the folder from a copy."
        )
    try:
        model = build(options, tokenizer.size, cell=cell)
        tensors = safetensors.torch.load(found[WEIGHTS])
        dtypes = {tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()}
        model.to(dtypes.pop() if len(dtypes) == 1 else None).load_state_dict(tensors)
    except UsageError as error:
        raise ModelError(
            f"{folder / CONFIG}: {error} A cell of one's own is given to `load(folder, cell=...)`."
        ) from None
    except (SafetensorError, RuntimeError) as error:
        first = str(error).strip().splitlines()[:3]
        raise ModelError(f"{folder / WEIGHTS}: does not fit {CONFIG}: {' '.join(first)}") from None
    extra = {k: v for k, v in config.items() if k not in ("format", "kind", "vocabulary", "options")}
    return Saved(model.eval(), config["kind"], options, tokenizer, extra, card)


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
    if config.get("kind") != KIND:
        raise ModelError(
            f"{path}: expected a model of kind {KIND!r}, got {config.get('kind')!r}. Give a model that this task made."
        )
    if not isinstance(config.get("options"), dict) or not isinstance(config.get("vocabulary"), int):
        raise ModelError(
            f"{path}: not the configuration of a model: options or vocabulary missing. Restore it from a copy."
        )
    return config


def _options(path: Path, values: dict[str, Any]) -> LanguageModelOptions:
    known = {option.name for option in fields(LanguageModelOptions)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ModelError(
            f"{path}: unknown option {unknown[0]!r}: written by another version of riverrun. Upgrade riverrun."
        )
    try:
        return LanguageModelOptions(**values)
    except RiverrunError as error:
        raise ModelError(f"{path}: {error}") from None
