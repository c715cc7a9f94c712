"""The recurrent engine beside its peers, in one run: torch.nn, a loop of torch operations, torch.compile of that loop,
JAX's scan, ONNX Runtime and OpenVINO, as far as they are installed.

    python benchmarks/engine.py                        # passes of all cells and shapes, about 10 minutes on two cores
    python benchmarks/engine.py passes --quick         # one minute
    python benchmarks/engine.py small                  # 25 steps of one row
    python benchmarks/engine.py step                   # one step from Python
    python benchmarks/engine.py generate               # characters a second
    python benchmarks/engine.py busy                   # beside a busy process; torch's own product after a pass
    python benchmarks/engine.py all --out figures.jsonl

The peers need a virtual environment of their own:

    python -m venv PEERS && PEERS/bin/pip install -c constraints.txt . "jax[cpu]" onnx onnxruntime openvino
    PEERS/bin/python benchmarks/engine.py

Every peer computes the same numbers in single precision from the same weights, and is compared with riverrun first, the
output and every gradient; one that differs by more than 1e-4 of the largest element is not timed, and where all differ
riverrun is not either. "forward" is without gradient; "train" is forward and the gradients of input and weights.

Each peer has a process of its own on the same cores and is stopped while it is another's turn (see engine_worker.py);
turns go round. Figures are medians of all calls. A share is of this machine's own peak, measured by independent
multiply-adds in vector registers, the best burst of 25; beside it stands their median. For one row
it is the share of the rate at which that many bytes of weights can be read.
On a machine that others use, `--urgent` times (and only times) under real-time priority.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine_cases import CELLS, SHAPES, SMALL, Cell, Shape
from engine_machine import Machine, caches, cores, cpu_name, versions
from engine_report import OURS, PEERS, Record, Report, complain, milliseconds, note, outcome, summary
from engine_rounds import Session, figures, timed

ONE_THREAD = ("torch.nn",)  # the peers on fewer threads than the most, where none are named
STEP_PEERS = ("torch.nn", "torch cell", "ONNX Runtime", "JAX")
WRITERS = ("torch.nn", "torch cell", "ONNX Runtime", "JAX scan")
COMPILED = {("peephole", Shape(50, 64, 256, 256))}  # torch.compile takes minutes for some; --peers asks for all
PACKAGES = ("torch", "numpy", "jax", "jaxlib", "onnx", "onnxruntime", "openvino")
QUICK_SHAPES = (Shape(1, 1, 128, 128), SMALL, Shape(50, 32, 128, 128), Shape(50, 64, 256, 256))
QUICK_CELLS = ("lstm", "gru-after", "rnn", "peephole")
DISTURBED = 0.5  # a load at the start, from which on it is said


# ------------------------------------------------------------------ the sections


def passes(options: argparse.Namespace, report: Report, machine: Machine, rates: Mapping[int, float]) -> None:
    """Whole sequences, forward and with gradients, of every cell and shape."""
    most = max(options.threads)
    report.line()
    report.line("Time of each peer over riverrun's, of the same pass: above 1 riverrun is faster.")
    columns = ("cell", "T, B, I, H", "threads", "pass", "path", "ms", "GFLOP/s", "of peak", *PEERS)
    report.header(*columns)
    for threads in sorted(options.threads, reverse=True):
        named = options.peers or (PEERS if threads == most else ONE_THREAD)
        with Session((OURS, *named), threads, options.urgent) as session:
            for name in options.cells:
                for shape in options.shapes:
                    without = () if options.peers or (name, shape) in COMPILED else ("torch.compile",)
                    _pass(options, report, machine, rates[threads], session, name, shape, without)
    summary(report)


def _pass(
    options: argparse.Namespace,
    report: Report,
    machine: Machine,
    peak: float,
    session: Session,
    name: str,
    shape: Shape,
    without: Iterable[str],
) -> None:
    cell, threads = CELLS[name], session.threads
    train = "train" in options.calls
    answers, ready = session.make("peers", without, cell=name, shape=shape, train=train, path=options.path)
    case = {"section": "pass", "cell": name, "shape": list(shape), "threads": threads}
    for peer, answer in answers.items():
        if "calls" not in answer or "differs" in answer:
            report.record(**case, peer=peer, **answer)
    complain(f"{cell.title} ({shape})", answers)
    for call in options.calls:
        taking = [worker for worker in ready if call in answers[worker.name]["calls"]]
        if not taking:
            continue
        seconds = timed(taking, call, rounds=options.rounds, turn=options.turn, limit=options.limit)
        found = {peer: figures(value) for peer, value in seconds.items() if not isinstance(value, str)}
        if OURS not in found:
            continue
        for peer, figure in found.items():
            report.record(
                **case,
                call=call,
                peer=peer,
                **figure,
                **_shares(cell, shape, call, threads, figure["median"], peak, machine),
                ratio=figure["median"] / found[OURS]["median"],
                differences=answers[peer].get("differences", {}),
                notes=answers[peer].get("notes", {}),
            )
        _row(report, cell, shape, threads, call, answers, found)


def _shares(cell: Cell, shape: Shape, call: str, threads: int, seconds: float, peak: float, machine: Machine) -> Record:
    """Rate and shares of what the machine can do."""
    rate = cell.flops(shape, call) / seconds
    found: Record = {"gflops": rate / 1e9, "of_peak": rate / peak}
    if shape.B == 1 and (best := machine.bandwidth(cell.working_set(shape), threads)):
        found["of_bandwidth"] = cell.read(shape, call) / seconds / best
    return found


def _row(
    report: Report,
    cell: Cell,
    shape: Shape,
    threads: int,
    call: str,
    answers: Mapping[str, Record],
    found: Mapping[str, Record],
) -> None:
    ours = next(record for record in reversed(report.records) if record.get("peer") == OURS)
    share = f"{ours['of_peak']:.0%}" if "of_bandwidth" not in ours else f"{ours['of_bandwidth']:.0%} (bytes)"
    ratios = {peer: figure["median"] / ours["median"] for peer, figure in found.items()}
    report.row(
        cell.title,
        str(shape),
        str(threads),
        call,
        str(answers[OURS]["notes"].get(f"path_{call}", "")),
        milliseconds(ours["median"]),
        f"{ours['gflops']:.0f}" if ours["gflops"] >= 10 else f"{ours['gflops']:.1f}",
        share,
        *(outcome(answers.get(peer), call, ratios.get(peer)) for peer in PEERS),
    )


def small(options: argparse.Namespace, report: Report, machine: Machine, rates: Mapping[int, float]) -> None:
    """The setting of min-char-rnn: 25 steps of one row of 100 units."""
    options = argparse.Namespace(**vars(options) | {"shapes": (SMALL,), "rounds": max(options.rounds, 9)})
    passes(options, report, machine, rates)


def step(options: argparse.Namespace, report: Report, *unused: Any) -> None:
    """One step from Python, one row, without gradient."""
    report.line()
    report.line("One step, B 1, I and H 128, microseconds, and over the time of riverrun's streamer.")
    report.header("cell", "threads", "who", "how", "us", "over riverrun's")
    for threads in options.threads:
        with Session((OURS, *STEP_PEERS), threads, options.urgent) as session:
            for name in options.cells:
                _step(options, report, session, name)


def _step(options: argparse.Namespace, report: Report, session: Session, name: str) -> None:
    answers, ready = session.make("step", cell=name, shape=Shape(1, 1, 128, 128), path=options.path)
    complain(CELLS[name].title, answers)
    rows: dict[tuple[str, str], Record] = {}
    for call in dict.fromkeys(call for worker in ready for call in answers[worker.name]["calls"]):
        taking = [worker for worker in ready if call in answers[worker.name]["calls"]]
        seconds = timed(taking, call, rounds=options.rounds, turn=options.turn, limit=options.limit)
        rows |= {(peer, call): figures(value) for peer, value in seconds.items() if not isinstance(value, str)}
    for (peer, call), figure in rows.items():
        ratio = figure["median"] / rows[OURS, "streamer"]["median"]
        case = {"section": "step", "cell": name, "threads": session.threads, "peer": peer, "call": call}
        report.record(**case, **figure, ratio=ratio)
        times = f"{figure['median'] * 1e6:.1f}", f"{ratio:.2f}"
        report.row(CELLS[name].title, str(session.threads), peer, call, *times)


def generate(options: argparse.Namespace, report: Report, *unused: Any) -> None:
    """Characters a second, one stream."""
    report.line()
    report.line("Writing, one stream, 65 characters, LSTM layers; characters a second, and riverrun's over the peer's.")
    report.header("layers x units", "threads", "who", "characters/s", "riverrun's over it")
    for threads in sorted(options.threads):
        with Session((OURS, *WRITERS), threads, options.urgent) as session:
            for layers, hidden in ((1, 128), (2, 512)):
                answers, ready = session.make("generate", hidden=hidden, layers=layers)
                complain(f"{layers} x {hidden}", answers)
                seconds = timed(ready, "write", rounds=options.rounds, turn=0.3, limit=4 * options.limit)
                speeds = {
                    peer: 1.0 / figures(value, answers[peer]["units"])["median"]
                    for peer, value in seconds.items()
                    if not isinstance(value, str)
                }
                for peer, speed in speeds.items():
                    ratio = speeds[OURS] / speed
                    case = {"section": "generate", "layers": layers, "hidden": hidden, "threads": threads}
                    report.record(**case, peer=peer, characters_per_second=speed, ratio=ratio)
                    report.row(f"{layers} x {hidden}", str(threads), peer, f"{speed:,.0f}", f"{ratio:.2f}")


def busy(options: argparse.Namespace, report: Report, *unused: Any) -> None:
    """A pass beside another busy process; torch's own product right after a pass."""
    threads = max(options.threads)
    case: Record = {"cell": "lstm", "shape": Shape(50, 64, 256, 256), "train": False}
    with Session((OURS, "torch.nn"), threads) as session:
        _, ready = session.make("busy", **case, path=options.path)
        report.line()
        report.line(f"LSTM forward ({case['shape']}), {threads} threads, beside one other busy process; milliseconds.")
        report.header("who", "other process", "median", "90th percentile", "over riverrun's 90th")
        for busy_processes in (0, 1):
            others = [_spinning(threads) for _ in range(busy_processes)]
            try:
                seconds = timed(ready, "forward", rounds=6, turn=1.0, limit=20.0)
            finally:
                for other in others:
                    other.kill()
                    other.wait()
            found = {peer: figures(value) for peer, value in seconds.items() if not isinstance(value, str)}
            for peer, figure in found.items():
                ratio = figure["p90"] / found[OURS]["p90"]
                report.record(section="busy", busy=busy_processes, peer=peer, threads=threads, **figure, ratio=ratio)
                times = milliseconds(figure["median"]), milliseconds(figure["p90"])
                report.row(peer, "busy" if busy_processes else "none", *times, f"{ratio:.2f}")
    with Session((OURS, "torch.nn"), threads, options.urgent) as session:
        _, ready = session.make("busy", **case, path=options.path)
        report.line()
        report.line(
            "torch.mm of 512 x 512 in the process of a pass, microseconds: right after itself, after as much work"
        )
        report.line("of torch, after as long a pause, after the pass; the last over the second.")
        names = ("mm after mm", "mm after torch", "mm after a pause", "mm after a pass")
        report.header("whose pass", *names, "ratio")
        for worker in ready:
            collected: dict[str, list[float]] = {name: [] for name in names}
            for _ in range(10):
                for name in names:
                    collected[name] += worker.ask(op="time", call=name, seconds=0.3)["seconds"]
            medians = {name: statistics.median(values) for name, values in collected.items()}
            ratio = medians["mm after a pass"] / medians["mm after torch"]
            report.record(section="mm", peer=worker.name, threads=threads, seconds=medians, ratio=ratio)
            report.row(worker.name, *(f"{value * 1e6:.0f}" for value in medians.values()), f"{ratio:.3f}")


