"""One rank of two for test_distributed.py: FOLDER WHAT..., started with torchrun's environment variables."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from training import toy

from riverrun.training import checkpoints, distributed
from riverrun.training.loop import fit

LANES = 4  # of both ranks together
CPU = torch.device("cpu")
LONG = {"optimiser": "adamw", "checkpoint_every": 2, "steps": 7, "average": 0.9, "lanes": LANES // 2}
SHORT = {"optimiser": "sgd", "lr": 0.5, "steps": 4, "precision": "float64", "lanes": LANES // 2}


def streams(rank: int = 0, world: int = 1) -> toy.Streams:
    """Ragged: documents of many lengths, so the ranks predict different numbers of tokens."""
    return toy.streams(tokens=toy.text(documents=60), lanes=LANES // world, rank=rank, world=world)


def main(folder: Path, what: str, place: distributed.Ranks) -> None:
    if what == "exchange":
        data = bytes([place.rank]) * (3 + 2 * place.rank)
        assert distributed.gather(data, CPU) == [b"\0" * 3, b"\1" * 5]
        assert distributed.gather(b"", CPU) == [b"", b""]
        assert distributed.agree(7.0 + place.rank, CPU) == 7.0
        assert distributed.totals([1.0, place.rank], CPU) == [2.0, 1.0]
        return
    run = folder / {"kill": "killed", "resume": "killed"}.get(what, what)
    at = {"kill": 6}.get(what, -1) if place.rank == 0 else -1
    model = toy.Killed(at, "kill", seed=1 + place.rank, dropout=0.0 if what == "gradient" else 0.2)

    class Signalled(toy.Toy):
        def loss(self, batch, state):  # type: ignore[no-untyped-def]
            if place.rank == 1 and int(self.seen) == 2:
                os.kill(os.getpid(), signal.SIGTERM)
            return super().loss(batch, state)

    told: list[dict[str, object]] = []
    result = fit(
        Signalled() if what == "signal" else model,
        streams(place.rank, 2),
        toy.options(**(SHORT if what == "gradient" else LONG)),
        folder=None if what == "gradient" else run,
        events=told.append,
        evaluate=(lambda: 10.0 + place.rank - int(model.seen)) if what == "gradient" else None,
        resume=checkpoints.load(run, warn=print) if what == "resume" else None,
    )
    save_file({k: v for k, v in result.weights.items() if k != "output.weight"}, folder / f"{what}-{place.rank}.st")
    record = {**result._replace(weights={})._asdict(), "told": len(told)}
    (folder / f"{what}-{place.rank}.json").write_text(json.dumps(record))


if __name__ == "__main__":
    torch.set_num_threads(1)
    joined = distributed.connect()
    assert joined.world == 2
    for each in sys.argv[2:]:
        main(Path(sys.argv[1]), each, joined)
    distributed.disconnect()
