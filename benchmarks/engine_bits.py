"""The native engine's promises on bits, tried on random calls for as long as you like, in every instruction set.

    python benchmarks/engine_bits.py --minutes 60 [--seed 0] [--isa avx2]

Each turn draws programs, shapes and options from its seed (tests/engine/bits.py) and asks for the same bits from run to
run and with any number of threads, any neighbours in the batch, any padding, any cut, with a gradient and without.
A difference is told with its seed, from which `--seed` begins again, and the exit code is 1. Without --isa each has its
share of the time, one after the other, in a process of its own.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from random import Random

TESTS = Path(__file__).parents[1] / "tests"


def compiled() -> list[str]:
    """The instruction sets that the library has and this processor, too."""
    from riverrun.engine.library import find

    found = [find({"RIVERRUN_ISA": name}) for name in ("avx512", "avx2", "neon", "plain")]
    return [there.isa for there in found if there.handle is not None]


def turns(isa: str, first: int, seconds: float) -> int:
    """Ask until the time is over; returns how many answers were wrong."""
    os.environ["RIVERRUN_ISA"] = isa
    sys.path[0] = str(TESTS)  # in the place of this folder, whose engine.py is another one
    from engine import bits  # type: ignore[import-not-found]

    from riverrun.engine import frame

    frame.GRAIN = 1  # as many threads as there are, however small the work is
    asked, wrong, ends = 0, 0, time.perf_counter() + seconds
    while time.perf_counter() < ends:
        for name, check in bits.CHECKS.items():
            random = Random(first + asked)
            if not check(bits.random_call(random), random):
                wrong += 1
                print(f"{isa}: {name}: other bits at --seed {first + asked}", flush=True)
        asked += 1
    print(f"{isa}: {asked:,} calls, {len(bits.CHECKS)} questions each, {wrong} differences", flush=True)
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0, help="of the first turn; each has the next number")
    parser.add_argument("--isa", help="this instruction set only")
    asked = parser.parse_args()
    if asked.isa and asked.isa not in compiled():
        raise SystemExit(f"--isa {asked.isa}: expected one of those that are built: {', '.join(compiled())}.")
    if asked.isa:
        raise SystemExit(turns(asked.isa, asked.seed, asked.minutes * 60) > 0)
    names, failed = compiled(), False
    for name in names:
        share = ["--minutes", str(asked.minutes / len(names)), "--seed", str(asked.seed), "--isa", name]
        failed |= subprocess.run([sys.executable, __file__, *share], check=False).returncode != 0
    raise SystemExit(failed or not names)


if __name__ == "__main__":
    main()
