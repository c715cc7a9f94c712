"""predict: a file with its column filled in, in its own format, or the words of plain text with their tags."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from typing import Any

from riverrun.data.conll import CONLLU, DOCSTART, Broken, Layout, Sentence, filled, layout, sentences
from riverrun.data.encoding import decoded, lines
from riverrun.data.tag_options import TagOptions
from riverrun.data.vocabularies import TagCoder
from riverrun.errors import DataError
from riverrun.tasks.tags.work import Tagged, tag
from riverrun.tasks.task import Given, Predicted

TEXT = "text"  # the name of what is no file


def predict(model: Any, coder: TagCoder, options: TagOptions, given: Given, *, top: int) -> Predicted:
    """Tag what was given. top: how many lists of tags of each sentence; more than one is told apart by comments.

    A CoNLL file comes back as it is, its column filled in. Plain text (one sentence a line, spaces between words) comes
    back as word, tag and probability, between tabs, a blank line after each sentence.
    Raises DataError naming file and line of a broken one.
    """
    table = list(lines(decoded(io.BytesIO(given.data), given.name, options.encoding)))
    form = recognised(given.name, table, coder)
    if form is None:
        return _plain(model, coder, table, top)
    read = list(sentences(table, form, given.name, tagged=False))
    broken = [one for one in read if isinstance(one, Broken)]
    if broken and not options.skip_bad_rows:
        raise DataError(f"{given.name}:{broken[0].line}: {broken[0].wrong}. Mend it.")
    whole = [one for one in read if isinstance(one, Sentence)]
    found = tagged(model, coder, [one.words for one in whole], top)
    tags = iter(zip(whole, found, strict=True))
    text = "".join("".join(one.lines) if isinstance(one, Broken) else _written(*next(tags), top) for one in read)
    notes = [f"{given.name}:{one.line}: {one.wrong}: left as it is." for one in broken]
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

    CoNLL-U shows itself. Of columns a file has as many as the training file in every line, or lacks the tags; or it has
    the same number of columns between tabs in every line, and the tags become a last one.
    """
    column = coder.form.names[coder.form.tag] if coder.form.names and coder.form.tag is not None else ""
    words = [line.rstrip("\r\n") for line in table if line.strip() and not line.startswith((DOCSTART, "# "))]
    first = next((line for line in words if not line.startswith("#")), "")
    numbered = len(first.split("\t")) == len(CONLLU) and first[:1].isdigit()
    if numbered or name.lower().endswith((".conllu", ".conllup")):
        return layout(iter(table), column, plus=True)[0]
    if not words or (name == TEXT and len(table) < 2):
        return None
    if not coder.form.names:
        separator = "\t" if "\t" in words[0] else ""
        form = coder.form._replace(separator=separator)
        widths = {len(line.split("\t")) if separator else len(line.split()) for line in words}
        last = form.width - 1 if form.tag == form.width - 1 else form.width
        fitting = widths in ({form.width}, {last})
        if fitting and widths == {1}:
            return coder.form
        if fitting and (separator or not coder.form.separator):
            return form
    widths = {len(line.split("\t")) for line in words}
    if len(widths) == 1 and (width := widths.pop()) > 1:
        return Layout((), width + 1, "\t", 0, width)
    return None


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
