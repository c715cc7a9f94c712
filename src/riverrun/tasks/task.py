"""The contract of a task: one frozen declaration, read by the command line, the estimators, the docs and the tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from riverrun.configuration import Values

if TYPE_CHECKING:
    from riverrun.data.readers import FileRecord
    from riverrun.data.sources import Source


class Metric(NamedTuple):
    """A figure that the task is judged by. name: its key in eval/metrics.json. better: "lower" or "higher"."""

    name: str
    unit: str
    better: str


class Preset(NamedTuple):
    """A named layer of values. `expected` is what was measured, with the time; the command is in `benchmarks/`."""

    name: str
    task: str
    summary: str
    values: Values
    expected: str


class Given(NamedTuple):
    """What `riverrun predict` is given: a file's name ("text" where it is none) and its bytes.

    terminal: whether what comes out is read in one, and may be coloured.
    """

    name: str
    data: bytes
    terminal: bool = False


class Predicted(NamedTuple):
    """What a task makes of it: `text` for standard output, `notes` for standard error, `result` for --json."""

    text: str
    notes: Sequence[str]
    result: Any


class Corpus(Protocol):
    """What was asked to be read. sources: the files, or what a Python call gave, to be read as often as wanted."""

    @property
    def name(self) -> str: ...
    @property
    def sources(self) -> list[Source]: ...
    @property
    def options(self) -> Any: ...


class Prepared(Protocol):
    """Data that is ready to be trained on.

    coder: what turns items into numbers and numbers back (a tokenizer, with labels, ...); it is saved with the model.
    valid: the part that selects, None where there is none. files: a record of every file read.
    characters: how many characters a predicted token has on average, where progress is told in them; else None.
    """

    @property
    def coder(self) -> Any: ...
    @property
    def valid(self) -> Any: ...
    @property
    def files(self) -> list[FileRecord]: ...
    @property
    def characters(self) -> float | None: ...
    def record(self) -> dict[str, Any]:
        """What data.json holds: schema, SHA-256 of every file, split rule, counts, rows dropped."""
        ...

    def lines(self) -> list[str]:
        """What is said of it before training: lines that begin with a word of at most 10 letters, padded to 11."""
        ...

    def peek(self) -> tuple[dict[str, Any], list[str]]:
        """What `riverrun data peek` shows beyond that, as facts and as lines: what is common, how the data begin."""
        ...


class Written(Protocol):
    """Where results of a run are kept (run.RunFolder)."""

    def write_json(self, name: str, content: Any) -> Any: ...


Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a job consists of, from the file to the report, in the order in which data meet it.

    A task is declared once, in a file of its own. The functions import what they need when they are called, so that
    reading a declaration (for `--help`) needs no torch.
    """

    name: str
    """As `--task` takes it."""
    summary: str
    """One line for `--help` and the docs."""
    sections: Mapping[str, type]
    """Section of run.toml -> its frozen options dataclass: the single source of flags, TOML, docs and defaults."""
    presets: tuple[Preset, ...]
    """Named starting points; the first is the one that holds where none is named."""
    infer: Callable[[Sequence[str], str], str | None]
    """(paths, their encoding) -> the sentence why they are this task's data, or None where they are not."""
    fallback: bool = False
    """Whether the task is asked last: it takes whatever no other one does."""
    read: Callable[..., Any]
    """(paths, data options) -> the corpus."""
    given: Callable[..., Any]
    """(X, y, data options) -> the corpus of what a Python call gave, in memory."""
    prepare: Callable[..., Any]
    """(corpus, sections, *, coder=, select=, cache=, checked=, progress=, record=) -> Prepared.

    coder: that of a run that goes on, or of another process; None: it is made of the training part. select: whether
    something is selected on a validation part. cache: the folder where arrays too large for memory go; checked: what
    lies there is trusted. record: data.json of a run that goes on.
    """
    save_coder: Callable[..., dict[str, bytes]]
    """coder -> files of the model folder."""
    load_coder: Callable[..., Any]
    """files of a model folder, by name -> the coder."""
    batches: Callable[..., Any]
    """(prepared, training options, *, rank=, world=) -> an endless source of batches, with its cursor."""
    model: Callable[..., Any]
    """(model options, coder, *, cell=) -> the module, whose `loss(batch, state)` is what training lowers."""
    validate: Callable[..., float]
    """(model, prepared) -> nats per predicted token or item of the validation part."""
    sample: Callable[..., str]
    """(model, coder, seed) -> what is shown of the model while it trains; "" for nothing."""
    metrics: tuple[Metric, ...]
    """What is measured; the first is the one that comparisons use."""
    measure: Callable[..., dict[str, Any]]
    """(model, prepared, *, training, say, baselines) -> eval/metrics.json, of the test part; its table is said."""
    measure_other: Callable[..., dict[str, Any]]
    """(model, coder, sections, corpus, *, say, beside=None) -> the same of other data.

    beside: the Prepared data of the run, where baselines are wanted too."""
    conclude: Callable[..., dict[str, Any]]
    """(run, model, prepared, metrics, *, say, seed) -> facts for --json; writes the rest of eval/ for the report."""
    prediction: type
    """The frozen options dataclass of `riverrun predict`."""
    predict: Callable[..., Predicted]
    """(model, coder, sections, given, options of prediction) -> Predicted."""
    card: Callable[..., tuple[str, str]]
    """prepared -> title and use of the model card."""
    unit: str
    """What training counts, in the plural: tokens, words, texts."""
    report: tuple[str, ...]
    """The parts of report.html, in order."""
