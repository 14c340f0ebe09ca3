"""One figure for held-out parts: every class counts the same, however rare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from sightline.train.labelled import Labelled
from sightline.train.tuning.figure import Figure, figure_of, mean_recall
from sightline.train.tuning.whole import Whole


def test_every_class_counts_the_same() -> None:
    truth = np.array([0] * 98 + [1, 1])
    assert mean_recall(truth, np.zeros(100)) == pytest.approx(0.5)
    assert mean_recall(truth, truth) == 1.0


def test_equal_recalls_are_told_apart_by_the_loss() -> None:
    assert Figure(0.9, 2.0, 10).beats(Figure(0.8, 1.0, 10))
    assert Figure(0.9, 1.0, 10).beats(Figure(0.9, 2.0, 10))
    assert not Figure(0.9, 1.0, 10).beats(Figure(0.9, 1.0, 10))


def test_the_figure_says_on_how_many_parts(tiny: Any, parts_of: Callable[..., list[Labelled]]) -> None:
    net = Whole(tiny.source, tiny.heads)
    net.heads.train()
    found = figure_of(net, parts_of(21), torch.ones(3))
    assert found.parts == 21 and 0 <= found.value <= 1 and found.loss > 0
    assert found == figure_of(net, parts_of(21), torch.ones(3))  # nothing is dropped at random


def test_grades_count_beside_types(tiny: Any, parts_of: Callable[..., list[Labelled]]) -> None:
    graded = [replace(x, classes=None, cells=None, grade=i % 2) for i, x in enumerate(parts_of(10))]
    heads = type(tiny.heads)(("stride_4", "stride_8"), (8, 16), 2, 2, True, 8).eval()
    assert heads.quality is not None
    torch.nn.init.zeros_(heads.quality.weight)
    with torch.no_grad():
        heads.steps.fill_(9.0)  # no part reaches the threshold: every grade is 0
    assert figure_of(Whole(tiny.source, heads), graded, torch.ones(3)).value == pytest.approx(0.5)
