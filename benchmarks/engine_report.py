"""What is written: tables in Markdown, records in JSON, and what was reached of the aims."""

from __future__ import annotations

import json
import math
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine_cases import CELLS, SMALL, Shape

OURS = "riverrun"
PEERS = ("torch.nn", "torch loop", "torch.compile", "JAX scan", "ONNX Runtime", "OpenVINO")
Record = dict[str, Any]


class Report:
    """Markdown on the standard output, records of JSON in a file."""

    def __init__(self, out: Path | None) -> None:
        self._out = None if out is None else out.open("w")
        self.records: list[Record] = []

    def record(self, **fields: Any) -> Record:
        self.records.append(fields)
        if self._out is not None:
            self._out.write(json.dumps(fields) + "\n")
            self._out.flush()
        return fields

    def header(self, *columns: str) -> None:
        self.line()
        self.row(*columns)
        self.row(*("---" for _ in columns))

    def row(self, *cells: str) -> None:
        self.line(f"| {' | '.join(cells)} |")

    def line(self, text: str = "") -> None:
        print(text, flush=True)


def note(text: str) -> None:
    """What goes on, beside the report."""
    print(text, file=sys.stderr, flush=True)


def complain(case: str, answers: Mapping[str, Record]) -> None:
    """Say who failed, or computes something else."""
    for peer, answer in answers.items():
        if "absent" not in answer and ("calls" not in answer or "differs" in answer):
            note(f"{case}: {peer}: {json.dumps(answer)}")


def milliseconds(seconds: float) -> str:
    """Three digits."""
    return f"{seconds * 1e3:.3g}"


def outcome(answer: Record | None, call: str, ratio: float | None) -> str:
    """A peer's cell in a table: its time over riverrun's, or why there is none."""
    if ratio is not None:
        compiled = (answer or {}).get("notes", {}).get(f"compile_seconds_{call}")
        return f"{ratio:.2f}" if compiled is None else f"{ratio:.2f} (compiled in {compiled:.0f} s)"
    if answer is None or "absent" in answer or call not in answer.get("calls", [call]):
        return "-"
    return "differs" if "differs" in answer else "failed"


BEST = "the best peer"
OTHERS = ("peephole", "gru", "fgr", "ln-lstm", "own")
# cells, pass, peer, what riverrun is to reach over it
AIMS: Sequence[tuple[Sequence[str], str, str, float]] = (
    (("lstm",), "forward", "torch.nn", 1.05),
    (("lstm",), "forward", BEST, 0.97),
    (("lstm",), "train", "torch.nn", 1.2),
    (("gru-after",), "forward", "torch.nn", 2.5),
    (("gru-after",), "train", "torch.nn", 2.3),
    (("gru-after",), "train", "JAX scan", 1.6),
    (("rnn",), "forward", "torch.nn", 2.4),
    (("rnn",), "train", "torch.nn", 2.3),
    (("rnn",), "train", "JAX scan", 1.3),
    *(((cell,), "train", peer, aim) for cell in OTHERS for peer, aim in (
        ("torch loop", 3.0), ("JAX scan", 1.5), ("torch.compile", 2.5),
    )),
)  # fmt: skip
AIMS_SMALL = (("lstm", 2.5), ("gru-after", 8.0), ("rnn", 5.0))  # (25, 1, 100, 100), train, over torch.nn
AIM_RATE = 0.75  # of the LSTM's GFLOP/s, for every other cell, H >= 256
AIM_SHARE = {"forward": 0.80, "train": 0.75}  # of the peak, B >= 32 and H >= 256


def summary(report: Report) -> None:
    """Aims and what was reached, on the most threads that were measured."""
    measured = [record for record in report.records if record.get("section") == "pass" and "median" in record]
    if not measured:
        return
    most = max(record["threads"] for record in measured)
    times = {
        (record["cell"], Shape(*record["shape"]), record["call"], record["peer"]): record
        for record in measured
        if record["threads"] == most
    }
    shapes = sorted({key[1] for key in times})
    report.line()
    report.line(f"Aims, {most} threads; a mean is geometric, over the shapes with B >= 20.")
    report.header("cell", "pass", "over", "aim", "mean", "lowest", "shapes")

    def ratios(cell: str, call: str, peer: str, wanted: Iterable[Shape]) -> list[float]:
        found = []
        for shape in wanted:
            ours = times.get((cell, shape, call, OURS))
            names = [p for p in PEERS if (cell, shape, call, p) in times] if peer == BEST else [peer]
            theirs = [times[cell, shape, call, p]["median"] for p in names if (cell, shape, call, p) in times]
            if ours and theirs:
                found.append(min(theirs) / ours["median"])
        return found

    def write(cell: str, call: str, against: str, aim: float, values: Sequence[float], form: str = ".2f") -> None:
        if values:
            mean = math.exp(statistics.fmean(map(math.log, values)))
            reached = (f"{mean:{form}}{'' if mean >= aim else ' (missed)'}", f"{min(values):{form}}")
            report.row(CELLS[cell].title, call, against, f"{aim:{form}}", *reached, str(len(values)))
            case = {"section": "aim", "cell": cell, "call": call, "against": against, "threads": most}
            report.record(**case, aim=aim, mean=mean, lowest=min(values), shapes=len(values))

    large = [shape for shape in shapes if shape.B >= 20]
    for cells, call, peer, aim in AIMS:
        for cell in cells:
            write(cell, call, peer, aim, ratios(cell, call, peer, large))
    for cell, aim in AIMS_SMALL:
        write(cell, "train", f"torch.nn ({SMALL})", aim, ratios(cell, "train", "torch.nn", (SMALL,)))
    for call in AIM_SHARE:
        wide = [shape for shape in shapes if shape.H >= 256]
        for cell in OTHERS:
            pairs = [(times.get((cell, s, call, OURS)), times.get(("lstm", s, call, OURS))) for s in wide]
            rates = [own["gflops"] / lstm["gflops"] for own, lstm in pairs if own and lstm]
            write(cell, call, "our LSTM's GFLOP/s, H >= 256", AIM_RATE, rates)
        for cell in CELLS:
            keys = [(cell, s, call, OURS) for s in wide if s.B >= 32]
            shares = [times[key]["of_peak"] for key in keys if key in times]
            write(cell, call, "peak, B >= 32, H >= 256", AIM_SHARE[call], shares, ".0%")
