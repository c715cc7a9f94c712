"""Results: what a classifier is worth: figures beside baselines, confusion, calibration, mistakes, what mattered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from riverrun.data.label_coder import LabelCoder
from riverrun.data.labelled import Example, Labelled, scale
from riverrun.data.labelled_batch import LabelledPart, batch_of, by_length
from riverrun.files import write_atomic
from riverrun.models.classifier import Classifier
from riverrun.run import RunFolder
from riverrun.sequences import Sequences
from riverrun.tasks.labels.prepare import Prepared, dropped
from riverrun.tasks.measures.calibration import calibration
from riverrun.tasks.measures.classification import (
    Figure,
    Judged,
    as_json,
    confusion,
    f1_by_label,
    figures,
    yes_no,
)
from riverrun.tasks.measures.classification_baselines import baselines as all_baselines
from riverrun.tasks.measures.evaluation import judging
from riverrun.tasks.measures.importance import importances
from riverrun.tasks.task import Say

MISTAKES = 50  # that are shown, the worst first
CUT = 300  # characters of a text that are shown


class Scores(NamedTuple):
    """What a model makes of a part. probabilities: [N, C]. nats: [N], NaN where the label was unseen in training."""

    probabilities: NDArray[np.float64]
    nats: NDArray[np.float64]


def scores(model: Classifier, part: LabelledPart) -> Scores:
    """The model's probabilities and what they cost, of every example."""
    size = len(part.ids)
    probabilities = np.zeros((size, model.outputs))
    nats = np.full(size, np.nan)
    with judging(model) as device:
        for indices in by_length(part.lengths):
            batch = batch_of(part, indices)
            logits = model(Sequences(batch.texts.data.to(device), batch.texts.lengths.to(device)))
            probabilities[indices] = model.head.probabilities(logits).double().cpu().numpy()
            targets = batch.targets.to(device)
            known = targets >= 0 if targets.dim() == 1 else torch.ones(len(targets), dtype=torch.bool, device=device)
            if bool(known.any()):
                costs = model.head.costs(logits[known], targets[known])[1]
                nats[indices[known.cpu().numpy()]] = costs.double().cpu().numpy()
    return Scores(probabilities, nats)


def validate(model: Classifier, part: LabelledPart) -> float:
    """The mean nats of an example."""
    return float(np.nanmean(scores(model, part).nats))


def decided(probabilities: NDArray[np.float64], kind: str) -> NDArray[Any]:
    """What is predicted: the number of the likeliest label, [N]; of several those of at least one half, [N, C] bool."""
    return probabilities >= 0.5 if kind == "several" else probabilities.argmax(1)


def judged(predicted: NDArray[Any], examples: Sequence[Example], coder: LabelCoder) -> Judged:
    """Truth and prediction. A label that the training part lacks is one that no prediction can be right about."""
    labels = coder.labels
    names = (*labels.names, *sorted({label for example in examples for label in labels.unseen(example)}))
    if labels.kind == "ordered":  # a grade that training lacks has its place on the scale, not beyond it
        ordered = tuple(scale(names))
        predicted = np.array([ordered.index(name) for name in labels.names])[predicted]
        names = ordered
    truth = labels._replace(names=names, counts=(0,) * len(names)).targets(examples)
    if labels.kind == "several":
        padding = np.zeros((len(examples), len(names) - len(labels.names)), bool)
        return Judged(labels.kind, names, truth > 0, np.concatenate([predicted.astype(bool), padding], 1))
    return Judged(labels.kind, names, truth, predicted)


def measure(model: Classifier, prepared: Prepared, *, say: Say, baselines: bool) -> dict[str, Any]:
    """What eval/metrics.json holds: the test part's figures, and the baselines that were trained on the same parts."""
    return _measured(model, prepared.coder, prepared.test, prepared if baselines else None, say)


def measure_other(
    model: Classifier, coder: LabelCoder, corpus: Labelled, *, say: Say, beside: Prepared | None
) -> dict[str, Any]:
    """The same of any other labelled texts; baselines where the data are there that they learn from (`beside`)."""
    if told := dropped(corpus.files):
        say(told)
    return _measured(model, coder, coder.part(corpus.examples), beside, say)


def _measured(
    model: Classifier, coder: LabelCoder, part: LabelledPart, beside: Prepared | None, say: Say
) -> dict[str, Any]:
    labels = coder.labels
    say("")
    say(f"evaluating {len(part.ids):,} examples ...")
    found = scores(model, part)
    result = judged(decided(found.probabilities, labels.kind), part.examples, coder)
    main = figures(result)
    known = np.isfinite(found.nats)
    loss = float(found.nats[known].mean()) if known.any() else None
    remarks = []
    if not known.all():
        lacking = ", ".join(name for name in result.names if name not in labels.names)
        remarks.append(
            f"{int((~known).sum()):,} of {len(known):,} examples have a label that the training part lacks "
            f"({lacking}): they count as mistakes, and not in the loss."
        )
    say(f"  {'95 % intervals in brackets':<28}" + "".join(f"{_title(figure):>24}" for figure in main))
    say(_line("this model", main))
    if loss is not None:
        say(f"  loss {loss:.4f} nats an example")
    for remark in remarks:
        say(remark)
    rows: list[dict[str, Any]] = []
    if beside is not None:
        say("baselines, trained on the same part:")
        for row in all_baselines(
            beside.train.examples,
            beside.valid.examples if beside.valid is not None else (),
            part.examples,
            labels,
            lambda predicted, examples: judged(predicted, examples, coder),
        ):
            rows.append(row)
            say(_line(row["name"], [Figure(**figure) for figure in row["figures"]]))
    return {
        "task": "classify",
        "part": "test",
        "count": len(part.ids),
        "of": "examples",
        "unit": "label",
        "figures": as_json(main),
        "loss": loss,
        "remarks": remarks,
        "f1_by_label": f1_by_label(result),
        "baselines": rows,
    }


