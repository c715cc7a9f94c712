"""fit: the plain loop. Batch, loss, gradient, guard, update; evaluate, sample and save now and then; stop in time."""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from riverrun.errors import ModelError, UsageError
from riverrun.models.protocol import State
from riverrun.training import checkpoints, distributed, hardware, snapshot
from riverrun.training.averages import Average, triggers
from riverrun.training.checkpoints import Checkpoint
from riverrun.training.guard import Guard
from riverrun.training.options import TrainingOptions
from riverrun.training.schedules import Budget, Selection, due, rate
from riverrun.training.signals import StopSignals
from riverrun.training.tally import Tally, plain
from riverrun.training.update import Updater

Event = dict[str, Any]
SAVE_SECONDS = 60.0  # between checkpoints, where no number of steps is given


class Batches(Protocol):
    """What `fit` draws from: endless batches, whose cursor can be saved. data.streams.Streams is one.

    A batch is a named tuple with `tokens`, how many are predicted, `position`, which names it in an error, and `scale`,
    what the learning rate is multiplied with.
    """

    @property
    def epoch(self) -> float: ...
    def next(self) -> Any: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any], /) -> None: ...


class Result(NamedTuple):
    """How a run ended.

    steps, tokens, seconds: updates made, tokens predicted (over all ranks) and time taken, earlier parts included.
    nats: training loss per token over the last steps told; None where there were none.
    stopped: "budget", "patience" or "signal" (number: which one, else 0).
    best, best_step: the lowest validation loss and where it was, None without evaluations.
    weights: the state dict to evaluate and export: the best validated one; without validation the averaged weights,
        without averaging the last ones. The model itself holds the last ones: `model.load_state_dict(result.weights)`.
    skipped: batches that were left out because their numbers were not finite.
    """

    steps: int
    tokens: int
    seconds: float
    nats: float | None
    stopped: str
    number: int
    best: float | None
    best_step: int | None
    weights: dict[str, Tensor]
    skipped: int


def fit(
    model: nn.Module,
    streams: Batches,
    options: TrainingOptions,
    *,
    folder: Path | None = None,
    evaluate: Callable[[], float] | None = None,
    sample: Callable[[], str] | None = None,
    events: Callable[[Event], None] | None = None,
    resume: Checkpoint | None = None,
    static: Mapping[str, bytes] | None = None,
) -> Result:
    """Train a model until its budget is used up, a signal comes or patience ends.

    model: an nn.Module with `loss(batch, state) -> Loss` (models/protocol.py); it is moved to the device and precision.
    folder: the run's folder, for checkpoints; None keeps nothing. static: files that go into every checkpoint too.
    evaluate: the validation loss of the model as it is when called (nats per token); sample: a text that it writes.
        Both are called with the averaged weights where there are such, in evaluation mode, and draw no random numbers
        from training's generators.
    events: is told what happens, as plain values: start, step, evaluation, sample, checkpoint, skipped, warning, end.
    resume: a checkpoint of the same model, data and options: the run goes on as if it had never stopped.

    Raises UsageError for options that do not fit together, Diverged where the numbers stay bad, ModelError for a
    checkpoint of something else.
    """
    if not options.budget():
        raise UsageError("minutes, steps or epochs: expected a budget; got none.")
    if options.selects and evaluate is None:
        raise UsageError(
            "patience, evaluate_every, schedule plateau and optimiser asgd look at a validation part; there is none. "
            "Give one, or leave them out."
        )
    if resume is None and folder is not None and checkpoints.steps(folder):
        raise UsageError(
            f"{checkpoints.place(folder)}: holds checkpoints of an earlier run. Resume it, or use another folder."
        )
    run = _Run(model, streams, options, folder, evaluate, sample, events, dict(static or {}))
    if resume is not None:
        run.restore(resume)
    return run.train()


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


