"""One figure for held-out parts: every class counts the same, however rare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from sightline.train.finetune.network import JointNetwork
from sightline.train.finetune.validation import mean_recall, recall_error, validation_score_of
from sightline.train.labels.targets import Labelled


def test_every_class_counts_the_same() -> None:
    truth = np.array([0] * 98 + [1, 1])
    assert mean_recall(truth, np.zeros(100)) == pytest.approx(0.5)
    assert mean_recall(truth, truth) == 1.0


def test_a_few_parts_say_little_however_right_they_are() -> None:
    truth = np.array([0] * 98 + [1, 1])
    sure, few = 99 / 100 * (1 / 100) / 100, 3 / 4 * (1 / 4) / 4
    assert recall_error(truth, truth) == pytest.approx(np.sqrt(sure + few) / 2)
    assert recall_error(np.tile(truth, 50), np.tile(truth, 50)) < recall_error(truth, truth) / 5


def test_several_types_at_once_count_each_as_there_and_as_not_there(
    tiny: Any, parts_of: Callable[..., list[Labelled]]
) -> None:
    heads = type(tiny.heads)(("stride_4", "stride_8"), (8, 16), 2, 0, False, 8).eval()
    torch.nn.init.constant_(heads.whole.bias, -9.0)  # no type is ever said
    found = validation_score_of(JointNetwork(tiny.source, heads), parts_of(30), torch.ones(3))
    assert found.value == pytest.approx(0.5) and 0 < found.error < 0.1


def test_the_figure_says_on_how_many_parts(tiny: Any, parts_of: Callable[..., list[Labelled]]) -> None:
    net = JointNetwork(tiny.source, tiny.heads)
    net.heads.train()
    found = validation_score_of(net, parts_of(21), torch.ones(3))
    assert found.parts == 21 and 0 <= found.value <= 1 and found.loss > 0
    assert found == validation_score_of(net, parts_of(21), torch.ones(3))  # nothing is dropped at random


def test_grades_count_beside_types(tiny: Any, parts_of: Callable[..., list[Labelled]]) -> None:
    graded = [replace(x, classes=None, cells=None, grade=i % 2) for i, x in enumerate(parts_of(10))]
    heads = type(tiny.heads)(("stride_4", "stride_8"), (8, 16), 2, 2, True, 8).eval()
    assert heads.quality is not None
    torch.nn.init.zeros_(heads.quality.weight)
    with torch.no_grad():
        heads.steps.fill_(9.0)  # no part reaches the threshold: every grade is 0
    assert validation_score_of(JointNetwork(tiny.source, heads), graded, torch.ones(3)).value == pytest.approx(0.5)


def test_boxes_count_beside_types(tiny: Any, boxed: Callable[..., list[Labelled]]) -> None:
    """Of the squares of both types, a head that answers with the truth has all, one that is never sure has none."""

    class Told(torch.nn.Module):
        def __init__(self, score: float) -> None:
            super().__init__()
            self.rows, self.score = iter(boxed(12)), score

        def answers(self, maps: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
            scores, corners = torch.zeros(len(maps["stride_4"]), 2, 1), torch.zeros(len(maps["stride_4"]), 4, 1)
            for row, x in enumerate(x for x, _ in zip(self.rows, scores, strict=False)):
                assert x.boxes is not None
                for kind, ends in zip(x.boxes.types, x.boxes.corners, strict=True):
                    scores[row, kind, 0], corners[row, :, 0] = self.score, torch.from_numpy(ends)
            return scores, corners

    found = []
    for score in (0.9, 0.01):
        net = JointNetwork(tiny.source, tiny.heads)
        without = validation_score_of(net, boxed(12), torch.ones(3))
        net.boxes = Told(score)  # type: ignore[assignment]
        found.append(2 * validation_score_of(net, boxed(12), torch.ones(3)).value - without.value)
    assert found == pytest.approx([1.0, 0.0])
