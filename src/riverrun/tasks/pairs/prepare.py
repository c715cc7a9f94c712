"""prepare: from the files that a user names to vocabularies and the parts of a split, with the record for data.json."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from riverrun.data import pair_coder, pairs
from riverrun.data.pair_arrays import PairArrays
from riverrun.data.pair_batch import UNKNOWN
from riverrun.data.pair_coder import PairCoder
from riverrun.data.pair_options import PairOptions
from riverrun.data.pair_splits import PairSplits, split
from riverrun.data.pairs import PairCorpus, Pairs
from riverrun.data.readers import FileRecord
from riverrun.tasks.pairs.options import Decoding
from riverrun.tasks.pairs.scores import score_of

COMMON = 20  # tokens that `data peek` shows of a side
BEGINS = 5  # pairs
SHOWN = 4  # validation pairs whose sources are written for while a model trains
LETTERS = 100  # at most, of both sides of such a pair
KEPT = 5  # tokens of the beginnings of targets that are counted, at least
RULES = {
    "chars": "made from the training part alone; a character that it lacks is the unknown token",
    "words": "made from the training part alone; a word that it lacks is the unknown token",
    "spaces": "made from the training part alone; a symbol that it lacks is the unknown token",
    "bpe": "made from the training part alone; it can write every text",
}


class Prepared:
    """Pairs that are ready to be trained on: parts, vocabularies, and the arrays that batches are made of.

    corpus: what was read; others: the files of --valid and --test. decoding: how targets will be written.
    copies: whether the model copies source tokens.
    """

    def __init__(
        self,
        corpus: PairCorpus,
        others: list[PairCorpus],
        splits: PairSplits,
        coder: PairCoder,
        decoding: Decoding,
        *,
        copies: bool,
    ) -> None:
        self.corpus, self.splits, self.coder, self.decoding = corpus, splits, coder, decoding
        self.files: list[FileRecord] = [file for part in (corpus, *others) for file in part.files]
        self.scored: Any = None  # what the last measurement wrote, so that the report need not write it again
        self._copies = copies

    @cached_property
    def train(self) -> PairArrays:
        """The training part, encoded; not where a run is only measured."""
        return PairArrays(self.splits.train, self.coder, copies=self._copies)

    @cached_property
    def valid(self) -> PairArrays:
        """The validation part, encoded."""
        return PairArrays(self.splits.valid, self.coder, copies=self._copies)

    @property
    def characters(self) -> None:
        """Progress is told in tokens."""
        return None

    def lines(self) -> list[str]:
        """What is said of the pairs before training."""
        coder, parts = self.coder, self.splits
        sides = [f"{side.tokenizer.kind} ({side.size:,} in the vocabulary)" for side in (coder.source, coder.target)]
        shared = ", one vocabulary" if coder.shared else ""
        counts = ", ".join(f"{len(part.sources):,} {name}" for name, part in _named(parts))
        lines = [
            f"format     {self.corpus.format}: {self.corpus.reason}",
            f"tokens     {sides[0]} -> {sides[1]}{shared}",
            f"pairs      {counts}",
            f"split      {parts.rule}",
        ]
        if parts.seen:
            lines.append(f"note       {parts.seen:,} sources of the test part are in the training part, too")
        most = self.decoding.max_length
        over = int((self.train.target.lengths > most + 1).sum())  # END is one
        if over:
            lines.append(
                f"note       {over:,} training targets are longer than the {most:,} tokens that are written "
                "(--max-length)"
            )
        return lines

    def peek(self) -> tuple[dict[str, Any], list[str]]:
        """The commonest tokens of either side of the training part, and its first pairs."""
        facts: dict[str, Any] = {}
        lines = []
        for name, side, texts in (
            ("source", self.coder.source, self.train.source),
            ("target", self.coder.target, self.train.target),
        ):
            known = np.where(texts.ids < side.size, texts.ids, UNKNOWN)  # what is copied may be beyond
            counts = Counter(known.tolist()).most_common(COMMON)
            facts[name] = [(side.tokens([id])[0], count) for id, count in counts]
            lines.append(f"{name:<10} " + "  ".join(f"{token!r} {count:,}" for token, count in facts[name]))
        train = self.splits.train
        first = list(zip(train.sources[:BEGINS], train.targets[:BEGINS], strict=True))
        facts["beginning"] = first
        return facts, [*lines, "begins", *(f"  | {source} -> {target}" for source, target in first)]

    def record(self) -> dict[str, Any]:
        """What data.json holds: schema, SHA-256 of every file, split rule, counts, rows dropped."""
        coder, parts = self.coder, self.splits
        vocabularies = {"source": coder.source, "target": coder.target}
        return {
            "files": [file._asdict() for file in self.files],
            "format": self.corpus.format,
            "format_reason": self.corpus.reason,
            "unit": "token",
            "tokens": {name: side.tokenizer.kind for name, side in vocabularies.items()},
            "vocabulary": {name: side.size for name, side in vocabularies.items()},
            "vocabulary_rule": {name: RULES[side.tokenizer.kind] for name, side in vocabularies.items()},
            "shared_vocabulary": coder.shared,
            "split_rule": parts.rule,
            "parts": {
                name: {"pairs": len(part.sources), "sources": len(set(part.sources))} for name, part in _named(parts)
            },
            "left_out": parts.left_out,
            "test_sources_in_training": parts.seen,
            "rows_dropped": sum(file.dropped for file in self.files),
        }


def prepare(
    corpus: PairCorpus,
    sections: Mapping[str, Any],
    *,
    coder: PairCoder | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Prepared:
    """Read, split, make the vocabularies of the training part (or take those of `coder`), encode.

    progress(bytes read, bytes in all): of every file. Raises DataError and OptionError as reader, split, coder and
    score do.
    """
    options: PairOptions = sections["data"]
    corpus.load(progress)
    valid, test = (
        pairs.beside(path, options, corpus).load() if path else None for path in (options.valid, options.test)
    )
    splits = split(corpus, options, valid=valid, test=test)
    if coder is None:
        train = splits.train
        coder = pair_coder.learn(train.sources, train.targets, corpus.format, options)
        coder.facts["shown"] = _shown(splits.valid)
        decoding: Decoding = sections["decoding"]
        if decoding.generic_penalty or corpus.format == "dialogues":
            coder.beginnings = _beginnings(coder, train, max(decoding.generic_tokens, KEPT))
    score_of(sections["decoding"], coder)  # what it lacks is told now, and not after training
    others = [part for part in (valid, test) if part is not None]
    return Prepared(corpus, others, splits, coder, sections["decoding"], copies=sections["model"].copy)


def _named(parts: PairSplits) -> list[tuple[str, Pairs]]:
    return [("train", parts.train), ("valid", parts.valid), ("test", parts.test)]


def _beginnings(coder: PairCoder, train: Pairs, tokens: int) -> dict[str, Any]:
    """How often the targets begin with which tokens."""
    from riverrun.decoding.prior import Beginnings

    targets = coder.target.encode(train.targets).apart()
    return Beginnings(targets, size=coder.target.size, tokens=tokens).record


def _shown(valid: Pairs) -> list[tuple[str, str]]:
    """A few validation pairs from all over the part, short enough for a line."""
    fitting = [
        (source, targets[0]) for source, targets in valid.references().items() if len(source + targets[0]) <= LETTERS
    ]
    step = max(1, len(fitting) // SHOWN)
    return fitting[step // 2 :: step][:SHOWN]
