"""LanguageModel: a language model in four lines of Python.

import riverrun as rr
m = rr.LanguageModel(cell="lstm", hidden=512, minutes=15).fit("shakespeare.txt")
print(m.sample("ROMEO:", length=400))
m.save("models/plays");  m = rr.load("models/plays")
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from riverrun.configuration import Configuration
from riverrun.data.readers import of_texts
from riverrun.errors import DataError
from riverrun.estimators.estimator import Estimator, paths_of
from riverrun.pipeline.train import gather
from riverrun.tasks.text import scoring, writing

Data = str | Path | Sequence[str | Path] | None


class LanguageModel(Estimator):
    """A recurrent language model of characters, bytes, words or sub-words.

    Every key of a run.toml is an option here, under the same name and with the same default: `cell`, `hidden`,
    `layers`, `dropout`, `tokens`, `minutes`, `steps`, `seed`, `device` ... (see `Estimator`).
    After `fit`: `metrics_` (what training measured), `model_` (the torch module), `tokenizer_`.

    >>> m = LanguageModel(hidden=8, layers=1, steps=2, lanes=2, window=8, verbose=False).fit("abcdefgh " * 40)
    >>> len(m.sample("abc", length=5))
    8
    """

    task = "lm"

    def fit(self, data: Data = None, y: None = None, *, run: str | Path | None = None) -> Self:
        """Train on a file or folder (a path that exists), on a text, on a list of texts (or of files), or on the text
        that every Python carries (None).

        run: a folder for configuration, log and checkpoints, as `riverrun train -o` makes it; None keeps nothing.
        The last tenth is held out: `score()` without a text is measured on it. Raises DataError for data that cannot be
        read or is too short, Diverged where training breaks down.
        """
        files = paths_of(data)
        self._fit([] if files else _texts(data), None, files=files, given={}, run=run)
        return self

    def _corpus(self, planned: Configuration, X: Any, y: Any) -> Any:
        return of_texts(X, planned.sections["data"]) if X else gather(planned)

    # Using ------------------------------------------------------------------------------------------------------------

    def sample(
        self,
        prompt: str = "",
        *,
        length: int = 500,
        temperature: float = 0.8,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> str:
        """The prompt, and `length` tokens that the model writes after it.

        Raises UsageError for a prompt with characters that the model has never seen.
        """
        return self.samples(
            prompt, count=1, length=length, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed
        )[0]

    def samples(
        self,
        prompt: str = "",
        *,
        count: int,
        length: int = 500,
        temperature: float = 0.8,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> list[str]:
        """`count` different texts, each as of `sample`; the first one is `sample`'s."""
        from riverrun.decoding.sampling import Sampling

        opened = self._fitted()
        sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)
        rows = list(writing.write(opened.model, opened.coder, prompt, length, sampling=sampling, count=count))
        return [prompt + "".join(pieces[column] for pieces in rows) for column in range(count)]

    def predict(self, text: str, *, k: int = 5) -> dict[str, Any]:
        """How surprising each token of `text` is, and what is likely next.

        Returns tokens, nats (None for the first), top (the likeliest in the place of each), predicted, unit, mean_nats,
        perplexity, and next (the k likeliest tokens after the text, with their probabilities).
        """
        opened = self._fitted()
        return scoring.score_text(opened.model, opened.coder, text, top=k)

    def score(self, text: str | None = None, y: None = None) -> float:
        """The mean log-likelihood of a token in nats: the higher the better, at most 0. None: of the held-out text."""
        if text is None:
            return -float(self._held_out()["carried"]["nats"])
        return -float(self._predicted(text)["mean_nats"])

    def perplexity(self, text: str | None = None) -> float:
        """exp of the mean surprise of a token: as many equally likely tokens are as hard to guess."""
        if text is None:
            return float(self._held_out()["carried"]["perplexity"])
        return float(self._predicted(text)["perplexity"])

    @property
    def tokenizer_(self) -> Any:
        """Text to ids and back."""
        return self._fitted().coder

    def _predicted(self, text: str) -> dict[str, Any]:
        found = self.predict(text, k=1)
        if not found["predicted"]:
            raise DataError("the text is one token: it is read, and nothing is predicted. Give a longer one.")
        return found


def _texts(data: Any) -> list[str]:
    """Texts in memory. Raises DataError for what is none."""
    if data is None:
        return []
    items = [data] if isinstance(data, str) else list(data)
    if not items:
        raise DataError("fit: an empty list: there is nothing to learn from.")
    if not all(isinstance(item, str) for item in items):
        kinds = sorted({type(item).__name__ for item in items})
        raise DataError(f"fit: expected texts or existing paths, got a list of {', '.join(kinds)}.")
    return [str(item) for item in items]
