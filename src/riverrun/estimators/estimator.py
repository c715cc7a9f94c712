"""Estimator: what all of riverrun's estimators share, by scikit-learn's rules.

Options in the constructor, `fit` returns self, `get_params`, `save`, `load`. A task's own class adds what its models
are asked for.
"""

from __future__ import annotations

import inspect
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from riverrun import combinations, configuration, tasks
from riverrun.cells.cell import Cell
from riverrun.configuration import Configuration
from riverrun.data.sources import looks_like_file
from riverrun.errors import DataError, UsageError, nearest
from riverrun.models import files as model_files
from riverrun.pipeline.opened import Opened, open_model
from riverrun.pipeline.plan import plan
from riverrun.pipeline.train import OWN_CELL, Assembled, Trained, card, gather, kept, own_cell, recorders, train
from riverrun.run import RunFolder
from riverrun.tasks.task import Corpus
from riverrun.training.progress import Progress

PLAIN = ("preset", "verbose")  # options that are no keys of a run.toml


class Estimator(ABC):
    """Every key of a run.toml of the task is an option, under the same name and with the same default.

    `get_params()` lists them. A name that is none of them is an error, and so is a value that would do nothing beside
    the others. Two more:

    preset: a named starting point, as of `riverrun presets`; its budget holds where none is given.
    verbose: show progress on standard error.
    cell may also be a class of one's own with a `step`; `load` then needs it again.

    After `fit`: `metrics_` (what training measured), `model_` (the torch module).
    """

    task: ClassVar[str]

    def __init__(self, *, preset: str = "default", verbose: bool = True, **options: Any) -> None:
        self.preset = preset
        self.verbose = verbose
        self._given = dict(options)
        self._cell: type[Cell] | None = None
        self._trained: Trained | None = None
        self._opened: Opened | None = None
        self._plan(())  # so that a wrong option is told here, not by `fit`

    def __init_subclass__(cls) -> None:
        # What `help`, editors and scikit-learn read: every option by name, made from the same dataclasses as the flags.
        keyword = inspect.Parameter.KEYWORD_ONLY
        first = [
            inspect.Parameter("preset", keyword, default="default"),
            inspect.Parameter("verbose", keyword, default=True),
        ]
        found = [
            inspect.Parameter(setting.name, keyword, default=setting.default)
            for setting in configuration.settings(tasks.find(cls.task).sections)
        ]
        cls.__signature__ = inspect.Signature([*first, *found])  # type: ignore[attr-defined]

    # scikit-learn's rules ---------------------------------------------------------------------------------------------

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Every option and its value, as the constructor takes them."""
        values = configuration.flatten(self._plan(()).sections.values())
        if self._cell is not None:
            values["cell"] = self._cell
        return {"preset": self.preset, "verbose": self.verbose, **values}

    def set_params(self, **options: Any) -> Self:
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
        return f"{type(self).__name__}(preset={self.preset!r}{shown})"

    def __sklearn_is_fitted__(self) -> bool:
        return self._opened is not None

    # Learning ---------------------------------------------------------------------------------------------------------

    @abstractmethod
    def _corpus(self, planned: Configuration, X: Any, y: Any) -> Corpus:
        """What `fit` was given, as the task's corpus; files are `planned.files` then."""

    def _fit(self, X: Any, y: Any, *, files: Sequence[str], given: dict[str, Any], run: str | Path | None) -> None:
        """Train. files: where X names files. given: options that `fit` itself was told (`valid`, `text`, ...)."""
        planned = self._plan(files, given)
        for name, kept_there in (("tensorboard", "its files lie"), ("checkpoint_every", "checkpoints lie")):
            if getattr(planned.sections["training"], name) and run is None:
                raise UsageError(f"{name}: {kept_there} in the run folder, and there is none. Give fit a `run`.")
        corpus = gather(planned) if files else self._corpus(planned, X, y)
        progress: list[Progress] = []

        def events(assembled: Assembled, folder: RunFolder | None) -> Any:
            from riverrun.training.log import fan_out

            shown = Progress(unit=tasks.find(self.task).unit, characters=assembled.prepared.characters)
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
        sections = trained.configuration.sections
        config = {"run": kept(sections), OWN_CELL: own_cell(self._cell)}
        self._opened = Opened(
            tasks.find(self.task),
            trained.model,
            trained.prepared.coder,
            sections,
            device,
            trained.run,
            config,
            card(trained),
        )

    # Using ------------------------------------------------------------------------------------------------------------

    def save(self, folder: str | Path) -> Path:
        """Write a portable model folder (config.json, model.safetensors, the vocabulary, README.md).

        Raises UsageError where the folder exists: nothing is written over.
        """
        opened, path = self._fitted(), Path(folder)
        if path.exists():
            raise UsageError(f"{path}: exists, and is not written over. Choose another folder.")
        coder = opened.task.save_coder(opened.coder)
        config = {OWN_CELL: own_cell(self._cell), "run": kept(opened.sections)}
        model_files.save(path, opened.model, self.task, opened.sections["model"], coder, opened.card, config)
        return path

    @property
    def model_(self) -> Any:
        """The torch module, in evaluation mode."""
        return self._fitted().model

    @property
    def metrics_(self) -> dict[str, Any]:
        """What training measured: steps, tokens (words, texts), seconds, nats of training, the best validation loss."""
        if self._trained is None:
            raise UsageError("metrics_: this model was loaded, not fitted.")
        result = self._trained.result
        return {
            "steps": result.steps,
            tasks.find(self.task).unit: result.tokens,
            "seconds": result.seconds,
            "nats": result.nats,
            "best_validation_nats": result.best,
            "stopped": result.stopped,
        }

    def _held_out(self) -> dict[str, Any]:
        """The metrics of the test part of what `fit` was given."""
        if self._trained is None:
            raise UsageError("a loaded model does not hold its test data: give some.")
        training = self._trained.configuration.sections["training"]
        model, prepared = self._fitted().model, self._trained.prepared
        task = tasks.find(self.task)
        return task.measure(model, prepared, training=training, say=lambda line: None, baselines=False)

    # Inside -----------------------------------------------------------------------------------------------------------

    def _plan(self, files: Sequence[str], more: dict[str, Any] | None = None) -> Configuration:
        given = {**self._given, **(more or {})}
        own = given.get("cell")
        self._cell = own if isinstance(own, type) else None
        if self._cell is not None:
            del given["cell"]
        schema = tasks.find(self.task).sections
        known = [setting.name for setting in configuration.settings(schema)]
        for name in given:
            if name not in known:
                raise UsageError(f"{type(self).__name__}: {name}: no such option.{nearest(name, [*known, *PLAIN])}")
        layer = configuration.from_names(schema, given)
        planned, _ = plan(files, layer, task=self.task, preset=self.preset, cell=self._cell)
        return planned

    def _fitted(self) -> Opened:
        if self._opened is None:
            raise UsageError(f"this {type(self).__name__} has learnt nothing yet: call fit, or riverrun.load a folder.")
        return self._opened


