"""The language-model task: text that goes on. One stream of tokens, of which each is predicted from all before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from riverrun.data.options import DataOptions
from riverrun.models.options import LanguageModelOptions
from riverrun.tasks.task import Metric, Task
from riverrun.training.options import StreamTraining

if TYPE_CHECKING:
    from torch import nn

    from riverrun.cells.cell import Cell
    from riverrun.data.readers import Corpus
    from riverrun.data.splits import Splits
    from riverrun.data.streams import Streams
    from riverrun.data.tokenizer import Tokenizer
    from riverrun.data.tokens import Tokens
    from riverrun.decoding.sampling import Sampling
    from riverrun.tasks.measures.baselines import Baseline
    from riverrun.tasks.measures.evaluation import Evaluation


def infer(paths: Sequence[str]) -> str | None:
    """Why `paths` are text for a language model: the only task so far, so every input is."""
    if not paths:
        return "no data given: the text that every Python carries"
    name = paths[0]
    if name == "-":
        return "standard input is read as text"
    if Path(name).is_dir():
        return f"{name} is a folder: its files are read as text, one document each"
    suffixes = [suffix for suffix in Path(name).suffixes if suffix not in (".gz", ".bz2", ".xz")]
    suffix = suffixes[-1] if suffixes else ""
    if suffix in (".jsonl", ".csv", ".tsv"):
        return f"{name} is a table ({suffix}): its text field is read as text, one document a row"
    return f"{name} is read as plain text"


def _read(paths: Sequence[str | Path], options: DataOptions) -> Corpus:
    from riverrun.data.readers import read

    return read(paths, options)


def _encode(
    corpus: Corpus,
    tokenizer: Tokenizer,
    folder: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Tokens:
    from riverrun.data.tokens import tokenise

    return tokenise(corpus, tokenizer, folder, progress)


def _batch(tokens: Tokens, options: StreamTraining, *, rank: int = 0, world: int = 1) -> Streams:
    """`options.lanes` lanes in all: each of `world` processes deals its share of them."""
    from riverrun.data.streams import Streams
    from riverrun.errors import OptionError

    if options.lanes % world:
        raise OptionError("lanes", f"{options.lanes} cannot be shared by {world} processes; use a multiple of {world}.")
    return Streams(
        tokens,
        lanes=options.lanes // world,
        window=options.window,
        random_window=options.random_window,
        fresh=options.fresh,
        seed=options.seed,
        rank=rank,
        world=world,
    )


def _model(options: LanguageModelOptions, vocabulary: int, *, cell: type[Cell] | None = None) -> nn.Module:
    from riverrun.models.files import build

    return build(options, vocabulary, cell=cell)


def _evaluate(model: Any, tokens: Tokens, tokenizer: Tokenizer, *, window: int = 100) -> Evaluation:
    from riverrun.tasks.measures.evaluation import evaluate

    return evaluate(model, tokens, tokenizer, window=window)


def _baselines(splits: Splits, tokenizer: Tokenizer, *, seconds: float = 30.0) -> Iterator[Baseline]:
    from riverrun.tasks.measures.baselines import baselines

    return baselines(splits, tokenizer, seconds=seconds)


def _decode(
    model: Any,
    state: Any,
    prompt: Sequence[int],
    length: int,
    *,
    sampling: Sampling | None = None,
    count: int = 1,
    stop: int | None = None,
    excluded: Sequence[int] = (),
) -> Iterator[Any]:
    from riverrun.decoding.sampling import generate

    return generate(model, state, prompt, length, sampling=sampling, count=count, stop=stop, excluded=excluded)


TASK = Task(
    name="lm",
    summary="a language model: text that goes on",
    sections={"data": DataOptions, "model": LanguageModelOptions, "training": StreamTraining},
    infer=infer,
    read=_read,
    encode=_encode,
    batch=_batch,
    model=_model,
    metrics=(
        Metric("nats", "nats per token", "lower"),
        Metric("bits_per_character", "bits per character", "lower"),
        Metric("perplexity", "per token", "lower"),
    ),
    evaluate=_evaluate,
    baselines=_baselines,
    decode=_decode,
    report=("figures", "curves", "baselines", "surprise", "samples", "novelty"),
)
