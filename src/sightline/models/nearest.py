"""The distance of keys to their nearest entry of a bank, on a CPU and on a GPU.

|q - b|^2 = |q|^2 - 2 (q.b - |b|^2 / 2), so the nearest entry has the largest q.b - |b|^2 / 2: one matrix product and
one maximum. On a CPU the (Q, M) matrix is written out, a few rows at a time; on a GPU it would be the largest array
of all, and reading and writing it the slowest step, so there the maximum is taken tile by tile and the matrix never
exists.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor

CELLS = 2**26  # of the matrix at a time where there is no kernel: 256 MiB
ROWS = 2**14
CACHED_CELLS = 2**21  # of the matrix at a time on a CPU: 8 MiB
KERNEL_SIZE = 128  # dimensions of a key, at most, that the kernel's tiles hold
AMPERE = 8  # the first compute capability with tf32


def nearest(keys: Tensor, bank: Tensor, banned: Tensor | None = None) -> Tensor:
    """Distance of keys (Q, d) to their nearest entry of `bank` (M, d): (Q,), in the keys' units.

    `banned` (M,) bool marks entries that may not be used (those of the same image, when scores are held out). Where
    every entry is banned, or there is none, the distance is infinite; where a key or a usable entry holds a value that
    is no number, it is no finite number either.
    """
    best = _closest(keys, bank, banned)
    return (keys.square().sum(1) - 2 * best).clamp_min(0).sqrt()


def _closest(keys: Tensor, bank: Tensor, banned: Tensor | None) -> Tensor:
    if not keys.is_cuda:
        return plain_closest(keys, bank, banned)
    if _fits_kernel(keys, bank):
        from sightline.models.nearest_kernel import fused_closest

        return fused_closest(keys, bank, banned)
    return chunked_closest(keys, bank, banned)


def plain_closest(keys: Tensor, bank: Tensor, banned: Tensor | None = None) -> Tensor:
    """Largest q.b - |b|^2 / 2 over the usable entries: (Q,), -inf where there is none.

    The matrix is made a few rows at a time: what stays in the cache is twice as fast, and needs no memory.
    """
    if banned is not None:
        bank = bank[~banned]
    if not len(bank):
        return keys.new_full((len(keys),), -torch.inf)
    halves, turned = -0.5 * bank.square().sum(1), bank.T
    rows = max(1, CACHED_CELLS // len(bank))
    return torch.cat([torch.addmm(halves, some, turned).amax(1) for some in keys.split(rows)])


def chunked_closest(
    keys: Tensor, bank: Tensor, banned: Tensor | None = None, rows: int = ROWS, cells: int = CELLS
) -> Tensor:
    """As `plain_closest`, with at most `rows` keys and about `cells` cells of the matrix at a time."""
    if banned is not None:
        bank = bank[~banned]
    halves = -0.5 * bank.square().sum(1)
    entries = max(1, cells // max(1, min(rows, len(keys))))
    best = keys.new_full((len(keys),), -torch.inf)
    for begin in range(0, len(keys), rows):
        some = slice(begin, begin + rows)
        for start in range(0, len(bank), entries):
            few = slice(start, start + entries)
            best[some] = torch.maximum(best[some], torch.addmm(halves[few], keys[some], bank[few].T).amax(1))
    return best


def _fits_kernel(keys: Tensor, bank: Tensor) -> bool:
    """Whether the kernel can take these: it knows no gradient, one type, keys that fit a tile, and tf32."""
    from_graph = torch.is_grad_enabled() and (keys.requires_grad or bank.requires_grad)
    return (
        has_triton()
        and not from_graph
        and keys.dtype == bank.dtype == torch.float32
        and keys.shape[1] <= KERNEL_SIZE
        and torch.cuda.get_device_capability(keys.device)[0] >= AMPERE
        and len(keys) > 0
        and len(bank) > 0
    )


@cache
def has_triton() -> bool:
    """Whether triton is installed; torch for CUDA on Linux brings it."""
    return find_spec("triton") is not None
