"""predict: a file with its column filled in, in its own format, or the words of plain text with their tags."""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from riverrun.data.conll import CONLLU, DOCSTART, PROMISED, Broken, Layout, Sentence, cells, filled, layout, sentences
from riverrun.data.encoding import decoded, lines
from riverrun.data.sources import without_compression
from riverrun.data.tag_options import TagOptions
from riverrun.data.vocabularies import TagCoder
from riverrun.errors import DataError, OptionError
from riverrun.tasks.tags.work import Tagged, tag
from riverrun.tasks.task import Given, Predicted

TEXT = "text"  # the name of what is no file
TABLES = (".csv", ".jsonl", ".ndjson")


def predict(
    model: Any, coder: TagCoder, options: TagOptions, given: Given, *, top: int, skip_bad_rows: bool = False
) -> Predicted:
    """Tag what was given. top: how many lists of tags of each sentence; more than one is told apart by comments.

    A CoNLL file comes back as it is, its column filled in. Plain text (one sentence a line, spaces between words) comes
    back as word, tag and probability, between tabs, a blank line after each sentence.
    Raises DataError naming file and line of a broken one; skip_bad_rows: leaves its sentence as it is.
    """
    table = list(lines(decoded(io.BytesIO(given.data), given.name, options.encoding)))
    form = recognised(given.name, table, coder)
    if form is None:
        return _plain(model, coder, table, top)
    read = list(sentences(table, form, given.name, tagged=False))
    broken = [one for one in read if isinstance(one, Broken)]
    if broken and not (skip_bad_rows or options.skip_bad_rows):
        raise DataError(
            f"{given.name}:{broken[0].line}: {broken[0].wrong}. Mend it, or leave such sentences as they are "
            "(--skip-bad-rows)."
        )
    whole = [one for one in read if isinstance(one, Sentence)]
    found = tagged(model, coder, [one.words for one in whole], top)
    tags = iter(zip(whole, found, strict=True))
    text = "".join("".join(one.lines) if isinstance(one, Broken) else _written(*next(tags), top) for one in read)
    notes = [f"{given.name}:{one.line}: {one.wrong}: left as it is." for one in broken]
    if form.width == 1:
        notes.append(f"{given.name}: read as one word a line, with a blank line after each sentence.")
    return Predicted(text, notes, result([one.words for one in whole], found))


def tagged(model: Any, coder: TagCoder, words: Sequence[Sequence[str]], top: int = 1) -> list[Tagged]:
    """What the model makes of sentences given as words."""
    return tag(model, coder, coder.encode(words), top)


def result(words: Sequence[Sequence[str]], found: Sequence[Tagged]) -> list[dict[str, Any]]:
    """The sentences for --json."""
    return [
        {
            "words": list(sentence),
            "tags": one.tags[0],
            "probabilities": one.shares,
            "best": [{"tags": tags, "probability": math.exp(p)} for tags, p in zip(one.tags, one.log_p, strict=True)],
        }
        for sentence, one in zip(words, found, strict=True)
        if sentence
    ]


def recognised(name: str, table: Sequence[str], coder: TagCoder) -> Layout | None:
    """How a file to be tagged is laid out; None where it is plain text.

    CoNLL-U shows itself. Of columns a file has as many as the training file, or lacks the tags; or it has others
    between tabs, and the tags become a last one; or one word a line. Its width is the commonest one, so that a broken
    line is found. Raises DataError where the tags have no place in it, or it is a table of texts.
    """
    form, suffix = coder.form, without_compression(name)[1]
    words = [line.rstrip("\r\n") for line in table if line.strip() and not line.startswith((DOCSTART, "# "))]
    first = next((line for line in words if not line.startswith("#")), "")
    if suffix in PROMISED or (len(first.split("\t")) == len(CONLLU) and first[:1].isdigit()):
        return _of_conllu(name, table, form)
    if not words or (name == TEXT and len(table) < 2):
        return None
    separator = "\t" if 2 * sum("\t" in line for line in words) > len(words) else ""
    widths = Counter(len(cells(line, separator)) for line in words)
    width, count = widths.most_common(1)[0]
    if suffix in TABLES or (separator and 2 * sum(" " in line for line in words) > len(words)):
        raise DataError(f"{name}: a table, where words were expected: one a line, or plain text. Give the texts alone.")
    if separator:
        same = width == form.width and not form.names
        return form._replace(separator=separator) if same else Layout((), width, separator, 0, width)
    if widths.keys() == {1}:
        return Layout((), 1, form.separator, 0, 1) if len(words) > 1 else None
    # Sentences of so many words have no blank lines between them.
    likely = 4 * count >= 3 * len(words) and any(not line.strip() for line in table[:-1])
    if form.names and likely and width > 1:
        raise DataError(
            f"{name}: {width} columns, but the model learnt from CoNLL-U. Give CoNLL-U, or the words alone, one a line."
        )
    if form.separator:
        return None
    if len(widths) > 1 and not likely:
        return None
    if width == form.width:
        return form
    return form._replace(width=width, tag=width) if width == form.width - 1 == form.tag else None


def _of_conllu(name: str, table: Sequence[str], form: Layout) -> Layout:
    if not form.names or form.tag is None:
        raise DataError(
            f"{name}: CoNLL-U, but the model learnt from columns without names, so that its tags have no column there. "
            "Give the words alone, one a line with a blank line after each sentence."
        )
    try:
        return layout(iter(table), form.names[form.tag], plus=True)[0]
    except OptionError as error:
        raise DataError(f"{name}: the model's tags are of column {form.names[form.tag]}: {error.problem}") from None


def _written(sentence: Sentence, found: Tagged, top: int) -> str:
    if top == 1 or not sentence.words:
        return filled(sentence, found.tags[0] if found.tags else [])
    pieces = []
    for number, (tags, log_p) in enumerate(zip(found.tags, found.log_p, strict=True), 1):
        text = filled(sentence, tags)
        pieces.append(f"# tagging {number} of {len(found.tags)}, probability {math.exp(log_p):.4g}\n{text}")
        if not text.endswith("\n\n"):
            pieces.append("\n" if text.endswith("\n") else "\n\n")
    return "".join(pieces)


def _plain(model: Any, coder: TagCoder, table: Sequence[str], top: int) -> Predicted:
    words = [line.split() for line in table if line.strip()]
    found = tagged(model, coder, words, top)

    def rows() -> Iterator[str]:
        for sentence, one in zip(words, found, strict=True):
            for number, (tags, log_p) in enumerate(zip(one.tags, one.log_p, strict=True), 1):
                if top > 1:
                    yield f"# tagging {number} of {len(one.tags)}, probability {math.exp(log_p):.4g}\n"
                for word, name, share in zip(sentence, tags, one.shares, strict=True):
                    yield f"{word}\t{name}\n" if top > 1 else f"{word}\t{name}\t{share:.4f}\n"
                yield "\n"

    return Predicted("".join(rows()), [], result(words, found))
