"""More than one process: each rank owns its lanes, and gradients are added up, weighted by tokens.

    g = sum over ranks of g_rank / sum over ranks of tokens_rank,      g_rank the gradient of a sum over tokens

A mean of per-rank means is something else where ranks predict different numbers of tokens (a 20 % error of the gradient
on ragged batches). One flat all-reduce does it; it also carries the few numbers that all ranks must agree on.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

TIMEOUT = timedelta(seconds=60)  # torch's own is 30 minutes, during which a hung peer goes unnoticed
PATIENCE = timedelta(days=7)  # where one rank works and the others wait for it; one that dies is noticed all the same


class Ranks(NamedTuple):
    """This process among all: `rank` of `world`, and its place on this machine."""

    rank: int
    world: int
    local: int

    @property
    def leader(self) -> int:
        """The first rank of this machine (torchrun numbers the ranks of a machine one after the other)."""
        return self.rank - self.local


def connect(device: torch.device | None = None) -> Ranks:
    """Join the processes that `torchrun` started; alone (rank 0 of 1) where it did not.

    gloo on the CPU, NCCL on GPUs, with a time-out of one minute. Joining twice is joining once.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1 and not dist.is_initialized():
        on_gpu = device is not None and device.type == "cuda"
        dist.init_process_group("nccl" if on_gpu else "gloo", timeout=TIMEOUT)
    return ranks()


def ranks() -> Ranks:
    """This process's place, from the process group that is already there."""
    if not dist.is_initialized():
        return Ranks(0, 1, 0)
    return Ranks(dist.get_rank(), dist.get_world_size(), int(os.environ.get("LOCAL_RANK", "0")))


def disconnect() -> None:
    """Leave the process group together with all others, where there is one.

    Rank 0 holds the group's store: were it gone before another rank has left, that one could be aborted on its way out.
    """
    if dist.is_initialized():
        with contextlib.suppress(RuntimeError):  # a peer that died keeps nobody here
            dist.barrier()
        dist.destroy_process_group()


def add_up(parameters: Sequence[nn.Parameter]) -> None:
    """Replace every gradient by its sum over the ranks, in place; a missing gradient counts as zero."""
    for p in parameters:
        if p.grad is None:
            p.grad = torch.zeros_like(p)
    gradients = [p.grad for p in parameters if p.grad is not None]
    for dtype in sorted({g.dtype for g in gradients}, key=str):
        same = [g for g in gradients if g.dtype == dtype]
        flat = torch.cat([g.reshape(-1) for g in same])
        dist.all_reduce(flat)
        for gradient, part in zip(same, torch.split(flat, [g.numel() for g in same]), strict=True):
            gradient.copy_(part.view_as(gradient))


def totals(values: Sequence[float], device: torch.device) -> list[float]:
    """The sums of a few numbers over the ranks."""
    vector = torch.tensor(values, dtype=torch.float64, device=device)
    dist.all_reduce(vector)
    summed: list[float] = vector.tolist()
    return summed


def agree(value: float, device: torch.device) -> float:
    """Rank 0's value, on every rank."""
    vector = torch.tensor([value], dtype=torch.float64, device=device)
    dist.broadcast(vector, src=0)
    return float(vector.item())


def spread(model: nn.Module) -> None:
    """Give every rank the parameters and buffers of rank 0."""
    for tensor in [*model.parameters(), *model.buffers()]:
        dist.broadcast(tensor.detach(), src=0)


@contextlib.contextmanager
def patience() -> Iterator[Callable[[bytes], list[bytes]]]:
    """A `gather` that waits for the slowest rank however long it takes, for work that one rank does for others.

    Every rank has to enter, and to call it equally often. Raises RuntimeError where a rank ends without having called.
    """
    group = dist.new_group(backend="gloo", timeout=PATIENCE)
    try:
        yield lambda data: gather(data, torch.device("cpu"), group)
    finally:
        dist.destroy_process_group(group)


def gather(data: bytes, device: torch.device, group: dist.ProcessGroup | None = None) -> list[bytes]:
    """Every rank's bytes, in order of rank, on every rank. (torch's own gather of objects would pickle them.)"""
    world = dist.get_world_size()
    lengths = [torch.zeros(1, dtype=torch.int64, device=device) for _ in range(world)]
    dist.all_gather(lengths, torch.tensor([len(data)], device=device), group)
    sizes = [int(length.item()) for length in lengths]
    padded = torch.zeros(max(sizes), dtype=torch.uint8)
    padded[: len(data)] = torch.frombuffer(bytearray(data), dtype=torch.uint8) if data else padded[:0]
    parts: list[Tensor] = [torch.zeros(max(sizes), dtype=torch.uint8, device=device) for _ in range(world)]
    dist.all_gather(parts, padded.to(device), group)
    return [part[:size].cpu().numpy().tobytes() for part, size in zip(parts, sizes, strict=True)]
