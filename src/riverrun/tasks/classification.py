"""The classification task: many to one. Separate texts, each with a label (or several, or a place on a scale)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from riverrun.data.labelled_options import LabelledOptions
from riverrun.fields import check, option
from riverrun.models.classifier_options import ClassifierOptions
from riverrun.tasks.labels.presets import PRESETS
from riverrun.tasks.task import Given, Metric, Predicted, Say, Task
from riverrun.training.options import ExampleTraining

if TYPE_CHECKING:
    from torch import nn

    from riverrun.cells.cell import Cell
    from riverrun.data.label_coder import LabelCoder
    from riverrun.data.labelled import Labelled
    from riverrun.data.labelled_batch import LabelledBatches
    from riverrun.run import RunFolder
    from riverrun.tasks.labels.prepare import Prepared


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What `predict` can be told."""

    top: int = option(3, "how many labels to name, the likeliest first", least=1)
    skip_bad_rows: bool = option(False, "drop and count rows that are no text, instead of stopping")

    def __post_init__(self) -> None:
        check(self)


def infer(paths: Sequence[str], encoding: str = "utf-8") -> str | None:
    """Why `paths` are labelled texts, or None where they may as well be something else."""
    from riverrun.data.labelled_layout import recognise

    return recognise(paths, encoding) if paths and paths[0] != "-" else None


def _read(paths: Sequence[str | Path], options: LabelledOptions) -> Labelled:
    from riverrun.data.labelled import read

    return read(paths, options)


def _given(X: Sequence[str], y: Sequence[Any], options: LabelledOptions) -> Labelled:
    from riverrun.data.labelled import given

    return given(X, y, options)


def _prepare(
    corpus: Labelled,
    sections: Mapping[str, Any],
    *,
    coder: LabelCoder | None = None,
    select: bool = True,
    cache: Path | None = None,
    checked: bool = False,
    progress: Callable[[int, int], None] | None = None,
    record: Mapping[str, Any] | None = None,
) -> Prepared:
    from riverrun.tasks.labels.prepare import prepare

    return prepare(corpus, sections["data"], select=select, coder=coder)


def _save_coder(coder: LabelCoder) -> dict[str, bytes]:
    return coder.files()


def _load_coder(files: Mapping[str, bytes]) -> LabelCoder:
    from riverrun.data.label_coder import LabelCoder

    return LabelCoder.of_files(files)


def _batches(prepared: Prepared, options: ExampleTraining, *, rank: int = 0, world: int = 1) -> LabelledBatches:
    from riverrun.data.buckets import Buckets
    from riverrun.data.labelled_batch import LabelledBatches

    train = prepared.train
    buckets = Buckets(
        train.lengths, rows=options.batch, tokens=options.batch_tokens, seed=options.seed, rank=rank, world=world
    )
    return LabelledBatches(train, buckets)


def _model(options: ClassifierOptions, coder: LabelCoder, *, cell: type[Cell] | None = None) -> nn.Module:
    from riverrun.models.classifier import Classifier

    tokenizer = coder.tokenizer
    return Classifier(options, tokenizer.size, coder.labels, unknown=tokenizer.unknown, cell=cell)


def _validate(model: Any, prepared: Prepared) -> float:
    from riverrun.tasks.labels.results import validate

    assert prepared.valid is not None
    return validate(model, prepared.valid)


def _sample(model: Any, coder: LabelCoder, seed: int) -> str:
    return ""


def _measure(model: Any, prepared: Prepared, *, training: ExampleTraining, say: Say, baselines: bool) -> dict[str, Any]:
    from riverrun.tasks.labels.results import measure

    return measure(model, prepared, say=say, baselines=baselines)


def _measure_other(
    model: Any,
    coder: LabelCoder,
    sections: Mapping[str, Any],
    corpus: Labelled,
    *,
    say: Say,
    beside: Prepared | None = None,
) -> dict[str, Any]:
    from riverrun.tasks.labels.results import measure_other

    return measure_other(model, coder, corpus, say=say, beside=beside)


def _conclude(
    run: RunFolder, model: Any, prepared: Prepared, metrics: dict[str, Any], *, say: Say, seed: int
) -> dict[str, Any]:
    from riverrun.tasks.labels.results import conclude

    return conclude(run, model, prepared, metrics, say=say)


def _predict(
    model: Any, coder: LabelCoder, sections: Mapping[str, Any], given: Given, options: Prediction
) -> Predicted:
    from riverrun.tasks.labels.predicting import predict

    return predict(model, coder, sections["data"], given, top=options.top, skip_bad_rows=options.skip_bad_rows)


def _card(prepared: Prepared) -> tuple[str, str]:
    names = prepared.coder.labels.names
    shown = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
    use = f"""`riverrun predict FOLDER TEXT`, or in Python `riverrun.load("FOLDER").predict(["..."])`.

Labels: {shown}"""
    return "A text classifier", use


TASK = Task(
    name="classify",
    summary="classification: a text and its label, or several, or a place on a scale",
    sections={"data": LabelledOptions, "model": ClassifierOptions, "training": ExampleTraining},
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
    metrics=(Metric("accuracy", "share", "higher"), Metric("macro_f1", "", "higher")),
    measure=_measure,
    measure_other=_measure_other,
    conclude=_conclude,
    prediction=Prediction,
    predict=_predict,
    card=_card,
    unit="texts",
    report=("scores", "curves", "baselines", "confusion", "calibration", "mistakes", "importance"),
)
