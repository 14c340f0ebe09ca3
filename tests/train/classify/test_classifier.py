"""What a classifier is taught by: each loss that can be set, and silence about what nobody has said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sightline.core.sample import Sample
from sightline.models.classifier import Classifier, Recognised
from sightline.train.classify.classifier import objective
from sightline.train.images.loader import Part
from sightline.train.labels.targets import Labelled
from sightline.train.settings import TrainSettings

COUNTS = torch.tensor([90.0, 9.0, 1.0])


def _part(classes: list[int] | None, grade: int = -1, cells: bool = False) -> Labelled:
    predicted = None if classes is None else np.array(classes, bool)
    marks = np.zeros((3, 4, 4), np.float32)
    marks[0], marks[0, 0, 0], marks[2, 0, 0] = 1, 0, 1
    part = Part(Sample(Path("x.png"), True), "x", 0)
    return Labelled(part, np.zeros((4, 4, 3), np.uint8), predicted, marks if cells else None, grade)


def _loss(batch: list[Labelled], logits: list[list[float]], exclusive: bool = True, **settings: str) -> float:
    net = Classifier(("a",), (2,), 2, 3, exclusive, 4)
    predicted = Recognised(torch.tensor(logits), torch.zeros(len(batch), 3, 4, 4), torch.zeros(len(batch)))
    chosen = TrainSettings.parse(dict(settings))
    return float(objective(net, predicted, batch, np.zeros(len(batch), bool), COUNTS, chosen.loss).detach())


@pytest.mark.parametrize("loss", ["adjusted", "balanced", "focal", "plain", "asymmetric"])
def test_a_right_answer_costs_less_than_a_wrong_one(loss: str) -> None:
    for exclusive in (True, False):
        right = _loss([_part([0, 0, 1])], [[0.0, -4.0, 4.0]], exclusive, loss=loss)
        wrong = _loss([_part([0, 0, 1])], [[0.0, 4.0, -4.0]], exclusive, loss=loss)
        assert 0 <= right < wrong


def test_rare_types_are_favoured_by_all_losses_but_the_plain_one() -> None:
    level = [[0.0, 0.0, 0.0]]
    rare, common = [_part([0, 0, 1])], [_part([1, 0, 0])]
    assert _loss(rare, level, loss="adjusted") > _loss(common, level, loss="adjusted")
    assert _loss(rare, level, loss="balanced") > _loss(common, level, loss="balanced")
    assert _loss(rare, level, loss="plain") == pytest.approx(_loss(common, level, loss="plain"))


def test_nothing_is_said_about_what_nobody_has_said() -> None:
    assert _loss([_part(None)], [[5.0, 0.0, 0.0]]) == 0
    assert _loss([_part([0, 0, 0])], [[5.0, 0.0, 0.0]]) == 0  # its only type is not learned


def test_marks_and_grades_add_to_it() -> None:
    bare = _loss([_part([0, 0, 1])], [[0.0, 0.0, 0.0]])
    assert _loss([_part([0, 0, 1], cells=True)], [[0.0, 0.0, 0.0]]) > bare
    assert _loss([_part([0, 0, 1], grade=2)], [[0.0, 0.0, 0.0]]) > bare
