"""A tiny backbone, and parts with red and blue marks for it to learn: seconds of work, and the same in every
process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sightline.core.sample import Sample
from sightline.models.backbone import Backbone
from sightline.models.classifier import Classifier
from sightline.train.finetune import loop
from sightline.train.images.loader import Part
from sightline.train.labels.targets import BoxTargets, Labelled
from sightline.train.settings import TrainSettings

SIDE, GRID, TYPES = 32, 8, 2
COLOURS = ((230, 30, 30), (30, 30, 230))
SETTINGS = TrainSettings(
    backbone_training="fine-tuned", tune_batch=4, tune_epochs=4, threads=1, tune_depth=1.0, tune_rate=1e-3
)


class TinyTrunk(nn.Module):
    """Two maps, of stride 4 and 8."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.BatchNorm2d(8), nn.ReLU())
        self.blocks = nn.ModuleList([nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 16, 2, 2)])

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        fine = self.blocks[0](self.stem(image / 127.5 - 1)).relu()
        return fine, self.blocks[1](fine).relu()


def load_tiny() -> nn.Module:
    torch.manual_seed(5)
    return TinyTrunk().eval().requires_grad_(False)


def tiny_backbone() -> Backbone:
    maps = ("stride_4", "stride_8")
    return Backbone(load_tiny, "tiny-1", maps, {"fine": maps, "coarse": maps[1:]}, 4, 8, maps[-1])


def tiny_heads(types: int = TYPES, grades: int = 0) -> Classifier:
    torch.manual_seed(6)
    return Classifier(("stride_4", "stride_8"), (8, 16), types, grades, True, 8).eval()


def make_part(number: int, kind: int, unit: int) -> Labelled:
    """A grey part of `kind` 0 (good), or with a red (1) or blue (2) square on it."""
    rng = np.random.default_rng(number)
    image = rng.integers(100, 130, (SIDE, SIDE, 3)).astype(np.uint8)
    cells = np.zeros((TYPES + 1, GRID, GRID), np.float32)
    if kind:
        y, x = rng.integers(0, 6, 2)
        image[4 * y : 4 * y + 8, 4 * x : 4 * x + 8] = COLOURS[kind - 1]
        cells[kind, y : y + 2, x : x + 2] = 1
    cells[0] = 1 - cells[1:].max(axis=0)
    sample = Sample(Path(f"{number}.png"), kind > 0, (f"type{kind}",) if kind else ())
    classes = np.arange(TYPES + 1) == kind
    return Labelled(Part(sample, f"{number:016}", unit), image, classes, cells, -1)


def make_parts(count: int, first: int = 0) -> list[Labelled]:
    """Every kind in turn; two neighbours of a kind are of one group."""
    return [make_part(first + i, i % 3, (first + i) // 6 * 3 + i % 3) for i in range(count)]


class Tiny(NamedTuple):
    """What the tests learn with."""

    source: Backbone
    heads: Classifier
    learning: list[Labelled]
    stopping: list[Labelled]


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Tiny:
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path))
    monkeypatch.setattr(loop, "MIN_STEPS", 12)
    return Tiny(tiny_backbone(), tiny_heads(), make_parts(12), make_parts(9, 600))


@pytest.fixture
def parts_of() -> Callable[..., list[Labelled]]:
    return make_parts


def with_boxes(x: Labelled) -> Labelled:
    """The same part with a box around its square."""
    assert x.cells is not None
    marked = x.cells[1:].max(axis=0)
    rows, columns = np.flatnonzero(marked.any(axis=1)), np.flatnonzero(marked.any(axis=0))
    ends = [[4 * columns[0], 4 * rows[0], 4 * columns[-1] + 4, 4 * rows[-1] + 4]] if len(rows) else []
    types = np.flatnonzero(x.cells[1:].any(axis=(1, 2)))
    return replace(x, boxes=BoxTargets(np.array(ends, np.float32).reshape(-1, 4), types))


@pytest.fixture
def boxed() -> Callable[..., list[Labelled]]:
    return lambda *given: [with_boxes(x) for x in make_parts(*given)]


@pytest.fixture
def part_of() -> Callable[..., Labelled]:
    return make_part


@pytest.fixture
def settings() -> TrainSettings:
    return SETTINGS


@pytest.fixture
def quiet() -> Callable[[str, int, int], None]:
    return lambda stage, done, of: None


@pytest.fixture
def weights() -> Callable[[nn.Module], Sequence[Tensor]]:
    return lambda net: list(net.state_dict().values())
