"""Say what this machine can do: versions, device, precision, the native engine, and the kernel of every cell and why.

Exits with 4 where something is not as it must be.
"""

from __future__ import annotations

import argparse
import shutil
from typing import Any

from riverrun.cli.flags import Parser, add_json
from riverrun.cli.voice import Voice

SUMMARY = "say what this machine can do, and which kernel each cell runs on"


def add(parser: Parser) -> None:
    """The options of `riverrun doctor`."""
    parser.add_argument("--device", default="auto", metavar="DEVICE", help="auto, cpu, cuda, ... (default auto)")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Look and tell."""
    voice = Voice(json=arguments.json)
    facts = examine(arguments.device)
    voice.result(facts)
    if not arguments.json:
        for line in tell(facts):
            voice.say(line)
    return 0 if not facts["problems"] else 4


def examine(device_name: str) -> dict[str, Any]:
    """Everything that the doctor looks at, as plain values."""
    import torch

    from riverrun import cells
    from riverrun.engine.library import library
    from riverrun.layers.recurrent import Recurrent
    from riverrun.run import environment
    from riverrun.training.hardware import choose_device, choose_precision

    device = choose_device(device_name)
    precision = choose_precision("auto", device)
    problems = []
    kernels = {}
    for name in cells.names():
        layer = Recurrent(cells.find(name), 8, 8).to(device)
        kernels[name] = "; ".join(dict.fromkeys(layer.explain().values()))
        input = torch.randn(3, 2, 8, device=device)
        if not bool(torch.isfinite(layer(input).output).all()):
            problems.append(f"{name}: non-finite output on {device}")
    engine = library()
    if engine.broken:
        problems.append(f"{engine.reason}. {engine.remedy}")
    free = shutil.disk_usage(".").free
    if free < 1 << 30:
        problems.append(f"less than 1 GiB is free on this disk ({free >> 20} MiB)")
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        **environment([], {}),
        "device": str(device),
        "gpu": gpu,
        "precision": precision.name,
        "precision_reason": precision.reason,
        "engine": {
            "instruction_set": engine.isa,
            "library": str(engine.path or ""),
            "reason": engine.reason,
            "remedy": engine.remedy,
        },
        "threads": torch.get_num_threads(),
        "disk_free_bytes": free,
        "kernels": kernels,
        "problems": problems,
    }


def tell(facts: dict[str, Any]) -> list[str]:
    """The same for reading."""
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    lines = [
        f"versions   {versions}, Python {facts['python']}",
        f"machine    {facts['processor']}, {facts['processors']} processors, {facts['platform']}",
        f"device     {facts['device']}" + (f" ({facts['gpu']})" if facts["gpu"] else ""),
        f"precision  {facts['precision']}: {facts['precision_reason']}",
        f"engine     {_engine(facts['engine'])}",
        f"threads    {facts['threads']}",
        f"disk       {facts['disk_free_bytes'] / 2**30:.1f} GiB free here",
        "",
        "cells, and the kernel that trains them here",
    ]
    lines += [f"  {name:<15} {reason}" for name, reason in facts["kernels"].items()]
    lines += ["", *(f"PROBLEM    {problem}" for problem in facts["problems"])]
    if not facts["problems"]:
        lines.append("All is well.")
    return lines


def _engine(facts: dict[str, str]) -> str:
    if facts["reason"]:
        return f"{facts['reason']}. {facts['remedy']}".rstrip()
    return f"native, {facts['instruction_set']} ({facts['library']})"
