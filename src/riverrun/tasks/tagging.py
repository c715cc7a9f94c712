"""The tagging task: a tag for every word of a sentence: parts of speech, chunks, names of persons and places."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from riverrun.data.conll import CONLL
from riverrun.data.tag_options import TagOptions
from riverrun.errors import OptionError
from riverrun.fields import check, option
from riverrun.models.tagger_options import TaggerOptions
from riverrun.tasks.tags.presets import PRESETS
from riverrun.tasks.task import Given, Metric, Predicted, Say, Task
from riverrun.training.options import ExampleTraining

if TYPE_CHECKING:
    from torch import nn

    from riverrun.cells.cell import Cell
    from riverrun.data.tag_batch import TagBatches
    from riverrun.data.tagged import TagCorpus
    from riverrun.data.vocabularies import TagCoder
    from riverrun.run import RunFolder
    from riverrun.tasks.tags.prepare import Prepared


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What `predict` can be told."""

    top: int = option(1, "how many lists of tags to give for each sentence, the best first", least=1)
    skip_bad_rows: bool = option(False, "leave sentences with a line that cannot be read as they are")

    def __post_init__(self) -> None:
        check(self)


def infer(paths: Sequence[str], encoding: str = "utf-8") -> str | None:
    """Why `paths` are tagged sentences: by their names, or since their first lines are columns."""
    from riverrun.data.sources import files_below, without_compression
    from riverrun.tasks.tags.recognise import columns

    if not paths or paths[0] == "-":
        return None
    path = Path(paths[0])
    if path.is_dir():
        inside = {without_compression(file.name)[1] for file in files_below(path, beside=False)}
        found = inside and inside <= CONLL.keys()
        return f"{path} is a folder of CoNLL files: one word a line, tagged" if found else None
    suffix = without_compression(path.name)[1]
    if suffix in CONLL:
        return f"{path} is {CONLL[suffix]} by its name: one word a line, tagged"
    width = columns(path, encoding) if suffix in ("", ".txt", ".tsv", ".tags") else None
    if width is None:
        return None
    return f"{path} has {width} columns in every line and blank lines between sentences: one word a line, tagged"


def _read(paths: Sequence[str | Path], options: TagOptions) -> TagCorpus:
    from riverrun.data.tagged import read

    return read(paths, options)


def _given(X: Sequence[Sequence[str]], y: Sequence[Sequence[str]], options: TagOptions) -> TagCorpus:
    from riverrun.data.tagged import given

    return given(X, y, options)


def _prepare(
    corpus: TagCorpus,
    sections: Mapping[str, Any],
    *,
    coder: TagCoder | None = None,
    select: bool = True,
    cache: Path | None = None,
    checked: bool = False,
    progress: Callable[[int, int], None] | None = None,
    record: Mapping[str, Any] | None = None,
) -> Prepared:
    from riverrun.tasks.tags.prepare import prepare

    prepared = prepare(corpus, sections["data"], coder=coder, progress=progress)
    if not sections["model"].legal and not prepared.coder.scheme:
        raise OptionError("legal", "these tags mark no spans (BIO, IOB1, BIOES), so it does nothing. Leave it out.")
    return prepared


def _save_coder(coder: TagCoder) -> dict[str, bytes]:
    return coder.files()


def _load_coder(files: Mapping[str, bytes]) -> TagCoder:
    from riverrun.data.vocabularies import TagCoder

    return TagCoder.from_files(files)


def _batches(prepared: Prepared, options: ExampleTraining, *, rank: int = 0, world: int = 1) -> TagBatches:
    from riverrun.data.buckets import Buckets
    from riverrun.data.tag_batch import TagBatches

    buckets = Buckets(
        prepared.train.lengths,
        rows=options.batch,
        tokens=options.batch_tokens,
        seed=options.seed,
        rank=rank,
        world=world,
    )
    return TagBatches(prepared.train, buckets)


def _model(options: TaggerOptions, coder: TagCoder, *, cell: type[Cell] | None = None) -> nn.Module:
    from riverrun.models.tagger import Tagger

    return Tagger(options, coder, cell=cell)


def _validate(model: Any, prepared: Prepared) -> float:
    from riverrun.tasks.tags.work import nats

    return nats(model, prepared.valid)


def _sample(model: Any, coder: TagCoder, seed: int) -> str:
    from riverrun.tasks.tags.results import sample

    return sample(model, coder)


def _measure(model: Any, prepared: Prepared, *, training: ExampleTraining, say: Say, baselines: bool) -> dict[str, Any]:
    from riverrun.tasks.tags.results import measure

    return measure(model, prepared, say=say, baselines=baselines)


def _measure_other(
    model: Any,
    coder: TagCoder,
    sections: Mapping[str, Any],
    corpus: TagCorpus,
    *,
    say: Say,
    beside: Prepared | None = None,
) -> dict[str, Any]:
    from riverrun.tasks.tags.results import measure_other

    return measure_other(model, coder, corpus, say=say, beside=beside)


def _conclude(
    run: RunFolder, model: Any, prepared: Prepared, metrics: dict[str, Any], *, say: Say, seed: int
) -> dict[str, Any]:
    from riverrun.tasks.tags.results import conclude

    return conclude(run, model, prepared, say=say)


def _predict(model: Any, coder: TagCoder, sections: Mapping[str, Any], given: Given, options: Prediction) -> Predicted:
    from riverrun.tasks.tags.predicting import predict

    return predict(model, coder, sections["data"], given, top=options.top, skip_bad_rows=options.skip_bad_rows)


def _card(prepared: Prepared) -> tuple[str, str]:
    use = """`riverrun predict FOLDER FILE.conllu`, `riverrun predict FOLDER "words between spaces"`, or in Python
`riverrun.load("FOLDER").predict([["words", "of", "a", "sentence"]])`."""
    return "A tagger", use


TASK = Task(
    name="tag",
    summary="tagging: a tag for every word of a sentence",
    sections={"data": TagOptions, "model": TaggerOptions, "training": ExampleTraining},
    presets=PRESETS,
    infer=infer,
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
        Metric("accuracy", "share", "higher"),
        Metric("unknown-word accuracy", "share", "higher"),
        Metric("F1", "share", "higher"),
    ),
    measure=_measure,
    measure_other=_measure_other,
    conclude=_conclude,
    prediction=Prediction,
    predict=_predict,
    card=_card,
    unit="words",
    report=("scores", "curves", "baselines", "confusion", "mistakes"),
)