class _Run:
    """The moving parts of one call of `fit`."""

    def __init__(
        self,
        model: nn.Module,
        streams: Batches,
        options: TrainingOptions,
        folder: Path | None,
        evaluate: Callable[[], float] | None,
        sample: Callable[[], str] | None,
        events: Callable[[Event], None] | None,
        static: dict[str, bytes],
    ) -> None:
        self.ranks = distributed.ranks()
        self.device = hardware.choose_device(options.device)
        if self.device.type == "cuda" and self.device.index is None:
            self.device = torch.device("cuda", self.ranks.local)
        self.precision = hardware.choose_precision(
            options.precision, self.device, rows=options.rows, ragged=options.ragged
        )
        hardware.use_threads(options.threads)
        _seed(options.seed + 1_000_003 * self.ranks.rank)  # ranks draw different masks
        self.model = model.to(device=self.device, dtype=self.precision.weights)
        if self.ranks.world > 1:
            distributed.spread(model)
        self.updater = Updater(model, options, self.device, self.precision, self.ranks)
        self.streams, self.options, self.folder, self.static = streams, options, folder, static
        self.evaluate, self.sample = evaluate, sample
        self.events = events if self.ranks.rank == 0 else None
        self.budget, self.selection = Budget.of(options), Selection()
        self.validated: list[float] = []
        self.best_weights: dict[str, Tensor] | None = None
        self.state: State = None
        self.step, self.tokens, self.stop = 0, 0, 0
        self.seconds, self.step_seconds = 0.0, 0.0  # elapsed, as all ranks see it; of the last step
        self.aside = {"evaluation": 0.0, "sample": 0.0}  # how long the last one took
        self.fraction = 0.0

    def train(self) -> Result:
        self.started = time.perf_counter() - self.seconds
        self.saved_at = self.seconds
        tally = Tally(self.tokens, self.seconds)
        self.tell("start", **self._facts())
        if self.step == 0 and self.folder is not None:
            self.save(best=False)
        self.model.train()
        stopped = "budget" if self.fraction >= 1 else ""
        with StopSignals() as signals, hardware.no_subnormal_results():
            while not stopped:
                before = self.fraction
                lr, nats, norm, tokens = self._step(signals)
                tally.add(nats, tokens)
                over = self.fraction >= 1
                if over or self.stop or tally.due(self.seconds):
                    values = tally.flush(self.tokens, self.seconds)
                    self.tell("step", **values, lr=lr, gradient_norm=plain(norm), fraction=self.fraction)
                improved = not self.stop and self._watch(before, over)
                if self.stop:
                    stopped = "signal"
                elif over:
                    stopped = "budget"
                elif 0 < self.options.patience <= self.selection.since:
                    stopped = "patience"
                if self.folder is not None and (improved or stopped or self._save_due()):
                    self.save(best=improved)
        self.tell("end", tokens=self.tokens, stopped=stopped)
        return Result(
            steps=self.step,
            tokens=self.tokens,
            seconds=self.seconds,
            nats=tally.last,
            stopped=stopped,
            number=self.stop,
            best=self.selection.best,
            best_step=self.selection.best_step,
            weights=self.best_weights or self._weights(),
            skipped=self.updater.guard.skipped,
        )

    def _step(self, signals: StopSignals) -> tuple[float, float, float, int]:
        """One update; returns the learning rate, the sum of nats, the gradient's norm and the tokens."""
        began, epoch = self.seconds, self.streams.epoch
        batches = [self.streams.next() for _ in range(self.options.accumulate)]
        lr = self._rate(epoch, batches[0].scale)

        def share() -> list[float]:
            return [signals.received, self._now() if self.ranks.rank == 0 else 0.0]

        update = self.updater.update(batches, self.state, lr, step=self.step + 1, share=share)
        self.step, self.tokens, self.state = self.step + 1, self.tokens + update.tokens, update.state
        self.stop, self.seconds = int(update.shared[0]), update.shared[1]
        if self.ranks.world == 1:
            self.stop, self.seconds = signals.received, self._now()
        self.step_seconds = self.seconds - began
        self.fraction = max(self.fraction, self._fraction())
        if not update.made:
            where = batches[-1].position
            self.tell("skipped", nats=plain(update.nats), gradient_norm=plain(update.norm), position=where)
        return lr, update.nats, update.norm, update.tokens

    def _rate(self, epoch: float, scale: float) -> float:
        """The learning rate of the step at hand, at its middle: neither the first nor the last step is lost to a 0."""
        middle = self.budget.fraction(
            self.step + 0.5,
            (epoch + self.streams.epoch) / 2,
            self.seconds + self.step_seconds / 2,
            reserve=self._reserve(),
        )
        share = rate(self.options.schedule, middle, warmup=self.options.warmup, final=self.options.final_lr)
        return self.options.lr * share * self.selection.factor_of(self.options.schedule) * scale

    def _fraction(self) -> float:
        return self.budget.fraction(self.step, self.streams.epoch, self.seconds, reserve=self._reserve())

    def _reserve(self) -> float:
        """Seconds of a time budget to leave for the evaluation and the sample at its end."""
        return sum(self.aside.values())

    def _now(self) -> float:
        return time.perf_counter() - self.started

    # Watching ---------------------------------------------------------------------------------------------------------

    def _watch(self, before: float, over: bool) -> bool:
        """Evaluate and sample where it is time; True where the evaluation is the best so far."""
        options, improved = self.options, False
        if self.evaluate is not None and (over or due(options.evaluate_every, self.step, before, self.fraction)):
            value = float(self._aside("evaluation", self.evaluate))
            if self.ranks.world > 1:
                value = distributed.agree(value, self.device)
            improved = self.selection.update(self.step, value)
            self.tell("evaluation", valid_nats=plain(value), best=improved)
            if improved:
                self.best_weights = self._weights()
            self._trigger(value)
        wanted = self.sample if self.ranks.rank == 0 else None
        if wanted is not None and (over or due(options.sample_every, self.step, before, self.fraction)):
            text = self._aside("sample", wanted)
            if text:
                self.tell("sample", text=text)
        return improved

    def _trigger(self, value: float) -> None:
        self.validated.append(value)
        if self.options.optimiser == "asgd" and self.updater.average is None and triggers(self.validated):
            self.updater.average = Average(self.model, 0.0)
            self.tell("averaging", text="averaged SGD begins to average")

    def _aside(self, what: str, look: Callable[[], Any]) -> Any:
        """Call back with the weights to judge, in evaluation mode, leaving torch's generators as they were."""
        began = self._now()
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices), self._averaged():
            self.model.eval()
            try:
                return look()
            finally:
                self.model.train()
                if self.ranks.world == 1:
                    self.seconds = self._now()
                    self.aside[what] = self.seconds - began

    def _averaged(self) -> AbstractContextManager[None]:
        return self.updater.average.applied() if self.updater.average is not None else nullcontext()

    def _weights(self) -> dict[str, Tensor]:
        """A copy of the weights to judge and keep."""
        with self._averaged():
            return {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}

    def tell(self, event: str, **values: Any) -> None:
        if self.events is not None:
            self.events({"event": event, "step": self.step, "seconds": round(self.seconds, 3), **values})

    def _facts(self) -> Event:
        return {
            "budget": self.options.budget(),
            "device": str(self.device),
            "precision": self.precision.name,
            "precision_reason": self.precision.reason,
            "threads": torch.get_num_threads(),
            "ranks": self.ranks.world,
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "resumed": self.step > 0,
            "limits": {"steps": self.budget.steps, "epochs": self.budget.epochs, "seconds": self.budget.seconds},
        }

    # Saving -----------------------------------------------------------------------------------------------------------

    def _save_due(self) -> bool:
        if self.options.checkpoint_every:
            return self.step % self.options.checkpoint_every == 0
        return self.seconds - self.saved_at >= SAVE_SECONDS

    def save(self, *, best: bool) -> None:
        """Write a checkpoint. Where that fails (disk full), say so and go on: those before it are untouched."""
        assert self.folder is not None
        own = snapshot.rank_files(self.ranks.rank, self.state, self.streams.state_dict(), self.device)
        files = dict(own)
        if self.ranks.world > 1:
            files = {}
            for name in own:
                for rank, data in enumerate(distributed.gather(own[name], self.device)):
                    files[name.replace(f"rank-{self.ranks.rank}.", f"rank-{rank}.")] = data
        self.saved_at = self.seconds
        if self.ranks.rank != 0:
            return
        files["model.safetensors"] = snapshot.model_bytes(self.model)
        if self.updater.average is not None:
            files["average.safetensors"] = save_tensors(
                {name: tensor.cpu().contiguous() for name, tensor in self.updater.average.tensors().items()}
            )
        files["optimizer.safetensors"], values = snapshot.optimizer_bytes(self.updater.optimizer)
        files["training.json"] = json.dumps(self._record(values), indent=1).encode()
        try:
            checkpoints.save(self.folder, self.step, {**self.static, **files}, best=best)
        except OSError as error:
            self.tell("warning", text=f"checkpoint of step {self.step} not written: {error}. Training goes on.")
        else:
            self.tell("checkpoint", best=best)

    def _record(self, optimizer: dict[str, Any]) -> dict[str, Any]:
        return {
            "version": snapshot.VERSION,
            "step": self.step,
            "tokens": self.tokens,
            "seconds": self.seconds,
            "epoch": self.streams.epoch,
            "world": self.ranks.world,
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "options": self.options.as_dict(),
            "optimizer": optimizer,
            "selection": vars(self.selection),
            "guard": vars(self.updater.guard),
            "validated": [plain(value) for value in self.validated],
            "average_count": self.updater.average.count if self.updater.average else 0,
            "aside": self.aside,
            "scaler": self.updater.scaler.state_dict(),
        }

    def restore(self, checkpoint: Checkpoint) -> None:
        """Take over everything that a checkpoint holds."""
        files = checkpoint.files
        saved = snapshot.record(files, checkpoint.path)
        if saved["world"] != self.ranks.world:
            now = self.ranks.world
            raise UsageError(f"{checkpoint.path}: made by {saved['world']} processes; resume with as many, not {now}.")
        try:
            self.model.load_state_dict(snapshot.model_tensors(files["model.safetensors"]))
            snapshot.restore_optimizer(self.updater.optimizer, files["optimizer.safetensors"], saved["optimizer"])
            if saved["average_count"]:
                self.updater.average = self.updater.average or Average(self.model, self.options.average)
                self.updater.average.restore(load_tensors(files["average.safetensors"]), saved["average_count"])
        except (RuntimeError, ValueError, KeyError) as error:
            raise ModelError(
                f"{checkpoint.path}: not a checkpoint of this model and these options ({error})."
            ) from None
        state, cursor = snapshot.restore_rank(files, self.ranks.rank, self.device)
        self.state = state
        self.streams.load_state_dict(cursor)
        self.step, self.tokens, self.seconds = saved["step"], saved["tokens"], saved["seconds"]
        self.selection, self.updater.guard = Selection(**saved["selection"]), Guard(**saved["guard"])
        self.aside = saved["aside"]
        self.validated = [math.nan if value is None else value for value in saved["validated"]]
        self.fraction = self._fraction()
        if self.updater.scaler.is_enabled():
            self.updater.scaler.load_state_dict(saved["scaler"])
        if self.selection.best_step == self.step:
            self.best_weights = self._weights()
        elif self.selection.best_step is not None and self.folder is not None:
            self.best_weights = self._saved_best(self.folder)

    def _saved_best(self, folder: Path) -> dict[str, Tensor] | None:
        try:
            best = checkpoints.load(folder, "best", warn=lambda text: self.tell("warning", text=text))
        except ModelError as error:
            self.tell("warning", text=f"the best weights are lost: {error}")
            return None
        return {name: tensor.to(self.device) for name, tensor in snapshot.weights(best.files).items()}
