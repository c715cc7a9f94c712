"""Results: what a tagger is worth: held-out figures beside baselines, confusions, mistakes, predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from riverrun.data.conll import Sentence, filled
from riverrun.data.tagged import TagCorpus
from riverrun.data.vocabularies import TagCoder
from riverrun.files import write_atomic
from riverrun.run import RunFolder
from riverrun.tasks.measures import tagging
from riverrun.tasks.measures.tagging_baselines import baselines as all_baselines
from riverrun.tasks.tags.prepare import Prepared, coded
from riverrun.tasks.tags.work import Tagged, nats, tag
from riverrun.tasks.task import Say

LABELS = 40  # of the table of confusions: the most frequent tags; what is rarer is together in one row
MISTAKES = 60
REST = "(others)"


def measure(model: Any, prepared: Prepared, *, say: Say, baselines: bool) -> dict[str, Any]:
    """What eval/metrics.json holds: the test part's figures, and the baselines that were trained on the same part."""
    train = prepared.splits.train if baselines else None
    return measure_sentences(model, prepared.coder, prepared.splits.test, say=say, train=train)


def measure_other(
    model: Any, coder: TagCoder, corpus: TagCorpus, *, say: Say, beside: Prepared | None = None
) -> dict[str, Any]:
    """The same of any tagged file; baselines where the data are there that they learn from (`beside`)."""
    train = None if beside is None else beside.splits.train
    return measure_sentences(model, coder, corpus.sentences, say=say, train=train)


def measure_sentences(
    model: Any, coder: TagCoder, sentences: Sequence[Sentence], *, say: Say, train: Sequence[Sentence] | None
) -> dict[str, Any]:
    """The same of sentences. train: what baselines learn from, None for no baselines."""
    arrays, spans = coded(coder, sentences), bool(coder.scheme)
    words = sum(1 for sentence in sentences for tag in sentence.tags if tag)
    say("")
    say(f"evaluating {words:,} words in {len(sentences):,} sentences ...")
    predicted = [found.tags[0] for found in tag(model, coder, arrays)]
    result = tagging.judged(sentences, predicted, coder.saw, spans=spans)
    figures, loss = tagging.figures(result), nats(model, arrays)
    for line in tagging.lines(figures):
        say(line)
    by_type = tagging.by_type(result)
    for row in by_type:
        rates = "".join(f"{name} {100 * row[name]:6.2f} %  " for name in ("precision", "recall", "f1"))
        say(f"  {row['type'] or '(no type)':<20}{rates}{row['true']:>7,}")
    metrics: dict[str, Any] = {
        "task": "tag",
        "part": "test",
        "count": words,
        "of": "words",
        "unit": "word",
        "loss": loss,
        "sentences": len(sentences),
        "unknown_words": int(result.unknown.sum()),
        "scheme": coder.scheme or None,
        "spans": by_type,
        "figures": figures,
        "baselines": [],
        "remarks": remarks(coder, sentences),
    }
    for remark in metrics["remarks"]:
        say(remark)
    if train is not None:
        say("baselines, trained on the same part:")
        say(tagging.heading(figures))
        say(tagging.row("this model", figures, ""))
        for found in all_baselines(train, sentences, spans=spans):
            metrics["baselines"].append(found)
            say(tagging.row(found["name"], found["figures"], found["note"]))
    return metrics


def remarks(coder: TagCoder, sentences: Sequence[Sentence]) -> list[str]:
    """What is to be said of the data that were judged."""
    unseen = [tag for sentence in sentences for tag in sentence.tags if tag and not coder.knows(tag)]
    missing = sum(1 for sentence in sentences for tag in sentence.tags if not tag)
    found = []
    if unseen:
        named = ", ".join(sorted(set(unseen))[:5])
        found.append(f"{len(unseen):,} words have a tag that training lacks ({named}): counted as wrong.")
    if missing:
        found.append(f"{missing:,} words have no tag in the file and are not counted.")
    return found


def conclude(run: RunFolder, model: Any, prepared: Prepared, *, say: Say) -> dict[str, Any]:
    """Write what eval/ has beside the metrics: confusions, mistakes, and the test part as the model tags it."""
    sentences, coder = prepared.splits.test, prepared.coder
    found = tag(model, coder, coded(coder, sentences))
    run.write_json("eval/confusion.json", confusion(coder, sentences, found))
    run.write_json("eval/mistakes.json", mistakes(sentences, found))
    name = "predictions.conllu" if sentences[0].form.numbered else "predictions.conll"
    path = run.evaluation / name
    text = "".join(filled(sentence, one.tags[0]) for sentence, one in zip(sentences, found, strict=True))
    write_atomic(path, text.encode("utf-8", "surrogateescape"))
    say(f"tagged     {path}")
    return {"predictions": str(path)}


def confusion(coder: TagCoder, sentences: Sequence[Sentence], found: Sequence[Tagged]) -> dict[str, Any]:
    """What eval/confusion.json holds; tags that are too many, or that training lacks, are together."""
    labels = list(coder.tags[:LABELS])
    places = {tag: place for place, tag in enumerate(labels)}
    counts = np.zeros((len(labels) + 1, len(labels) + 1), np.int64)
    for sentence, one in zip(sentences, found, strict=True):
        for gold, predicted in zip(sentence.tags, one.tags[0], strict=True):
            if gold:
                counts[places.get(gold, len(labels)), places.get(predicted, len(labels))] += 1
    if counts[-1].any() or counts[:, -1].any():
        labels.append(REST)
    return {"labels": labels, "counts": counts[: len(labels), : len(labels)].tolist(), "of": "words"}


def mistakes(sentences: Sequence[Sentence], found: Sequence[Tagged]) -> dict[str, Any]:
    """What eval/mistakes.json holds: the words that were tagged wrong with the greatest confidence, the worst first."""
    items: list[dict[str, Any]] = []
    for sentence, one in zip(sentences, found, strict=True):
        begin = 0
        for place, (word, gold, predicted, share) in enumerate(
            zip(sentence.words, sentence.tags, one.tags[0], one.shares, strict=True)
        ):
            if gold and gold != predicted:
                items.append(
                    {
                        "text": " ".join(sentence.words),
                        "at": [begin, begin + len(word)],
                        "expected": gold,
                        "predicted": predicted,
                        "probability": share,
                        "file": sentence.place(place),
                    }
                )
            begin += len(word) + 1
    worst = sorted(items, key=lambda item: -float(item["probability"]))[:MISTAKES]
    return {"count": len(items), "items": worst}


def sample(model: Any, coder: TagCoder) -> str:
    """A few held-out sentences with the tags that the model gives them, for progress."""
    found = tag(model, coder, coder.encode(coder.shown))
    return "\n".join(
        " ".join(f"{word}/{tag}" for word, tag in zip(words, one.tags[0], strict=True))
        for words, one in zip(coder.shown, found, strict=True)
    )
