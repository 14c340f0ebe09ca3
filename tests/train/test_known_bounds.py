"""Bounds of known types count parts, however often each was photographed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from sightline.core.sample import Sample
from sightline.train.classify.validation import validate_labelled_defects
from sightline.train.images.loader import Part
from sightline.train.labels.targets import Labelled, LabelMap
from sightline.train.settings import TrainSettings

WORDS = LabelMap(("dent",), (), False)


def _known(evidence: list[tuple[int, bool, float]]) -> Any:
    """The card of pictures (part, whether it has a dent, evidence of one)."""
    labelled, logits = [], []
    for number, (part, dent, value) in enumerate(evidence):
        classes, cells = np.array([not dent, dent]), np.zeros((2, 4, 4), np.float32)
        taken = Part(Sample(Path(f"{number}.png"), dent), f"{number}", part)
        labelled.append(Labelled(taken, np.zeros((16, 16, 3), np.uint8), classes, cells, -1, None))
        logits.append([0.0, value])
    net: Any = SimpleNamespace(type_logits=lambda types: types[:, 1:])
    return validate_labelled_defects(net, labelled, np.array(logits), WORDS, TrainSettings(), False)


def test_two_pictures_of_a_part_count_once() -> None:
    good = [(part, False, -5.0 + 0.01 * part + 0.001 * turn) for part in range(30) for turn in range(2)]
    dents = [(100 + part, True, 5.0 + 0.1 * part + turn) for part in range(4) for turn in range(3)]
    card = _known(good + dents)
    assert (card.calibration.good, card.calibration.defective) == (30, 4)
    assert card.calibration.overkill.of == 30 and card.calibration.escape.of == 4
    assert card.calibration.promises[0].startswith("30 good parts in 60 photos")
    assert (card.held_out["dent"].count, card.held_out["dent"].of) == (0, 4)


def test_a_type_that_one_picture_of_a_part_hides_is_missed() -> None:
    good = [(part, False, -5.0 + 0.01 * part) for part in range(30)]
    dents = [(100, True, 5.0), (100, True, -1.0), (101, True, 5.0), (102, True, 6.0)]
    card = _known(good + dents)
    assert (card.held_out["dent"].count, card.held_out["dent"].of) == (1, 3)
