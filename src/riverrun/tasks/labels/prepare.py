"""prepare: from the files that a user names to labels, a vocabulary and the parts of a split, with the record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from riverrun.data.label_coder import LabelCoder
from riverrun.data.labelled import Example, Labelled, read
from riverrun.data.labelled_batch import LabelledPart
from riverrun.data.labelled_options import LabelledOptions
from riverrun.data.labelled_split import divide
from riverrun.data.readers import FileRecord, named
from riverrun.errors import DataError

COMMON = 20  # tokens and labels that are shown
REASONS = 20  # of rows dropped, so many are told
LONGEST = 20_000  # tokens of a text that are learnt from unasked: a batch of 32 such takes 5 GB with the default model


class Prepared(NamedTuple):
    """Labelled texts that are ready to be trained on. found: how the files hold them. rule: how they were divided."""

    files: list[FileRecord]
    coder: LabelCoder
    train: LabelledPart
    valid: LabelledPart | None
    test: LabelledPart
    found: str
    rule: str

    @property
    def characters(self) -> None:
        """Nothing: progress is told in labels, not in characters."""
        return None

    @property
    def parts(self) -> dict[str, LabelledPart]:
        """The parts that there are, by name."""
        found = {"train": self.train, "valid": self.valid, "test": self.test}
        return {name: part for name, part in found.items() if part is not None}

    def lines(self) -> list[str]:
        """What is said of the data before training."""
        coder, lengths = self.coder, self.train.lengths
        labels, kind = coder.labels, {"one": "", "several": ", several a text", "ordered": ", ordered"}
        common = sorted(zip(labels.counts, labels.names, strict=True), key=lambda item: (-item[0], item[1]))
        shown = ", ".join(f"{name} {count / max(1, labels.examples):.0%}" for count, name in common[:4])
        more = f" and {len(common) - 4} more" if len(common) > 4 else ""
        counts = ", ".join(f"{len(part.ids):,} {name}" for name, part in self.parts.items())
        cut = f", cut at {coder.longest:,}" if coder.longest else ""
        return [
            f"examples   {counts}: {self.found}",
            f"labels     {len(labels.names)}{kind[labels.kind]}: {shown}{more}",
            f"tokens     {coder.tokenizer.unit}s, vocabulary {coder.tokenizer.size:,}; a text has "
            f"{np.median(lengths):.0f} (median), at most {lengths.max():,}{cut}",
            f"split      {self.rule}",
            *(f"note       {sentence}" for sentence in (dropped(self.files), self._contradictions()) if sentence),
        ]

    def _contradictions(self) -> str:
        """How many texts have one label here and another there; no model can be right about all of those."""
        first: dict[str, Example] = {}
        found: dict[str, tuple[str, str]] = {}
        for part in self.parts.values():
            for example in part.examples:
                other = first.setdefault(example.text, example)
                if set(other.labels) != set(example.labels):
                    found.setdefault(example.text, (other.place, example.place))
        if not found:
            return ""
        one, other_place = next(iter(found.values()))
        what = "1 text has" if len(found) == 1 else f"{len(found):,} texts have"
        return f"{what} different labels in different rows, such as {one} and {other_place}"

    def peek(self) -> tuple[dict[str, Any], list[str]]:
        """The commonest labels and tokens of the training part, and its first texts."""
        labels, tokenizer = self.coder.labels, self.coder.tokenizer
        counts = np.bincount(np.concatenate(self.train.ids), minlength=tokenizer.size)
        common = [(tokenizer.token(int(id)), int(counts[id])) for id in np.argsort(-counts, kind="stable")[:COMMON]]
        order = sorted(zip(labels.counts, labels.names, strict=True), key=lambda item: (-item[0], item[1]))[:COMMON]
        first = [(", ".join(example.labels), example.text[:100]) for example in self.train.examples[:5]]
        lines = [
            "labels     " + "  ".join(f"{name!r} {count:,}" for count, name in order),
            "common     " + "  ".join(f"{token!r} {count:,}" for token, count in common),
            "begins",
            *(f"  | {label}: {' '.join(text.split())}" for label, text in first),
        ]
        return {"labels": [[name, count] for count, name in order], "common": common, "beginning": first}, lines

    def record(self) -> dict[str, Any]:
        """What data.json holds: schema, SHA-256 of every file, split rule, counts, rows dropped."""
        coder = self.coder
        return {
            "files": [file._asdict() for file in self.files],
            "found": self.found,
            "labels": coder.labels.kind,
            "names": list(coder.labels.names),
            "tokens": coder.tokenizer.kind,
            "token": coder.tokenizer.unit,
            "unit": "label",
            "vocabulary": coder.tokenizer.size,
            "vocabulary_rule": "made from the training part alone; a token that it lacks is unknown",
            "split_rule": self.rule,
            "parts": {
                name: {
                    "examples": len(part.ids),
                    "tokens": int(part.lengths.sum()),
                    "longest": int(part.lengths.max()),
                    "labels": dict(sorted(Counter(label for e in part.examples for label in e.labels).items())),
                }
                for name, part in self.parts.items()
            },
            "rows_dropped": sum(file.dropped for file in self.files),
        }


def dropped(files: Sequence[FileRecord]) -> str:
    """How many rows were dropped, and why the first was; "" where none was."""
    count = sum(file.dropped for file in files)
    first = next((file.reasons[0] for file in files if file.reasons), "")
    return f"{count:,} {'row was' if count == 1 else 'rows were'} dropped, the first because {first}" if count else ""


def prepare(corpus: Labelled, options: LabelledOptions, *, select: bool, coder: LabelCoder | None = None) -> Prepared:
    """Divide the examples, make labels and vocabulary of the training part (or take `coder`), and encode.

    Raises DataError where a part would be empty, and for a label of a held-out example that the training part lacks,
    with its file and line (or drops such rows, where `skip_bad_rows` is set).
    """
    others = {name: read([path], options) for name in ("valid", "test") if (path := getattr(options, name))}
    with named(corpus):
        divided = divide(corpus.examples, options, valid=select and "valid" not in others, test="test" not in others)
    chosen = {name: [corpus.examples[index] for index in getattr(divided, name)] for name in ("train", "valid", "test")}
    rule = [divided.rule]
    for name, other in others.items():
        chosen[name] = other.examples
        rule.append(f"{name} from {other.name}")
    if not select:
        chosen["train"] += [] if "valid" in others else chosen["valid"]
        del chosen["valid"]
    with named(corpus):
        coder = coder or LabelCoder.of(chosen["train"], options, values=corpus.values, column=corpus.column)
    files = [*corpus.files, *(file for other in others.values() for file in other.files)]
    for name in set(chosen) - {"train"}:
        chosen[name], files = _known(chosen[name], coder, options, files)
        if not chosen[name]:
            raise DataError(f"{corpus.name}: no row is left for the {name} part: none has a label that training has.")
    train = coder.part(chosen["train"])
    if not coder.longest and train.lengths.max() > LONGEST:
        longest = train.examples[int(train.lengths.argmax())]
        raise DataError(
            f"{longest.place}: this text has {train.lengths.max():,} {coder.tokenizer.unit}s: a batch with it takes "
            "gigabytes. Read the first so many of every text (--longest 1000), or divide it."
        )
    valid = coder.part(chosen["valid"]) if "valid" in chosen else None
    return Prepared(files, coder, train, valid, coder.part(chosen["test"]), corpus.found, "; ".join(rule))


def _known(
    examples: Sequence[Example], coder: LabelCoder, options: LabelledOptions, files: list[FileRecord]
) -> tuple[list[Example], list[FileRecord]]:
    """The examples whose labels the training part has, and the files with the others counted as dropped."""
    kept, dropped = [], []
    for example in examples:
        unseen = coder.labels.unseen(example)
        why = f"{example.place}: the training part has no example of label {unseen[0]!r}" if unseen else ""
        if not unseen:
            kept.append(example)
        elif options.skip_bad_rows:
            dropped.append((example, why))
        else:
            raise DataError(
                f"{why}; it has {_listed(coder.labels.names)}. Mend the row, give training examples of it, divide "
                "otherwise (--split stratified), or drop such rows (--skip-bad-rows)."
            )
    for example, why in dropped:
        owner = max(
            (place for place, file in enumerate(files) if example.place.startswith(file.path)),
            key=lambda place: len(files[place].path),
            default=0,
        )
        file = files[owner]
        reasons = file.reasons if len(file.reasons) >= REASONS else (*file.reasons, why)
        files = [*files]
        files[owner] = file._replace(rows=file.rows - 1, dropped=file.dropped + 1, reasons=reasons)
    return kept, files


def _listed(names: Sequence[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more
