"""fit: the plain loop. Batch, loss, gradient, guard, update; evaluate, sample and save now and then; stop in time."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from riverrun.errors import ModelError, UsageError
from riverrun.models.protocol import Loss, State, detach, map_state
from riverrun.training import checkpoints, distributed, hardware, optimisation, snapshot
from riverrun.training.averages import Average, triggers
from riverrun.training.checkpoints import Checkpoint
from riverrun.training.guard import Guard
from riverrun.training.options import TrainingOptions
from riverrun.training.schedules import Budget, Selection, due, rate
from riverrun.training.signals import StopSignals

Event = dict[str, Any]
SAVE_SECONDS = 60.0  # between checkpoints, where no number of steps is given
TELL_SECONDS = 0.5  # between "step" events at the beginning; a long run tells less often, 2000 times in all or so


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
        raise UsageError("--minutes, --steps or --epochs: expected a budget; got none.")
    if options.selects and evaluate is None:
        raise UsageError(
            "--patience, --schedule plateau and --optimiser asgd look at a validation part; there is none. "
            "Give one (--valid, --valid-share), or leave them out."
        )
    if resume is None and folder is not None and checkpoints.steps(folder):
        raise UsageError(
            f"{checkpoints.place(folder)}: holds checkpoints of an earlier run. Resume it, or use another folder."
        )
    run = _Run(model, streams, options, folder, evaluate, sample, events, dict(static or {}))
    if resume is not None:
        run.restore(resume)
    return run.train()


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
        self.precision = hardware.choose_precision(options.precision, self.device)
        if options.threads:
            torch.set_num_threads(options.threads)
        torch.manual_seed(options.seed + 1_000_003 * self.ranks.rank)  # ranks draw different masks
        self.model = model.to(device=self.device, dtype=self.precision.weights)
        if self.ranks.world > 1:
            distributed.spread(model)
        self.loss: Callable[[Any, State], Loss] = model.loss
        self.streams, self.options, self.folder, self.static = streams, options, folder, static
        self.evaluate, self.sample = evaluate, sample
        self.events = events if self.ranks.rank == 0 else None
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = optimisation.build(model, options)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision.products == torch.float16)
        self.average = Average(model, options.average) if options.average else None
        self.budget = Budget.of(options)
        self.guard, self.selection = Guard(), Selection()
        self.validated: list[float] = []
        self.best_weights: dict[str, Tensor] | None = None
        self.state: State = None
        self.step, self.tokens, self.before = 0, 0, 0.0
        self.started = time.perf_counter()
        self.seconds = 0.0  # elapsed at the end of the last step, as all ranks see it
        self.last_step_seconds = 0.0
        self.stop = 0

    def train(self) -> Result:
        self.started = time.perf_counter() - self.seconds
        self.saved_at = self.seconds
        told = _Telling(self.tokens, self.seconds)
        self.tell("start", **self._facts())
        if self.step == 0 and self.folder is not None:
            self.save(best=False)
        self.model.train()
        fraction = self._fraction()
        stopped = ""
        with StopSignals() as signals:
            while not stopped:
                if fraction >= 1:
                    stopped = "budget"
                    break
                began = self.seconds
                epoch = self.streams.epoch
                batches = [self.streams.next() for _ in range(self.options.accumulate)]
                lr = self._rate(epoch, batches[0].scale)
                nats, norm, tokens = self._update(batches, lr, signals.received)
                told.add(nats, tokens)
                self.before, fraction = fraction, self._fraction()
                self.last_step_seconds = self.seconds - began
                over = fraction >= 1 or self.stop != 0
                if told.due(self.seconds) or over:
                    values = told.flush(self.tokens, self.seconds)
                    self.tell("step", **values, lr=lr, gradient_norm=_plain(norm), fraction=fraction)
                improved = self._watch(fraction, over)
                if 0 < self.options.patience <= self.selection.since:
                    stopped = "patience"
                elif self.stop:
                    stopped = "signal"
                if self.folder is not None and (improved or stopped or over or self._save_due()):
                    self.save(best=improved)
                if self.evaluate is not None or self.sample is not None:
                    self.seconds = self._now()
                    fraction = self._fraction()
        self.tell("end", tokens=self.tokens, stopped=stopped)
        return Result(
            steps=self.step,
            tokens=self.tokens,
            seconds=self.seconds,
            nats=told.last,
            stopped=stopped,
            number=self.stop,
            best=self.selection.best,
            best_step=self.selection.best_step,
            weights=self.best_weights or self._weights(),
            skipped=self.guard.skipped,
        )

    # One update -------------------------------------------------------------------------------------------------------

    def _update(self, batches: list[Any], lr: float, signalled: int) -> tuple[float, float, int]:
        """One update from the gradients of `batches`; returns the sum of nats, the gradient's norm, and the tokens."""
        expected = max(sum(batch.tokens for batch in batches), 1)
        sums, tokens, state = [], 0, self.state
        for batch in batches:
            with self.precision.autocast(self.device):
                loss = self.loss(self._moved(batch), state)
            self.scaler.scale(loss.total / expected).backward()  # type: ignore[no-untyped-call]
            state = detach(loss.state)
            sums.append(loss.nats.detach())
            tokens += loss.tokens
        self.scaler.unscale_(self.optimizer)
        gradients = optimisation.gradients(self.parameters)
        total_nats = sums[0] if len(sums) == 1 else torch.stack(sums).sum()
        if self.ranks.world > 1:
            nats, tokens = self._over_ranks(float(total_nats), tokens, expected, signalled)
            gradients = optimisation.gradients(self.parameters)
            norm = float(nn.utils.get_total_norm(gradients))
        else:
            self.stop, self.seconds = signalled, time.perf_counter() - self.started
            if tokens not in (expected, 0):
                torch._foreach_mul_(gradients, expected / tokens)
            norm_and_nats = torch.stack((nn.utils.get_total_norm(gradients), total_nats.to(self.precision.weights)))
            norm, nats = norm_and_nats.tolist()  # the one time in a step that the device is waited for
        self.step += 1
        scale_is_searched = self.scaler.is_enabled() and self.scaler.get_scale() > 1 and not math.isfinite(norm)
        if scale_is_searched and math.isfinite(nats):
            self.scaler.step(self.optimizer)  # skips the update, and halves the scale below
            self.scaler.update()
        elif self.guard.passes(nats, norm, step=self.step, batch=f"at position {batches[-1].position} of the stream"):
            optimisation.clip(gradients, norm, self.options.clip_norm, self.options.clip_value)
            for group in self.optimizer.param_groups:
                group["lr"] = lr
            self.scaler.step(self.optimizer)
            self.scaler.update()
            if self.average is not None:
                self.average.update()
            self.state = state
        else:
            self.state = None  # the carried state may be what is bad: begin afresh
            self.tell("skipped", nats=_plain(nats), gradient_norm=_plain(norm), position=batches[-1].position)
        self.optimizer.zero_grad(set_to_none=True)
        self.tokens += tokens
        return nats, norm, tokens

    def _over_ranks(self, nats: float, tokens: int, expected: int, signalled: int) -> tuple[float, int]:
        """Add gradients, nats and tokens up over the ranks, and agree on the time and on whether to stop."""
        torch._foreach_mul_(optimisation.gradients(self.parameters), float(expected))
        distributed.add_up(self.parameters)
        clock = time.perf_counter() - self.started if self.ranks.rank == 0 else 0.0
        nats, count, stops, self.seconds = distributed.totals([nats, tokens, signalled, clock], self.device)
        torch._foreach_mul_(optimisation.gradients(self.parameters), 1.0 / max(count, 1.0))
        self.stop = signalled or int(stops > 0) * 15
        return nats, int(count)

    def _moved(self, batch: Any) -> Any:
        if self.device.type == "cpu":
            return batch
        return type(batch)(*(v.to(self.device, non_blocking=True) if isinstance(v, Tensor) else v for v in batch))

    def _rate(self, epoch: float, scale: float) -> float:
        """The learning rate of the step at hand, at its middle: neither the first nor the last step is lost to a 0."""
        middle = self.budget.fraction(
            self.step + 0.5, (epoch + self.streams.epoch) / 2, self.seconds + self.last_step_seconds / 2
        )
        share = rate(self.options.schedule, middle, warmup=self.options.warmup, final=self.options.final_lr)
        return self.options.lr * share * self.selection.factor_of(self.options.schedule) * scale

    def _fraction(self) -> float:
        return self.budget.fraction(self.step, self.streams.epoch, self.seconds)

    def _now(self) -> float:
        clock = time.perf_counter() - self.started
        return distributed.agree(clock, self.device) if self.ranks.world > 1 else clock

    # Watching ---------------------------------------------------------------------------------------------------------

    def _watch(self, fraction: float, over: bool) -> bool:
        """Evaluate and sample where it is time; True where the evaluation is the best so far."""
        options, improved = self.options, False
        if self.stop:
            return False
        if self.evaluate is not None and (over or due(options.evaluate_every, self.step, self.before, fraction)):
            value = float(self._aside(self.evaluate))
            if self.ranks.world > 1:
                value = distributed.agree(value, self.device)
            improved = self.selection.update(self.step, value)
            self.tell("evaluation", valid_nats=_plain(value), best=improved)
            if improved:
                self.best_weights = self._weights()
            self._trigger(value)
        wanted = self.sample is not None and self.ranks.rank == 0
        if wanted and (over or due(options.sample_every, self.step, self.before, fraction)):
            self.tell("sample", text=self._aside(self.sample))
        return improved

    def _trigger(self, value: float) -> None:
        self.validated.append(value)
        if self.options.optimiser == "asgd" and self.average is None and triggers(self.validated):
            self.average = Average(self.model, 0.0)
            self.tell("averaging", text="averaged SGD begins to average")

    def _aside(self, look: Callable[[], Any]) -> Any:
        """Call back with the weights to judge, in evaluation mode, leaving every generator as it was."""
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices), self.average.applied() if self.average else nullcontext():
            self.model.eval()
            try:
                return look()
            finally:
                self.model.train()

    def _weights(self) -> dict[str, Tensor]:
        """A copy of the weights to judge and keep."""
        with self.average.applied() if self.average else nullcontext():
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
        if self.average is not None:
            files["average.safetensors"] = save_tensors(
                {name: tensor.cpu().contiguous() for name, tensor in self.average.tensors().items()}
            )
        files["optimizer.safetensors"], plain = snapshot.optimizer_bytes(self.optimizer)
        files["training.json"] = json.dumps(self._record(plain), indent=1).encode()
        try:
            checkpoints.save(self.folder, self.step, {**self.static, **files}, best=best)
        except OSError as error:
            self.tell("warning", text=f"checkpoint of step {self.step} not written: {error}. Training goes on.")
        else:
            self.tell("checkpoint", best=best)

    def _record(self, plain: dict[str, Any]) -> dict[str, Any]:
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
            "optimizer": plain,
            "selection": vars(self.selection),
            "guard": vars(self.guard),
            "validated": [_plain(value) for value in self.validated],
            "average_count": self.average.count if self.average else 0,
            "scaler": self.scaler.state_dict(),
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
            snapshot.restore_optimizer(self.optimizer, files["optimizer.safetensors"], saved["optimizer"])
            if saved["average_count"]:
                self.average = self.average or Average(self.model, self.options.average)
                self.average.restore(load_tensors(files["average.safetensors"]), saved["average_count"])
        except (RuntimeError, ValueError, KeyError) as error:
            raise ModelError(
                f"{checkpoint.path}: not a checkpoint of this model and these options ({error})."
            ) from None
        state, cursor = snapshot.restore_rank(files, self.ranks.rank, self.device)
        self.state = map_state(lambda tensor: tensor, state)
        self.streams.load_state_dict(cursor)
        self.step, self.tokens, self.seconds = saved["step"], saved["tokens"], saved["seconds"]
        self.before = self._fraction()
        self.selection, self.guard = Selection(**saved["selection"]), Guard(**saved["guard"])
        self.validated = [math.nan if value is None else value for value in saved["validated"]]
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(saved["scaler"])
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


class _Telling:
    """Adds up what the next "step" event will say."""

    def __init__(self, tokens: int, seconds: float) -> None:
        self.tokens, self.seconds = tokens, seconds  # at the last event
        self.nats, self.count = 0.0, 0
        self.last: float | None = None

    def add(self, nats: float, tokens: int) -> None:
        if math.isfinite(nats):
            self.nats, self.count = self.nats + nats, self.count + tokens

    def due(self, seconds: float) -> bool:
        return seconds - self.seconds >= max(TELL_SECONDS, seconds / 2000)

    def flush(self, tokens: int, seconds: float) -> Event:
        self.last = self.nats / self.count if self.count else self.last
        speed = (tokens - self.tokens) / max(seconds - self.seconds, 1e-9)
        self.tokens, self.seconds, self.nats, self.count = tokens, seconds, 0.0, 0
        return {"tokens": tokens, "nats": self.last, "tokens_per_second": round(speed, 1)}


def _plain(value: float) -> float | None:
    """The value for JSON, which knows no NaN and no infinity."""
    return value if math.isfinite(value) else None
