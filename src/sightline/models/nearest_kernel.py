"""The fused nearest-entry kernel for CUDA, in Triton. Imported on first use, and only where triton is installed.

A program holds a tile of keys, walks over its share of the bank, and keeps the running maximum of q.b - |b|^2 / 2 of
each key in registers: the (Q, M) matrix is neither written nor read. What goes through memory is the keys once per
share, the bank once per tile of keys (from the L2 cache: 4,096 entries are 1 MiB), and one number per key and share.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

# With keys of 64 dimensions, 48 KiB of shared memory on compute capability 8.x and 80 KiB on 9.0 (two programs on each
# multiprocessor); with 128 twice that, which still fits the smallest, 99 KiB.
TILE_KEYS, TILE_ENTRIES = 64, 64
WARPS, STAGES = 4, 2
PROGRAMS = 512  # about as many as a large GPU runs at once; where keys are few, programs share the bank out


@triton.jit  # type: ignore[misc, untyped-decorator, unused-ignore]
def _closest_kernel(  # type: ignore[no-untyped-def]
    keys, bank, halves, best, count, entries, share,
    SIZE: tl.constexpr, PADDED: tl.constexpr, TILE_Q: tl.constexpr, TILE_M: tl.constexpr,
):  # fmt: skip
    rows = tl.program_id(0).to(tl.int64) * TILE_Q + tl.arange(0, TILE_Q)
    columns = tl.arange(0, PADDED)
    inside_row, inside_column = rows < count, columns < SIZE
    key_mask = inside_row[:, None] & inside_column[None, :]
    tile = tl.load(keys + rows[:, None] * SIZE + columns[None, :], mask=key_mask, other=0.0)
    running = tl.full((TILE_Q,), float("-inf"), tl.float32)
    first = tl.program_id(1) * share
    for start in range(first, tl.minimum(first + share, entries), TILE_M):
        numbers = start + tl.arange(0, TILE_M)
        inside = numbers < entries
        entry_mask = inside_column[:, None] & inside[None, :]
        addresses = bank + numbers[None, :].to(tl.int64) * SIZE + columns[:, None]
        entry = tl.load(addresses, mask=entry_mask, other=0.0)
        half = tl.load(halves + numbers, mask=inside, other=float("inf"))
        # Three tf32 products stand for one float32 product: single tf32 would lose the last digits of near distances.
        product = tl.dot(tile, entry, input_precision="tf32x3")
        running = tl.maximum(running, tl.max(product - half[None, :], axis=1))
    tl.store(best + tl.program_id(1).to(tl.int64) * count + rows, running, mask=inside_row)


def fused_closest(keys: Tensor, bank: Tensor, banned: Tensor | None = None) -> Tensor:
    """Largest q.b - |b|^2 / 2 over the usable entries, of keys (Q, d <= 128) and a bank (M, d), float32: (Q,).

    -inf where every entry is banned. Where a usable entry is not finite, NaN for all keys.
    """
    keys, bank = keys.contiguous(), bank.contiguous()
    halves = 0.5 * bank.square().sum(1)
    if banned is not None:
        # Zeros stand in for a banned entry's numbers, so that one that is not finite leaves no NaN in a product.
        bank, halves = bank.masked_fill(banned[:, None], 0.0), halves.masked_fill(banned, 0.0)
    # The kernel's maximum passes over NaN, so a damaged bank is told here; no transfer to the host is needed.
    damage = torch.where(halves.isfinite().all(), 0.0, torch.nan)
    if banned is not None:
        halves = halves.masked_fill(banned, torch.inf)
    count, entries, size = len(keys), len(bank), keys.shape[1]
    tiles = triton.cdiv(count, TILE_KEYS)
    shares = min(triton.cdiv(entries, TILE_ENTRIES), max(1, PROGRAMS // tiles))
    share = triton.cdiv(triton.cdiv(entries, shares), TILE_ENTRIES) * TILE_ENTRIES
    best = keys.new_full((triton.cdiv(entries, share), count), -torch.inf)
    _closest_kernel[(tiles, len(best))](
        keys, bank, halves, best, count, entries, share,
        SIZE=size, PADDED=max(16, triton.next_power_of_2(size)), TILE_Q=TILE_KEYS, TILE_M=TILE_ENTRIES,
        num_warps=WARPS, num_stages=STAGES,
    )  # fmt: skip
    return best.amax(0) + damage
