"""Nearest distances: all ways of computing them agree, whatever the sizes, and damage never looks near."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import Tensor

from sightline.models.memory_bank import chunked_closest, has_triton, nearest, plain_closest

# (keys, entries, dimensions): one of each, multiples of the kernel's tiles, and everything around them.
SIZES = [(1, 1, 1), (1, 300, 64), (300, 1, 16), (128, 128, 64), (129, 127, 17), (257, 700, 64), (130, 260, 100)]
gpu = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: the GPU's kernel was not run here"),
]
interpreter = pytest.mark.skipif(
    not has_triton(), reason="triton is not installed (torch for CUDA brings it): its kernel was not interpreted here"
)


def draw(count: int, size: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(count, size)).astype(np.float32))


def bans(entries: int) -> list[Tensor | None]:
    """No mask, nothing banned, some, all but one, all."""
    numbers = torch.arange(entries)
    return [None, numbers < 0, numbers % 3 == 0, numbers != entries // 2, numbers >= 0]


def exact(keys: Tensor, bank: Tensor, banned: Tensor | None) -> Tensor:
    usable = bank if banned is None else bank[~banned]
    if not len(usable):
        return torch.full((len(keys),), torch.inf)
    return torch.cdist(keys.double(), usable.double(), compute_mode="donot_use_mm_for_euclid_dist").amin(1).float()


@pytest.mark.parametrize(("count", "entries", "size"), SIZES)
def test_nearest_is_what_brute_force_finds(count: int, entries: int, size: int) -> None:
    keys, bank = draw(count, size), draw(entries, size, seed=1)
    for banned in bans(entries):
        assert torch.allclose(nearest(keys, bank, banned), exact(keys, bank, banned), atol=2e-3)


@pytest.mark.parametrize(("rows", "cells"), [(1, 1), (7, 50), (128, 128 * 13), (10_000, 10**9)])
@pytest.mark.parametrize(("count", "entries", "size"), SIZES)
def test_chunks_give_the_plain_answer(count: int, entries: int, size: int, rows: int, cells: int) -> None:
    keys, bank = draw(count, size), draw(entries, size, seed=1)
    for banned in bans(entries):
        expected = plain_closest(keys, bank, banned)
        assert torch.allclose(chunked_closest(keys, bank, banned, rows, cells), expected, atol=1e-4)


def test_an_empty_bank_is_infinitely_far() -> None:
    keys, none = draw(5, 8), draw(0, 8)
    assert nearest(keys, none).isinf().all()
    assert (chunked_closest(keys, none) == -torch.inf).all()
    assert nearest(draw(0, 8), draw(5, 8)).shape == chunked_closest(draw(0, 8), draw(5, 8)).shape == (0,)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_damage_is_never_a_small_distance(value: float) -> None:
    keys, bank = draw(40, 8), draw(30, 8, seed=1)
    keys[3, 2] = value
    for closest in (plain_closest, chunked_closest):
        distance = (keys.square().sum(1) - 2 * closest(keys, bank)).clamp_min(0).sqrt()
        assert not distance[3].isfinite()
        assert distance[4:].isfinite().all()


# The kernel: interpreted on a CPU, where triton is installed; run, where there is a GPU

INTERPRETED = """
import torch
from sightline.models.memory_bank import plain_closest
from sightline.models.nearest_kernel import fused_closest

def check(keys, bank, banned):
    expected, found = plain_closest(keys, bank, banned), fused_closest(keys, bank, banned)
    assert found.shape == expected.shape
    assert torch.allclose(found, expected, atol=1e-4), (keys.shape, bank.shape, (found - expected).abs().max())

torch.manual_seed(0)
for count, entries, size in SIZES:
    keys, bank, numbers = torch.randn(count, size), torch.randn(entries, size), torch.arange(entries)
    for banned in (None, numbers < 0, numbers % 3 == 0, numbers >= 0):
        check(keys, bank, banned)
keys, bank = torch.randn(20, 8), torch.randn(300, 8)
bank[7, 1] = float("nan")
assert fused_closest(keys, bank).isnan().all()
check(keys, bank, torch.arange(300) == 7)
keys[2, 2] = float("nan")
assert not (keys.square().sum(1) - 2 * fused_closest(keys, bank[8:])).isfinite()[2]
print("interpreted")
"""


@interpreter
def test_the_kernel_interpreted_gives_the_plain_answer() -> None:
    code = INTERPRETED.replace("SIZES", repr(SIZES))
    environment = os.environ | {"TRITON_INTERPRET": "1"}  # read when triton is imported, so in a process of its own
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "interpreted" in result.stdout


class TestOnTheGpu:
    pytestmark = gpu

    @pytest.mark.parametrize(("count", "entries", "size"), [*SIZES, (5000, 4096, 64), (40_000, 1000, 256)])
    def test_every_way_gives_the_cpus_answer(self, count: int, entries: int, size: int) -> None:
        keys, bank = draw(count, size), draw(entries, size, seed=1)
        for banned in bans(entries):
            there = (keys.cuda(), bank.cuda(), None if banned is None else banned.cuda())
            expected = exact(keys, bank, banned)
            assert torch.allclose(nearest(*there).cpu(), expected, atol=2e-3)
            assert torch.allclose(chunked_closest(*there).cpu(), plain_closest(keys, bank, banned), atol=2e-3)

    def test_keys_with_gradients_keep_them(self) -> None:
        keys = draw(50, 8).cuda().requires_grad_()
        nearest(keys, draw(20, 8, seed=1).cuda()).sum().backward()
        assert keys.grad is not None and keys.grad.abs().sum() > 0
