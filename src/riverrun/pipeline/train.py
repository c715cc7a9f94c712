"""train: the whole of a training run, from a configuration to a model; in a run folder, where there is one.

read -> vocabulary -> tokens -> parts -> streams -> model -> fit -> model/. What is decided on the way
(task, split, kernel, precision) is said with the reason.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch

from riverrun import run as runs
from riverrun import tasks
from riverrun.cells.cell import Cell
from riverrun.configuration import Configuration
from riverrun.data import builtin
from riverrun.data.readers import named
from riverrun.errors import DataError, UsageError
from riverrun.files import remove_folder, write_atomic
from riverrun.layers.recurrent import Recurrent
from riverrun.models import files as model_files
from riverrun.pipeline.together import prepare_together
from riverrun.run import RunFolder
from riverrun.tasks.task import Corpus, Prepared, Say
from riverrun.training import checkpoints, distributed, hardware
from riverrun.training.checkpoints import Checkpoint
from riverrun.training.log import Log, TensorBoard
from riverrun.training.loop import Event, Result, fit

OWN_CELL = "own_cell"  # the key under which config.json names a cell that is not riverrun's
Events = Callable[[Event], None]


class Trained(NamedTuple):
    """A run that has ended: with its budget, on a signal, or out of patience (`result.stopped`)."""

    model: Any
    configuration: Configuration
    prepared: Prepared
    result: Result
    run: RunFolder | None
    cell: type[Cell] | None


class Assembled(NamedTuple):
    """Everything that training needs, built and not yet moved."""

    configuration: Configuration
    prepared: Prepared
    model: Any
    batches: Any
    device: torch.device
    precision: hardware.Precision
    cell: type[Cell] | None  # one of the caller's own, in place of the one that the configuration names

    @property
    def parameters(self) -> int:
        """How many numbers are learnt."""
        return sum(p.numel() for p in self.model.parameters())


def gather(configuration: Configuration) -> Corpus:
    """The corpus of a configuration. Raises DataError where a file is missing or unreadable."""
    if "-" in configuration.files and len(configuration.files) > 1:
        raise DataError("-: standard input is one text; give it alone, or put it into a file.")
    corpus: Corpus = tasks.find(configuration.task).read(configuration.files, configuration.sections["data"])
    return corpus


def assemble(
    configuration: Configuration,
    corpus: Corpus,
    *,
    coder: Any = None,
    record: Mapping[str, Any] | None = None,
    cell: type[Cell] | None = None,
    cache: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Assembled:
    """Read and split the data, build model and batches: everything that can go wrong before a run begins does here.

    coder, record: of a run that goes on, what turns its items into numbers, and its data.json.
    """
    task, training = tasks.find(configuration.task), configuration.sections["training"]
    device = hardware.choose_device(training.device)
    ranks = distributed.connect(device)
    precision = hardware.choose_precision(training.precision, device, rows=training.rows, ragged=training.ragged)
    hardware.use_threads(training.threads)
    if training.tensorboard:
        TensorBoard.needed()

    def make(made: Any, checked: bool) -> Prepared:
        prepared: Prepared = task.prepare(
            corpus,
            configuration.sections,
            coder=made or coder,
            select=training.selects,
            cache=cache,
            checked=checked,
            progress=progress,
            record=record,
        )
        return prepared

    prepared = prepare_together(task, make)
    with named(corpus):
        batches = task.batches(prepared, training, rank=ranks.rank, world=ranks.world)
    torch.manual_seed(training.seed)  # of the initial weights; `fit` seeds again for everything after
    model = task.model(configuration.sections["model"], prepared.coder, cell=cell)
    return Assembled(configuration, prepared, model, batches, device, precision, cell)


def kernels(assembled: Assembled) -> dict[str, str]:
    """For each recurrent layer, which kernel trains it here and why."""
    found: dict[str, str] = {}
    for name, layer in assembled.model.named_modules():
        if isinstance(layer, Recurrent):
            prefix = "" if name == "recurrent" else f"{name}."
            found |= {f"{prefix}{part}": why for part, why in layer.explain().items()}
    return found


def describe(assembled: Assembled, reason: str) -> list[str]:
    """What is about to be trained, on what and why: the first lines of a run."""
    prepared = assembled.prepared
    training = assembled.configuration.sections["training"]
    names = [file.path for file in prepared.files]
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    lines = [
        f"task       {assembled.configuration.task}: {reason}",
        f"data       {shown}",
        *prepared.lines(),
        f"model      {model_words(assembled.configuration, assembled.cell)}, {assembled.parameters:,} parameters",
    ]
    lines += [f"kernel     {line}" for line in dict.fromkeys(kernels(assembled).values())]
    lines.append(f"precision  {assembled.precision.name} on {assembled.device}: {assembled.precision.reason}")
    lines.append(f"budget     {training.budget()}, seed {training.seed}, {torch.get_num_threads()} threads")
    return lines


def model_words(configuration: Configuration, cell: type[Cell] | None) -> str:
    """The model in a few words."""
    words: str = configuration.sections["model"].words("" if cell is None else f"{cell.__name__} (a cell of one's own)")
    return words


def open_folder(
    assembled: Assembled, corpus: Corpus, wanted: Path, command: Sequence[str]
) -> tuple[Assembled, RunFolder]:
    """Make the run folder (never an old one) with run.toml, data.json and env.json in it.

    Text that lies in no file is kept there in input/, so that the run can be resumed and repeated.
    """
    ranks = distributed.ranks()
    if ranks.world > 1:
        folder = runs.create(wanted) if ranks.rank == 0 else None
        chosen = distributed.gather(str(folder.path if folder else "").encode(), assembled.device)[0]
        run = RunFolder(Path(chosen.decode()))
    else:
        run = runs.create(wanted)
    configuration = _keep_input(corpus, assembled.configuration, run, write=ranks.rank == 0)
    assembled = assembled._replace(configuration=configuration)
    if ranks.rank == 0:
        run.write_json("data.json", {"task": configuration.task, **assembled.prepared.record()})
        run.write_json("env.json", environment(assembled, command))
        write_atomic(run.configuration, configuration.toml().encode())  # last: with it the folder is a run's
    return assembled, run


def environment(assembled: Assembled, command: Sequence[str]) -> dict[str, Any]:
    """What env.json holds."""
    choices = {
        "device": str(assembled.device),
        "precision": assembled.precision.name,
        "precision_reason": assembled.precision.reason,
        "threads": torch.get_num_threads(),
        "kernels": kernels(assembled),
        "own_cell": own_cell(assembled.cell),
    }
    return runs.environment(command, choices)


def _keep_input(corpus: Corpus, configuration: Configuration, run: RunFolder, *, write: bool) -> Configuration:
    """Copy what lies in no file (standard input, a Python call's data) into the run folder, and name it there."""
    if configuration.files not in ((), ("-",)) or corpus.sources[0].name == builtin.name():
        return configuration
    folder = run.path / "input"
    if write:
        folder.mkdir()
        for number, source in enumerate(corpus.sources, 1):
            suffix = Path(source.name).suffix or ".txt"
            with source.open() as given, (folder / f"{number:06}{suffix}").open("wb") as file:
                shutil.copyfileobj(given, file)
    sections = {**configuration.sections, "data": corpus.options}  # the encoding of these files
    return configuration._replace(files=(str(folder.absolute()),), sections=sections)


def carry_out(
    assembled: Assembled,
    run: RunFolder | None,
    *,
    events: Events | None = None,
    resume: Checkpoint | None = None,
) -> Trained:
    """Train what was assembled; in a run folder, save checkpoints on the way, and model/ at the end or on a signal."""
    configuration, prepared, model = assembled.configuration, assembled.prepared, assembled.model
    task, training = tasks.find(configuration.task), configuration.sections["training"]
    static = {"run.toml": configuration.toml().encode(), **task.save_coder(prepared.coder)}
    result = fit(
        model,
        assembled.batches,
        training,
        folder=run.path if run else None,
        evaluate=(lambda: task.validate(model, prepared)) if prepared.valid is not None else None,
        sample=(lambda: task.sample(model, prepared.coder, training.seed)) if events is not None else None,
        events=events,
        resume=resume,
        static=static,
    )
    model.load_state_dict(result.weights)
    model.eval()
    trained = Trained(model, configuration, prepared, result, run, assembled.cell)
    if run is not None and distributed.ranks().rank == 0:
        save_model(trained, run.model)
    return trained


def recorders(assembled: Assembled, run: RunFolder) -> list[Events]:
    """What keeps a run's events: log.jsonl always, TensorBoard where asked for."""
    found: list[Events] = [Log(run.log)]
    if assembled.configuration.sections["training"].tensorboard:
        found.append(TensorBoard(run.path / "tensorboard"))
    return found


def save_model(trained: Trained, folder: Path) -> None:
    """Write the portable model folder with its card."""
    sections, task = trained.configuration.sections, tasks.find(trained.configuration.task)
    config = {OWN_CELL: own_cell(trained.cell), "run": kept(sections)}
    coder = task.save_coder(trained.prepared.coder)
    model_files.save(folder, trained.model, task.name, sections["model"], coder, card(trained), config)


def kept(sections: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What config.json holds of a run's options beside the model's, by section."""
    return {section: asdict(options) for section, options in sections.items() if section != "model"}


def own_cell(cell: type[Cell] | None) -> str | None:
    """The name of a cell of the caller's own, as config.json and env.json keep it."""
    return None if cell is None else cell.__name__


def card(trained: Trained) -> str:
    """The model card: what it is, what it was trained on, how well it does, how to use it."""
    prepared, result, configuration = trained.prepared, trained.result, trained.configuration
    title, use = tasks.find(configuration.task).card(prepared)
    sources = "\n".join(f"- {file.path} ({file.bytes:,} bytes, SHA-256 {file.sha256})" for file in prepared.files[:20])
    data = "\n".join(f"- {line}" for line in prepared.lines())
    nats = "not measured" if result.nats is None else f"{result.nats:.4f} nats per prediction"
    return f"""# {title} made by riverrun

{model_words(configuration, trained.cell)}.

Trained in {result.steps:,} updates and {result.seconds / 60:.1f} minutes; the last training loss was {nats}. Held-out
figures lie in the run folder's eval/metrics.json.

Data:

{sources}

{data}

Use: {use}

Limits: it repeats what it read, with its errors and biases, and knows nothing else. It checks no facts.
"""


def train(
    configuration: Configuration,
    corpus: Corpus,
    *,
    wanted: Path | None,
    reason: str = "asked for",
    cell: type[Cell] | None = None,
    say: Say | None = None,
    events: Callable[[Assembled, RunFolder | None], Events | None] | None = None,
    progress: Callable[[int, int], None] | None = None,
    command: Sequence[str] = tuple(sys.argv),
) -> Trained:
    """A new run. wanted: its folder (the next free name is taken), None for none.

    events: called once the run is set up, gives what is told of its events. Nothing is written before the data has been
    read, split and dealt, and the model built; but for the tokens of a corpus too large for memory, beside the folder.
    """
    cache = runs.token_arrays(wanted) if wanted is not None else None
    assembled = assemble(configuration, corpus, cell=cell, cache=cache, progress=progress)
    run = None
    if say is not None and distributed.ranks().rank == 0:
        for line in describe(assembled, reason):
            say(line)
    if wanted is not None:
        assembled, run = open_folder(assembled, corpus, wanted, command)
    return carry_out(assembled, run, events=events(assembled, run) if events else None)


def resume(
    run: RunFolder,
    configuration: Configuration,
    *,
    warn: Say,
    cell: type[Cell] | None = None,
    say: Say | None = None,
    events: Callable[[Assembled, RunFolder | None], Events | None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Trained:
    """Go on with a run from its last good checkpoint, over the same data (checked by SHA-256), with the same options.

    Raises ModelError where no checkpoint can be read, DataError where the data has changed.
    """
    own = run.read_json("env.json").get("own_cell")
    if own and cell is None:
        raise UsageError(
            f"{run.path}: trained with a cell of one's own, {own}: only the program that has it can go on."
        )
    # A run that was killed before its first checkpoint has learnt nothing, and is begun anew.
    checkpoint = checkpoints.load(run.path, warn=warn) if checkpoints.steps(run.path) else None
    coder = tasks.find(configuration.task).load_coder(checkpoint.files) if checkpoint is not None else None
    corpus = gather(configuration)
    record = run.read_json("data.json")
    assembled = assemble(
        configuration,
        corpus,
        coder=coder,
        record=record,
        cell=cell,
        cache=run.tokens,
        progress=progress,
    )
    recorded = {file["sha256"] for file in record["files"]}
    for file in assembled.prepared.files:
        if file.sha256 not in recorded:
            raise DataError(
                f"{file.path}: no longer the file that the run was begun with (its SHA-256 has changed). "
                "Restore it, or train anew."
            )
    if say is not None and distributed.ranks().rank == 0:
        for line in describe(assembled, f"as in {run.configuration}"):
            say(line)
        say(
            "resume     from the beginning: the run has no checkpoint yet"
            if checkpoint is None
            else f"resume     from step {checkpoint.step:,} ({checkpoint.path})"
        )
    # A model that an earlier stop left would be older than the checkpoints to come, and be taken for the run's own.
    if distributed.ranks().rank == 0:
        remove_folder(run.model)
    return carry_out(assembled, run, events=events(assembled, run) if events else None, resume=checkpoint)