def conclude(
    run: RunFolder, model: Classifier, prepared: Prepared, metrics: Mapping[str, Any], *, say: Say
) -> dict[str, Any]:
    """Write what the report shows beside the figures: confusion, calibration, mistakes, importance, predictions."""
    coder, part = prepared.coder, prepared.test
    found = scores(model, part)
    predicted = decided(found.probabilities, coder.labels.kind)
    result = judged(predicted, part.examples, coder)
    names = [_named(row, coder) for row in predicted]
    told = [", ".join(row) for row in names]
    table: dict[str, Any] = {"labels": list(result.names), "of": "examples"}
    if coder.labels.kind == "several":
        table["yes_no"] = yes_no(result)
        sure = np.maximum(found.probabilities, 1 - found.probabilities)
        right = result.truth[:, : sure.shape[1]] == (found.probabilities >= 0.5)
        calibrated = calibration(sure.ravel(), right.ravel())
        sure = sure.prod(1)  # of all that was said, each label being for itself
    else:
        table["counts"] = confusion(result).tolist()
        sure = found.probabilities.max(1)
        calibrated = calibration(sure, np.asarray(result.truth == result.predicted))
    wrong = mistakes(found, result, part.examples, names)
    mattered = importances(model, coder, part, told)
    run.write_json("eval/confusion.json", table)
    run.write_json("eval/calibration.json", calibrated)
    run.write_json("eval/mistakes.json", wrong)
    run.write_json("eval/importance.json", mattered)
    rows = ["place\texpected\tpredicted\tprobability\ttext\n"]
    for example, name, probability in zip(part.examples, told, sure, strict=True):
        cells = (example.place, ", ".join(example.labels), name, f"{probability:.6f}", example.text)
        rows.append("\t".join(" ".join(cell.split()) for cell in cells) + "\n")
    write_atomic(run.path / "eval" / "predictions.tsv", "".join(rows).encode("utf-8", "surrogatepass"))
    say("")
    say(f"calibration error {calibrated['ece']:.3f}; {wrong['count']:,} mistakes, the worst of them in the report")
    if mattered["correlation"] is not None:
        say(f"attention and gradient x input agree by {mattered['correlation']:.2f} (Spearman's rank correlation)")
    return {"ece": calibrated["ece"], "rank_correlation": mattered["correlation"]}


def mistakes(
    found: Scores, result: Judged, examples: Sequence[Example], names: Sequence[Sequence[str]]
) -> dict[str, Any]:
    """What eval/mistakes.json holds: {"count": how many there are, "items": [{"text", "expected", "predicted",
    "probability", "file"}, ...]}, the worst first: where the model was surest of something wrong; of several labels
    those that cost most. names: what was predicted of each example."""
    several = result.kind == "several"
    if several:
        wrong = np.flatnonzero((result.truth != result.predicted).any(1))
        badness = np.nan_to_num(found.nats)
    else:
        wrong = np.flatnonzero(result.truth != result.predicted)
        badness = found.probabilities.max(1)
    worst = wrong[np.argsort(-badness[wrong], kind="stable")][:MISTAKES]
    items = [
        {
            "text": examples[index].text[:CUT],
            "expected": list(examples[index].labels) if several else examples[index].labels[0],
            "predicted": list(names[index]) if several else names[index][0],
            "probability": None if several else round(float(badness[index]), 6),
            "file": examples[index].place,
        }
        for index in worst.tolist()
    ]
    return {"count": len(wrong), "items": items}


def _named(row: Any, coder: LabelCoder) -> list[str]:
    """The labels that were predicted: one, or of several those that there are."""
    names = coder.labels.names
    if coder.labels.kind == "several":
        return [name for name, yes in zip(names, row, strict=True) if yes]
    return [names[int(row)]]


def _title(figure: Figure) -> str:
    return figure.name.replace("_", " ")


def _line(name: str, found: Sequence[Figure]) -> str:
    """One row of the table of figures."""
    cells = []
    for figure in found:
        times, decimals = (100, 1) if figure.unit == "share" else (1, 3)
        value, low, high = (times * (x if x is not None else float("nan")) for x in figure[1:4])
        mark = " %" if figure.unit == "share" else ""
        cells.append(f"{value:.{decimals}f}{mark} ({low:.{decimals}f} .. {high:.{decimals}f})")
    return f"  {name:<28}" + "".join(f"{cell:>24}" for cell in cells)
