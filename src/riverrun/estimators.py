"""Estimators: riverrun in Python by scikit-learn's rules: options in the constructor, `fit` returns self.

import riverrun as rr
m = rr.LanguageModel(cell="lstm", hidden=512, minutes=15).fit("shakespeare.txt")
print(m.sample("ROMEO:", length=400))
m.save("models/plays");  m = rr.load("models/plays")
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from riverrun import combinations, configuration
from riverrun.cells.cell import Cell
from riverrun.configuration import Configuration
from riverrun.errors import DataError, UsageError, nearest
from riverrun.models import files as model_files
from riverrun.pipeline import scoring, writing
from riverrun.pipeline.opened import Opened, open_model
from riverrun.pipeline.plan import plan, schema
from riverrun.pipeline.train import (
    OWN_CELL,
    Assembled,
    Trained,
    card,
    characters_per_token,
    corpus_of,
    own_cell,
    recorders,
    train,
)
from riverrun.run import RunFolder
from riverrun.training.progress import Progress

TASK = "lm"
Data = str | Path | Sequence[str | Path] | None


class LanguageModel:
    """A recurrent language model of characters, bytes, words or sub-words.

    Every key of a run.toml is an option here, under the same name and with the same default: `cell`, `hidden`,
    `layers`, `dropout`, `tokens`, `minutes`, `steps`, `seed`, `device` ... (`LanguageModel().get_params()` lists them).
    A name that is none of them is an error, and so is a value that would do nothing beside the others. Two more:

    preset: a named starting point, as of `riverrun presets`; its budget holds where none is given.
    verbose: show progress on standard error.
    cell may also be a class of one's own with a `step`; `load` then needs it again.

    After `fit`: `metrics_` (what training measured), `model_` (the torch module), `tokenizer_`.

    >>> m = LanguageModel(hidden=8, layers=1, steps=2, lanes=2, window=8, verbose=False).fit("abcdefgh " * 40)
    >>> len(m.sample("abc", length=5))
    8
    """

    def __init__(self, *, preset: str = "default", verbose: bool = True, **options: Any) -> None:
        self.preset = preset
        self.verbose = verbose
        self._given = dict(options)
        self._cell: type[Cell] | None = None
        self._trained: Trained | None = None
        self._opened: Opened | None = None
        self._plan(())  # so that a wrong option is told here, not by `fit`

    # scikit-learn's rules ---------------------------------------------------------------------------------------------

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Every option and its value, as the constructor takes them."""
        values = configuration.flatten(self._plan(()).sections.values())
        if self._cell is not None:
            values["cell"] = self._cell
        return {"preset": self.preset, "verbose": self.verbose, **values}

    def set_params(self, **options: Any) -> LanguageModel:
        """Change options; the next `fit` heeds them. Raises UsageError for a name that is none."""
        before = (self.preset, self.verbose, self._given)
        self.preset = options.pop("preset", self.preset)
        self.verbose = options.pop("verbose", self.verbose)
        self._given = {**self._given, **options}
        try:
            self._plan(())
        except UsageError:
            self.preset, self.verbose, self._given = before
            self._plan(())
            raise
        return self

    def __repr__(self) -> str:
        shown = "".join(f", {name}={value!r}" for name, value in self._given.items())
        return f"LanguageModel(preset={self.preset!r}{shown})"

    def __sklearn_is_fitted__(self) -> bool:
        return self._opened is not None

    # Learning ---------------------------------------------------------------------------------------------------------

    def fit(self, data: Data = None, y: None = None, *, run: str | Path | None = None) -> LanguageModel:
        """Train on a file or folder (a path that exists), on a text, on a list of texts (or of files), or on the text
        that every Python carries (None).

        run: a folder for configuration, log and checkpoints, as `riverrun train -o` makes it; None keeps nothing.
        The last tenth is held out: `score()` without a text is measured on it. Raises DataError for data that cannot be
        read or is too short, Diverged where training breaks down.
        """
        texts, files = _interpret(data)
        planned = self._plan(files)
        for name, kept in (("tensorboard", "its files lie"), ("checkpoint_every", "checkpoints lie")):
            if getattr(planned.sections["training"], name) and run is None:
                raise UsageError(f"{name}: {kept} in the run folder, and there is none. Give fit a `run`.")
        corpus = corpus_of(planned, texts)
        progress: list[Progress] = []

        def events(assembled: Assembled, folder: RunFolder | None) -> Any:
            from riverrun.training.log import fan_out

            shown = Progress(characters=characters_per_token(assembled.prepared))
            progress.append(shown)
            if folder is None:
                return shown if self.verbose else None
            return fan_out(*recorders(assembled, folder), *([shown] if self.verbose else []))

        try:
            self._trained = train(
                planned,
                corpus,
                wanted=Path(run) if run is not None else None,
                cell=self._cell,
                events=events,
                command=["python", *sys.argv[:1]],
            )
        finally:
            for shown in progress:
                shown.close()
        trained = self._trained
        if trained.result.stopped == "signal":
            raise KeyboardInterrupt
        device = next(trained.model.parameters()).device
        saved = model_files.Saved(
            trained.model, TASK, planned.sections["model"], trained.prepared.tokenizer, {}, card(trained)
        )
        self._opened = Opened(trained.model, trained.prepared.tokenizer, device, saved, trained.run)
        return self

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
        rows = list(writing.write(opened.model, opened.tokenizer, prompt, length, sampling=sampling, count=count))
        return [prompt + "".join(pieces[column] for pieces in rows) for column in range(count)]

    def predict(self, text: str, *, k: int = 5) -> dict[str, Any]:
        """How surprising each token of `text` is, and what is likely next.

        Returns tokens, nats (None for the first), top (the likeliest in the place of each), predicted, unit, mean_nats,
        perplexity, and next (the k likeliest tokens after the text, with their probabilities).
        """
        opened = self._fitted()
        return scoring.score_text(opened.model, opened.tokenizer, text, top=k)

    def score(self, text: str | None = None, y: None = None) -> float:
        """The mean log-likelihood of a token in nats: the higher the better, at most 0. None: of the held-out text."""
        if text is None:
            if self._trained is None:
                raise UsageError("score: a loaded model does not hold its test text: give a text.")
            return -float(self._held_out()["carried"]["nats"])
        return -float(self._predicted(text)["mean_nats"])

    def perplexity(self, text: str | None = None) -> float:
        """exp of the mean surprise of a token: as many equally likely tokens are as hard to guess."""
        if text is None and self._trained is not None:
            return float(self._held_out()["carried"]["perplexity"])
        if text is None:
            raise UsageError("perplexity: a loaded model does not hold its test text: give a text.")
        return float(self._predicted(text)["perplexity"])

    def save(self, folder: str | Path) -> Path:
        """Write a portable model folder (config.json, model.safetensors, tokenizer.json, README.md).

        Raises UsageError where the folder exists: nothing is written over.
        """
        opened, path = self._fitted(), Path(folder)
        if path.exists():
            raise UsageError(f"{path}: exists, and is not written over. Choose another folder.")
        values = {
            section: asdict(options) for section, options in self._plan(()).sections.items() if section != "model"
        }
        saved = opened.saved
        config = {"run": values, OWN_CELL: own_cell(self._cell)}
        model_files.save(path, opened.model, TASK, saved.options, opened.tokenizer, saved.card, config)
        return path

    @property
    def model_(self) -> Any:
        """The torch module, in evaluation mode."""
        return self._fitted().model

    @property
    def tokenizer_(self) -> Any:
        """Text to ids and back."""
        return self._fitted().tokenizer

    @property
    def metrics_(self) -> dict[str, Any]:
        """What training measured: steps, tokens, seconds, nats of the training part, the best validation loss."""
        if self._trained is None:
            raise UsageError("metrics_: this model was loaded, not fitted.")
        result = self._trained.result
        return {
            "steps": result.steps,
            "tokens": result.tokens,
            "seconds": result.seconds,
            "nats": result.nats,
            "best_validation_nats": result.best,
            "stopped": result.stopped,
        }

    # Inside -----------------------------------------------------------------------------------------------------------

    def _plan(self, files: Sequence[str]) -> Configuration:
        given = dict(self._given)
        own = given.get("cell")
        self._cell = own if isinstance(own, type) else None
        if self._cell is not None:
            del given["cell"]
        known = [setting.name for setting in configuration.settings(schema(TASK))]
        for name in given:
            if name not in known:
                raise UsageError(
                    f"LanguageModel: {name}: no such option.{nearest(name, [*known, 'preset', 'verbose'])}"
                )
        layer = configuration.from_names(schema(TASK), given)
        planned, _ = plan(files, layer, task=TASK, preset=self.preset, cell=self._cell)
        return planned

    def _fitted(self) -> Opened:
        if self._opened is None:
            raise UsageError("this LanguageModel has learnt nothing yet: call fit, or riverrun.load a folder.")
        return self._opened

    def _predicted(self, text: str) -> dict[str, Any]:
        found = self.predict(text, k=1)
        if not found["predicted"]:
            raise DataError("the text is one token: it is read, and nothing is predicted. Give a longer one.")
        return found

    def _held_out(self) -> dict[str, Any]:
        assert self._trained is not None
        from riverrun import tasks

        prepared = self._trained.prepared
        evaluation = tasks.find(TASK).evaluate(self._fitted().model, prepared.splits.test, prepared.tokenizer)
        return dict(evaluation.as_dict())


