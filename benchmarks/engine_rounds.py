"""Peers in turns: who is ready for a case and agrees with riverrun, and the seconds of everybody's calls."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from engine_machine import cores
from engine_report import OURS, Record, note
from engine_worker import TOLERANCE, Worker, scratch


def timed(
    workers: Sequence[Worker], call: str, *, rounds: int, turn: float, limit: float
) -> dict[str, list[float] | str]:
    """Seconds of every call of each, in turns that go round; or what went wrong.

    turn: seconds of one turn. limit: seconds after which a peer has had enough, with at least one call.
    """
    found: dict[str, list[float] | str] = {}
    for number in range(rounds if workers else 0):
        first = number % len(workers)
        for worker in (*workers[first:], *workers[:first]):
            seconds = found.setdefault(worker.name, [])
            if isinstance(seconds, str) or sum(seconds) > limit:
                continue
            answer = worker.ask(op="time", call=call, seconds=turn)
            if "error" in answer:
                found[worker.name] = answer["error"]
            else:
                seconds += answer["seconds"]
    return found


def quantile(values: Sequence[float], share: float) -> float:
    """The value at that share of the sorted values."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def figures(seconds: Sequence[float], units: int = 1) -> Record:
    """Median, 10th and 90th percentile of the seconds of one unit, and how many calls there were."""
    named = {"median": statistics.median(seconds), "p10": quantile(seconds, 0.1), "p90": quantile(seconds, 0.9)}
    return {**{name: value / units for name, value in named.items()}, "calls": len(seconds)}


class Session:
    """The peers that answer, started on so many threads; closed at the end of a `with`."""

    def __init__(self, names: Iterable[str], threads: int, urgent: bool = False) -> None:
        self.threads = threads
        self._all = [Worker(name, threads, cores(threads), urgent) for name in names]
        self.about: dict[str, Record] = {worker.name: worker.ask(op="about") for worker in self._all}
        for worker in self._all:
            if why := self.about[worker.name].get("absent") or self.about[worker.name].get("error"):
                note(f"{worker.name}: left out, {why}")
                worker.close()
        self.workers = [worker for worker in self._all if worker.alive]
        if OURS in self.about and OURS not in {worker.name for worker in self.workers}:
            self.__exit__()
            raise SystemExit("riverrun cannot be imported: install it, or set PYTHONPATH to its src")

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._all:
            worker.close()

    def make(self, section: str, skipped: Iterable[str] = (), **case: Any) -> tuple[dict[str, Record], list[Worker]]:
        """Make a case ready everywhere and compare: what each answered, and who is to be timed, riverrun first.

        An answer that does not agree has "differs", the largest difference.
        """
        skipped = tuple(skipped)
        answers: dict[str, Record] = {}
        with scratch() as folder:
            file = str(Path(folder) / "arrays.npz")
            for worker in (w for w in self.workers if w.alive and w.name not in skipped):
                if worker.name == OURS:
                    answers[OURS] = worker.ask(op="make", section=section, write=file, **case)
                    if "calls" not in answers[OURS]:
                        return answers, []
                    continue
                own = {name: value for name, value in case.items() if name != "path"}
                answer = answers[worker.name] = worker.ask(op="make", section=section, compare=file, **own)
                worst = max(answer.get("differences", {"": 0.0}).values())
                if not worst <= TOLERANCE:
                    answer["differs"] = worst
        compared = [answer for name, answer in answers.items() if name != OURS and "calls" in answer]
        if compared and all("differs" in answer for answer in compared):
            answers[OURS]["differs"] = min(answer["differs"] for answer in compared)
            return answers, []
        ready = {name for name, answer in answers.items() if "calls" in answer and "differs" not in answer}
        return answers, [worker for worker in self.workers if worker.name in ready]
