"""LabelCoder: what turns texts and labels into numbers and back; it is saved with the model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from riverrun.data.labelled import Example
from riverrun.data.labelled_batch import Ids, LabelledPart
from riverrun.data.labelled_options import LabelledOptions
from riverrun.data.labels import Labels
from riverrun.data.tokenizer import Tokenizer
from riverrun.data.words import words_of
from riverrun.errors import ModelError

TOKENIZER, LABELS, READING = "tokenizer.json", "labels.json", "reading.json"
# Of words and sub-words the space before belongs to the token: with one before the text, its first word is a word like
# any other.
_SPACED = ("words", "bpe")


class LabelCoder(NamedTuple):
    """Tokenizer and labels, and how a text is read: lower, in small letters; longest, its first tokens alone.

    column: of a table, the one with the texts.
    """

    tokenizer: Tokenizer
    labels: Labels
    lower: bool = False
    longest: int = 0
    column: str = ""

    @staticmethod
    def of(
        examples: Sequence[Example], options: LabelledOptions, *, values: str = "str", column: str = ""
    ) -> LabelCoder:
        """The vocabulary and the labels of the training examples. Raises DataError where there is nothing to learn."""
        labels = Labels.of(examples, options.labels, values)
        kind = options.tokens if options.tokens != "auto" else _kind([example.text for example in examples])
        texts = [_read(example.text, kind, options.lower) for example in examples]
        tokenizer = Tokenizer.train(texts, kind, options.vocabulary, options.min_count)
        if kind == "chars" and tokenizer.unknown is None:
            from riverrun.data.characters import Characters

            assert isinstance(tokenizer, Characters)  # a character never seen is no reason to stop
            tokenizer = Characters(tokenizer.characters, unknown=True)
        return LabelCoder(tokenizer, labels, options.lower, options.longest, column)

    def ids(self, text: str) -> Ids:
        """A text's tokens; those never seen are the unknown one."""
        found = self.tokenizer.encode(_read(text, self.tokenizer.kind, self.lower), "unknown")
        return found[: self.longest] if self.longest else found

    def part(self, examples: Sequence[Example]) -> LabelledPart:
        """Examples as numbers."""
        return LabelledPart(
            [self.ids(example.text) for example in examples], self.labels.targets(examples), list(examples)
        )

    def tokens(self, text: str) -> list[str]:
        """The text of each of its tokens, spaces included, to show; of unknown ones, too."""
        read = _read(text, self.tokenizer.kind, self.lower)
        if self.tokenizer.kind == "words":
            found = words_of(read)
        elif self.tokenizer.kind == "chars":
            found = list(read)
        else:
            return [self.tokenizer.decode([int(id)]) for id in self.ids(text)]
        return found[: self.longest] if self.longest else found

    def files(self) -> dict[str, bytes]:
        """What the model folder holds of it."""
        reading = {"lower": self.lower, "longest": self.longest, "column": self.column}
        return {
            TOKENIZER: self.tokenizer.to_json(),
            LABELS: self.labels.to_json(),
            READING: (json.dumps(reading, indent=1) + "\n").encode(),
        }

    @staticmethod
    def of_files(files: Mapping[str, bytes]) -> LabelCoder:
        """The coder that `files` wrote. Raises ModelError where one is missing or something else."""
        try:
            reading = json.loads(files[READING])
            lower, longest = bool(reading["lower"]), int(reading["longest"])
            tokenizer, labels = Tokenizer.from_json(files[TOKENIZER]), Labels.from_json(files[LABELS])
            return LabelCoder(tokenizer, labels, lower, longest, str(reading.get("column", "")))
        except KeyError as error:
            raise ModelError(f"{error.args[0]}: missing from the model folder. Restore it from a copy.") from None
        except (ValueError, TypeError) as error:
            raise ModelError(f"{READING}: not what riverrun wrote ({error}). Restore it from a copy.") from None


def _read(text: str, kind: str, lower: bool) -> str:
    text = text.lower() if lower else text
    return f" {text}" if kind in _SPACED else text


def _kind(texts: Sequence[str]) -> str:
    """words, or chars where most texts are one word."""
    single = sum(len(text.split(maxsplit=1)) < 2 for text in texts)
    return "chars" if 2 * single > len(texts) else "words"
