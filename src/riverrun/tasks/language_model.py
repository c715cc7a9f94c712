"""The language-model task: text that goes on. One stream of tokens, of which each is predicted from all before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from riverrun.data.options import DataOptions
from riverrun.models.options import LanguageModelOptions
from riverrun.tasks.task import Given, Metric, Predicted, Say, Task
from riverrun.tasks.text.presets import PRESETS
from riverrun.training.options import StreamTraining

if TYPE_CHECKING:
    from torch import nn

    from riverrun.cells.cell import Cell
    from riverrun.data.readers import Corpus
    from riverrun.data.streams import Streams
    from riverrun.data.tokenizer import Tokenizer
    from riverrun.run import RunFolder
    from riverrun.tasks.text.prepare import Prepared

TOKENIZER = "tokenizer.json"
SAMPLE_LENGTH = 300  # tokens of the samples that are shown during training


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What `predict` can be told."""

    top: int = field(default=5, metadata={"help": "how many likely tokens to name"})


def infer(paths: Sequence[str], encoding: str = "utf-8") -> str | None:
    """Why `paths` are text for a language model: whatever is no other task's, but tables without a column `text`."""
    from riverrun.data.labelled_layout import TABLES, header
    from riverrun.data.sources import without_compression

    if not paths:
        return "no data given: the text that every Python carries"
    name = paths[0]
    if name == "-":
        return "standard input is read as text"
    if Path(name).is_dir():
        return f"{name} is a folder: its files are read as text, one document each"
    suffix = without_compression(name)[1]
    if suffix not in TABLES:
        return f"{name} is read as plain text"
    if DataOptions().field not in (header(name, encoding) or [DataOptions().field]):
        return None
    return f"{name} is a table ({suffix}): the text of each row is one document"


def _read(paths: Sequence[str | Path], options: DataOptions) -> Corpus:
    from riverrun.data.readers import read

    return read(paths, options)


def _given(X: Sequence[str], y: None, options: DataOptions) -> Corpus:
    from riverrun.data.readers import of_texts

    return of_texts(X, options)


def _prepare(
    corpus: Corpus,
    sections: Mapping[str, Any],
    *,
    coder: Tokenizer | None = None,
    select: bool = True,
    cache: Path | None = None,
    checked: bool = False,
    progress: Callable[[int, int], None] | None = None,
    record: Mapping[str, Any] | None = None,
) -> Prepared:
    from riverrun.tasks.text.prepare import prepare, recorded_unit

    return prepare(
        corpus,
        sections["data"],
        select=select,
        tokenizer=coder,
        unit=None if record is None else recorded_unit(record),
        cache=cache,
        checked=checked,
        progress=progress,
    )


def _save_coder(coder: Tokenizer) -> dict[str, bytes]:
    return {TOKENIZER: coder.to_json()}


def _load_coder(files: Mapping[str, bytes]) -> Tokenizer:
    from riverrun.data.tokenizer import Tokenizer

    return Tokenizer.from_json(files[TOKENIZER])


def _batches(prepared: Prepared, options: StreamTraining, *, rank: int = 0, world: int = 1) -> Streams:
    """`options.lanes` lanes in all: each of `world` processes deals its share of them."""
    from riverrun.data.streams import Streams
    from riverrun.errors import OptionError

    if options.lanes % world:
        raise OptionError("lanes", f"{options.lanes} cannot be shared by {world} processes; use a multiple of {world}.")
    return Streams(
        prepared.splits.train,
        lanes=options.lanes // world,
        window=options.window,
        random_window=options.random_window,
        fresh=options.fresh,
        seed=options.seed,
        rank=rank,
        world=world,
    )


def _model(options: LanguageModelOptions, coder: Tokenizer, *, cell: type[Cell] | None = None) -> nn.Module:
    from riverrun.errors import UsageError
    from riverrun.models.fixed_window import FixedWindow
    from riverrun.models.language_model import LanguageModel

    if options.model == "window":
        if cell is not None:
            raise UsageError("cell: the fixed-window network has none. Use model='recurrent'.")
        return FixedWindow(options, coder.size)
    return LanguageModel(options, coder.size, cell=cell)


def _validate(model: Any, prepared: Prepared) -> float:
    from riverrun.tasks.measures.evaluation import validation

    assert prepared.valid is not None
    return validation(model, prepared.valid)


def _sample(model: Any, coder: Tokenizer, seed: int) -> str:
    from riverrun.decoding.sampling import Sampling
    from riverrun.tasks.text.writing import sample

    return sample(model, coder, "", SAMPLE_LENGTH, sampling=Sampling(seed=seed))


def _measure(model: Any, prepared: Prepared, *, training: StreamTraining, say: Say, baselines: bool) -> dict[str, Any]:
    from riverrun.tasks.text.results import measure

    return measure(model, prepared, training=training, say=say, baselines=baselines)


def _measure_other(
    model: Any,
    coder: Tokenizer,
    sections: Mapping[str, Any],
    corpus: Corpus,
    *,
    say: Say,
    beside: Prepared | None = None,
) -> dict[str, Any]:
    from riverrun.tasks.text.results import measure_other

    return measure_other(model, coder, sections, corpus, say=say, beside=beside)


def _conclude(
    run: RunFolder, model: Any, prepared: Prepared, metrics: dict[str, Any], *, say: Say, seed: int
) -> dict[str, Any]:
    from riverrun.tasks.text.results import conclude

    return conclude(run, model, prepared, metrics, say=say, seed=seed)


def _predict(model: Any, coder: Tokenizer, sections: Mapping[str, Any], given: Given, options: Prediction) -> Predicted:
    from riverrun.tasks.text.scoring import predict

    return predict(model, coder, given, encoding=sections["data"].encoding, top=options.top)


def _card(prepared: Prepared) -> tuple[str, str]:
    use = """`riverrun sample FOLDER --prompt "..."`, `riverrun predict FOLDER TEXT`, or in Python
`riverrun.load("FOLDER").sample("...")`."""
    return "A language model", use


TASK = Task(
    name="lm",
    summary="a language model: text that goes on",
    sections={"data": DataOptions, "model": LanguageModelOptions, "training": StreamTraining},
    presets=PRESETS,
    infer=infer,
    fallback=True,
    read=_read,
    given=_given,
    prepare=_prepare,
    save_coder=_save_coder,
    load_coder=_load_coder,
    batches=_batches,
    model=_model,
    validate=_validate,
    sample=_sample,
    metrics=(
        Metric("nats", "nats per token", "lower"),
        Metric("bits_per_character", "bits per character", "lower"),
        Metric("perplexity", "per token", "lower"),
    ),
    measure=_measure,
    measure_other=_measure_other,
    conclude=_conclude,
    prediction=Prediction,
    predict=_predict,
    card=_card,
    unit="tokens",
    report=("figures", "curves", "baselines", "novelty", "samples", "surprise"),
)