# What `help`, editors and scikit-learn read: every option by name, made from the same dataclasses as the flags.
LanguageModel.__init__.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
    [
        inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD),
        inspect.Parameter("preset", inspect.Parameter.KEYWORD_ONLY, default="default"),
        inspect.Parameter("verbose", inspect.Parameter.KEYWORD_ONLY, default=True),
        *(
            inspect.Parameter(setting.name, inspect.Parameter.KEYWORD_ONLY, default=setting.default)
            for setting in configuration.settings(schema(TASK))
        ),
    ]
)


def load(folder: str | Path, *, device: str = "auto", cell: type[Cell] | None = None) -> LanguageModel:
    """The model in a run folder or a model folder, ready to sample and score.

    cell: the class of a model that was made with a cell of one's own. Raises ModelError where the folder is missing,
    corrupted or newer.
    """
    opened = open_model(Path(folder), device=device, cell=cell)
    values = {"model": asdict(opened.saved.options), **opened.saved.config.get("run", {})}
    # What did nothing in training is no option of the user's.
    options = {k: v for section in combinations.acting(schema(TASK), values).values() for k, v in section.items()}
    if cell is not None:
        options["cell"] = cell
    estimator = LanguageModel(**options)
    estimator._opened = opened
    return estimator


def _interpret(data: Data) -> tuple[list[str], list[str]]:
    """Texts, or files: what `data` stands for. Raises DataError for what looks like a file and is not there."""
    if data is None:
        return [], []
    if isinstance(data, Path):
        return [], [str(data)]
    if isinstance(data, str):
        if _is_path(data):
            return [], [data]
        if _looks_like_file(data):
            raise DataError(f"{data}: no such file. To train on these {len(data)} characters themselves, pass [text].")
        return [data], []
    items = list(data)
    if not items:
        raise DataError("fit: an empty list: there is nothing to learn from.")
    if all(isinstance(item, Path) or (isinstance(item, str) and _is_path(item)) for item in items):
        return [], [str(item) for item in items]
    if not all(isinstance(item, str) for item in items):
        kinds = sorted({type(item).__name__ for item in items})
        raise DataError(f"fit: expected texts or existing paths, got a list of {', '.join(kinds)}.")
    return [str(item) for item in items], []


def _is_path(text: str) -> bool:
    try:
        return bool(text) and Path(text).exists()
    except (OSError, ValueError):  # a long text is no possible file name
        return False


def _looks_like_file(text: str) -> bool:
    return len(text) < 256 and not any(c.isspace() for c in text) and bool(Path(text).suffix)
