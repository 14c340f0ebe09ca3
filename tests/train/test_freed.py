"""Memory between the stages of a training: what was freed goes back, and what rests comes again the same."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from sightline.core.sample import Sample
from sightline.train.freed import release_memory
from sightline.train.intake import InputSize, Intake, accept
from sightline.train.trunk import OnnxTrunk

BLOCK, BLOCKS = 100_000, 2000  # below glibc's threshold, so from the heap


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc's heap keeps what is freed")
def test_freed_blocks_go_back_to_the_system() -> None:
    blocks = [bytearray(b"x" * BLOCK) for _ in range(BLOCKS)]
    held = blocks[-1:]  # at the heap's end: what lies below would stay
    full = resident_mb()
    blocks.clear()
    release_memory()
    assert held and resident_mb() < full - 0.8 * BLOCK * BLOCKS / 2**20


def test_a_trunk_that_rested_gives_the_same_maps() -> None:
    trunk = OnnxTrunk("lite0", threads=1)
    images = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3)).astype(np.uint8)
    before = trunk(images)
    trunk.rest()
    after = trunk(images)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_an_intake_that_rested_decodes_again(tmp_path: Path, write: object, draw: object) -> None:
    paths = [write(tmp_path / f"{i}.png", draw(i, height=96, width=128)[0]) for i in range(3)]  # type: ignore[operator]
    intake = Intake(accept([Sample(path, False) for path in paths], False), InputSize(96, 128, 1.0), (0, 0, 1, 1))
    first = intake(intake.parts[0])
    assert first is not None and intake(intake.parts[0]) is first
    intake.rest()
    again = intake(intake.parts[0])
    assert again is not None and again is not first and np.array_equal(again.images, first.images)
