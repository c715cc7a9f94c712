"""Sequence to sequence: a target is written for a source: translation, pronunciation, commands, replies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from riverrun.data.pair_options import PairOptions
from riverrun.models.encoder_decoder_options import EncoderDecoderOptions
from riverrun.tasks.pairs.options import Decoding, Prediction
from riverrun.tasks.pairs.presets import PRESETS
from riverrun.tasks.task import Given, Metric, Predicted, Say, Task
from riverrun.training.options import ExampleTraining

if TYPE_CHECKING:
    from torch import nn

    from riverrun.cells.cell import Cell
    from riverrun.data.pair_arrays import PairBatches
    from riverrun.data.pair_coder import PairCoder
    from riverrun.data.pairs import PairCorpus
    from riverrun.run import RunFolder
    from riverrun.tasks.pairs.prepare import Prepared


@dataclass(frozen=True, kw_only=True)
class PairTraining(ExampleTraining):
    """The [training] section: pairs come in batches of about equal length."""


def infer(paths: Sequence[str], encoding: str = "utf-8") -> str | None:
    """Why `paths` are pairs: the first lines of the first file say so, and no column is called a label."""
    from riverrun.data.pair_formats import pairs_in

    return pairs_in(paths, encoding)


def _read(paths: Sequence[str | Path], options: PairOptions) -> PairCorpus:
    from riverrun.data.pairs import read

    return read(paths, options)


def _given(X: Sequence[str], y: Sequence[str | Sequence[str]], options: PairOptions) -> PairCorpus:
    from riverrun.data.pairs import given

    return given(X, y, options)


def _prepare(
    corpus: PairCorpus,
    sections: Mapping[str, Any],
    *,
    coder: PairCoder | None = None,
    select: bool = True,
    cache: Path | None = None,
    checked: bool = False,
    progress: Callable[[int, int], None] | None = None,
    record: Mapping[str, Any] | None = None,
) -> Prepared:
    """Pairs are held in memory, so nothing goes to `cache`; a validation part is always selected on."""
    from riverrun.tasks.pairs.prepare import prepare

    return prepare(corpus, sections, coder=coder, progress=progress)


def _save_coder(coder: PairCoder) -> dict[str, bytes]:
    return coder.save()


def _load_coder(files: Mapping[str, bytes]) -> PairCoder:
    from riverrun.data.pair_coder import PairCoder

    return PairCoder.load(files)


def _batches(prepared: Prepared, options: ExampleTraining, *, rank: int = 0, world: int = 1) -> PairBatches:
    from riverrun.data.pair_arrays import PairBatches

    return PairBatches(
        prepared.train, rows=options.batch, tokens=options.batch_tokens, seed=options.seed, rank=rank, world=world
    )


def _model(options: EncoderDecoderOptions, coder: PairCoder, *, cell: type[Cell] | None = None) -> nn.Module:
    from riverrun.errors import OptionError
    from riverrun.models.encoder_decoder import EncoderDecoder

    if options.shared and not coder.shared:
        raise OptionError("shared", "source and target have a vocabulary each. Add shared_vocabulary, or leave it out.")
    return EncoderDecoder(options, coder.source.size, coder.target.size, cell=cell)


def _validate(model: Any, prepared: Prepared) -> float:
    from riverrun.tasks.pairs.results import nats_per_token

    return nats_per_token(model, prepared.valid)


def _sample(model: Any, coder: PairCoder, seed: int) -> str:
    from riverrun.tasks.pairs.results import shown

    return shown(model, coder)


def _measure(model: Any, prepared: Prepared, *, training: ExampleTraining, say: Say, baselines: bool) -> dict[str, Any]:
    from riverrun.tasks.pairs.results import measure

    return measure(model, prepared, say=say, baselines=baselines)


def _measure_other(
    model: Any,
    coder: PairCoder,
    sections: Mapping[str, Any],
    corpus: PairCorpus,
    *,
    say: Say,
    beside: Prepared | None = None,
) -> dict[str, Any]:
    from riverrun.tasks.pairs.results import measure_other

    return measure_other(model, coder, sections["decoding"], corpus, say=say, beside=beside)


def _conclude(
    run: RunFolder, model: Any, prepared: Prepared, metrics: dict[str, Any], *, say: Say, seed: int
) -> dict[str, Any]:
    from riverrun.tasks.pairs.results import conclude

    return conclude(run, model, prepared, metrics, say=say)


def _predict(model: Any, coder: PairCoder, sections: Mapping[str, Any], given: Given, options: Prediction) -> Predicted:
    from riverrun.tasks.pairs.predict import predict

    return predict(model, coder, sections["decoding"], given, options, encoding=sections["data"].encoding)


def _card(prepared: Prepared) -> tuple[str, str]:
    use = """`riverrun predict FOLDER TEXT` (or a file, one source a line), or in Python
`riverrun.load("FOLDER").predict(["..."])`.

`pairs.json` has a few short pairs of the validation part, which were shown while it trained."""
    return "A sequence-to-sequence model", use


TASK = Task(
    name="seq2seq",
    summary="sequence to sequence: a target is written for a source (translation, pronunciation, commands, replies)",
    sections={"data": PairOptions, "model": EncoderDecoderOptions, "training": PairTraining, "decoding": Decoding},
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
        Metric("word error", "share", "lower"),
        Metric("phoneme error", "share", "lower"),
        Metric("exact", "share", "higher"),
        Metric("BLEU", "", "higher"),
        Metric("chrF", "", "higher"),
        Metric("nats", "nats per token", "lower"),
    ),
    measure=_measure,
    measure_other=_measure_other,
    conclude=_conclude,
    prediction=Prediction,
    predict=_predict,
    card=_card,
    unit="tokens",
    report=("scores", "curves", "baselines", "lengths", "alignments", "mistakes", "samples"),
)