def _spinning(threads: int) -> subprocess.Popen[bytes]:
    """A process that never waits, on the processors of the peers."""
    code = f"import os; cpus = {cores(threads)}; cpus and os.sched_setaffinity(0, cpus)\nwhile True: pass"
    return subprocess.Popen([sys.executable, "-c", code])


SECTIONS = {"passes": passes, "small": small, "step": step, "generate": generate, "busy": busy}


def machine_section(report: Report, machine: Machine, threads: Sequence[int]) -> dict[int, float]:
    """What this machine is and can do; the peak for each number of threads."""
    load = os.getloadavg()[0]
    with Session((OURS,), max(threads)) as session:
        about = session.about[OURS]
    peaks = {n: machine.peak(n) for n in threads}
    sizes = caches()
    spots = {"L2": sizes.get("L2", 1 << 20) // 2, "L3": min(sizes.get("L3", 1 << 25) // 2, 1 << 23)}  # bytes a thread
    usual = {n: machine.usual(n) for n in threads}
    reads = {n: {name: machine.bandwidth(size * n, n) for name, size in spots.items()} for n in threads}
    installed = versions(PACKAGES)
    report.record(
        section="machine", cpu=cpu_name(), processors=os.cpu_count(), cores=cores(max(threads)), caches=sizes,
        about=about, load=load, peaks=peaks, usual=usual, reads=reads, compiled=machine.compiled,
        versions=installed,
    )  # fmt: skip
    report.line(f"{cpu_name()}, {os.cpu_count()} processors; torch: {about.get('torch_capability', '?')}; ")
    report.line(f"riverrun's engine: {about.get('engine', '?')}; {', '.join(f'{k} {v}' for k, v in installed.items())}")
    if load > DISTURBED:
        report.line(f"OTHER WORK WAS RUNNING (load {load:.1f}): these figures are of a machine shared with it.")
    spans = (f"reading {size >> 10} KB a thread, GB/s" for size in spots.values())
    report.header("threads", "peak, GFLOP/s", "in the median", *spans)
    for n in threads:
        reading = (f"{rate / 1e9:.0f}" if rate else "-" for rate in reads[n].values())
        best = f"{peaks[n] / 1e9:.0f}{'' if machine.compiled else ' (torch.mm)'}"
        report.row(str(n), best, f"{usual[n] / 1e9:.0f}", *reading)
    return peaks


def shape_of(text: str) -> Shape:
    """T,B,I,H"""
    sizes = [int(size) for size in text.split(",")]
    if len(sizes) != 4 or min(sizes) < 1:
        raise argparse.ArgumentTypeError(f"expected T,B,I,H, came {text!r}")
    return Shape(*sizes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("section", nargs="?", default="passes", choices=(*SECTIONS, "all"))
    parser.add_argument("--quick", action="store_true", help="few cells and shapes, the most threads, fewer rounds")
    parser.add_argument("--path", help="ask riverrun for one way of running; the table says which one ran")
    parser.add_argument("--cells", nargs="+", choices=tuple(CELLS), metavar="CELL", help=", ".join(CELLS))
    parser.add_argument("--shapes", nargs="+", type=shape_of, metavar="T,B,I,H")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--peers", nargs="*", choices=PEERS, metavar="PEER", help=", ".join(PEERS))
    parser.add_argument("--calls", nargs="+", choices=("forward", "train"), default=["forward", "train"])
    parser.add_argument("--rounds", type=int, help="turns of each peer")
    parser.add_argument("--turn", type=float, default=0.05, help="seconds of a turn")
    parser.add_argument("--limit", type=float, help="seconds that a peer gets for one pass of one case")
    parser.add_argument("--urgent", action="store_true", help="time under real-time priority: others use the machine")
    parser.add_argument("--out", type=Path, help="a file for the records, a line of JSON each")
    options = parser.parse_args()
    quick = options.quick
    options.cells = options.cells or (QUICK_CELLS if quick else tuple(CELLS))
    options.shapes = tuple(options.shapes or (QUICK_SHAPES if quick else SHAPES))
    options.rounds = options.rounds or (2 if quick else 5)
    options.limit = options.limit or (0.3 if quick else 0.6)
    available = len(cores(max(options.threads))) or os.cpu_count() or 1
    if max(options.threads) > available:
        note(f"no more than {available} cores for this process")
    options.threads = sorted({min(n, available) for n in options.threads})
    if quick:
        options.threads = options.threads[-1:]
    report, machine = Report(options.out), Machine(options.urgent)
    peaks = machine_section(report, machine, options.threads)
    for name, section in SECTIONS.items():
        if options.section == name or (options.section == "all" and name != "small"):  # passes have it
            section(options, report, machine, peaks)


if __name__ == "__main__":
    main()