def restored(kind: type[Estimator], opened: Opened, cell: type[Cell] | None) -> Estimator:
    """An estimator around a model that was opened."""
    schema = tasks.find(kind.task).sections
    values = {section: configuration.flatten([options]) for section, options in opened.sections.items()}
    # What did nothing in training is no option of the user's.
    options = {k: v for section in combinations.acting(schema, values).values() for k, v in section.items()}
    if cell is not None:
        options["cell"] = cell
    estimator = kind(**options)
    estimator._opened = opened
    return estimator


def opened_at(folder: str | Path, device: str, cell: type[Cell] | None) -> Opened:
    """The model in a folder."""
    return open_model(Path(folder), device=device, cell=cell)


def paths_of(data: Any) -> list[str]:
    """The files that `data` stands for, none where it is data itself.

    Raises DataError for what looks like a file and is not there.
    """
    if isinstance(data, Path):
        return [str(data)]
    if isinstance(data, str):
        if is_path(data):
            return [data]
        if looks_like_file(data):
            raise DataError(f"{data}: no such file. To train on these {len(data)} characters themselves, pass [text].")
        return []
    if isinstance(data, Sequence) and data and all(_names_file(item) for item in data):
        return [str(item) for item in data]
    return []


def _names_file(item: Any) -> bool:
    return isinstance(item, Path) or (isinstance(item, str) and is_path(item))


def is_path(text: str) -> bool:
    """Whether there is such a path."""
    try:
        return bool(text) and Path(text).exists()
    except (OSError, ValueError):  # a long text is no possible file name
        return False
