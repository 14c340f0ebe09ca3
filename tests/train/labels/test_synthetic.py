"""Synthetic defects: of rare types only, marked where they are, and never more than a copy inside a training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightline.core.sample import Sample
from sightline.train.classify.validation import HeldOut, choose_synthetic, naming
from sightline.train.images.loader import Part
from sightline.train.labels.synthetic import PER_TYPE, make_copies, make_synthetic_defects, may_help
from sightline.train.labels.targets import Labelled, LabelMap
from sightline.train.settings import TrainSettings

WORDS = LabelMap(("dent", "scratch"), (), True)
ONE = LabelMap(("defect",), (), True)


def _labelled(draw: Any, number: int, kind: int | None, types: int = 2) -> Labelled:
    image, _ = draw(number)
    image = image.copy()
    marks = np.zeros(image.shape[:2], np.uint8)
    classes = np.zeros(types + 1, bool)
    classes[0 if kind is None else kind] = True
    if kind is not None:
        image[40:52, 50:62] = (220, 30 * kind, 30)
        marks[40:52, 50:62] = kind
    cells = np.zeros((types + 1, image.shape[0] // 4, image.shape[1] // 4), np.float32)
    if kind is not None:
        cells[kind, 10:13, 12:16] = 1
    cells[0] = 1 - cells[1:].max(0)
    part = Part(Sample(Path("x.png"), kind is not None), f"{number}", number)
    return Labelled(part, image, classes, cells, -1, None if kind is None else marks)


@pytest.fixture(scope="module")
def labelled(draw: Any) -> list[Labelled]:
    kinds = [None] * 6 + [1] * 3 + [2] * 2
    return [_labelled(draw, number, kind) for number, kind in enumerate(kinds)]


def test_rare_types_get_examples_on_good_parts(labelled: list[Labelled]) -> None:
    synthetic = make_synthetic_defects(labelled, WORDS, np.random.default_rng(0))
    counts = np.sum([x.classes for x in synthetic], axis=0)
    assert counts[0] == 0 and counts[1] <= PER_TYPE - 3 and counts[2] <= PER_TYPE - 2
    assert min(counts[1:]) > PER_TYPE // 2
    assert len({x.part.hash for x in [*synthetic, *labelled]}) == len(synthetic) + len(labelled)
    good = {x.part.hash: x.image for x in labelled if x.classes is not None and x.classes[0]}
    for x in synthetic:
        before = good[x.part.hash.split("-")[0]]
        assert x.image.shape == before.shape and (x.image != before).any()
        assert x.cells is not None and x.classes is not None and x.cells[x.classes.argmax()].max() > 0
        assert np.allclose(x.cells.sum(0), 1)


def test_the_same_seed_makes_the_same(labelled: list[Labelled]) -> None:
    first, again = (make_synthetic_defects(labelled, WORDS, np.random.default_rng(3)) for _ in range(2))
    assert all(np.array_equal(a.image, b.image) for a, b in zip(first, again, strict=True))


def test_nothing_is_made_without_marks_or_of_frequent_types(draw: Any, labelled: list[Labelled]) -> None:
    bare = [x for x in labelled if x.marks is None]
    assert make_synthetic_defects(bare, WORDS, np.random.default_rng(0)) == [] and not may_help(bare, WORDS)
    many = [*labelled, *[x for x in labelled if x.marks is not None] * PER_TYPE]
    assert make_synthetic_defects(many, WORDS, np.random.default_rng(0)) == [] and not may_help(many, WORDS)
    assert may_help(labelled, WORDS)


def test_defects_of_one_name_are_drawn_too(draw: Any) -> None:
    parts = [_labelled(draw, number, None if number < 6 else 1, types=1) for number in range(9)]
    synthetic = make_synthetic_defects(parts, ONE, np.random.default_rng(0))
    assert len(synthetic) > PER_TYPE


def _held_out(merits: dict[str, float], labelled: list[Labelled]) -> Any:
    """Logits with so large a share of right ones, by the way of learning."""

    def run(settings: TrainSettings) -> HeldOut:
        truth = np.array([x.classes for x in labelled], float)
        wrong = np.random.default_rng(0).permutation(len(truth))[
            : round(len(truth) * (1 - merits[settings.synthetic_defects]))
        ]
        truth[wrong] = np.roll(truth[wrong], 1, axis=1)
        return HeldOut(settings.synthetic_defects, truth, truth[:, 0])  # type: ignore[arg-type]

    return run


def test_made_defects_are_learned_from_where_real_ones_are_named_better(labelled: list[Labelled]) -> None:
    chosen, found, reasons = choose_synthetic(
        labelled, WORDS, TrainSettings(effort="max"), _held_out({"always": 1.0, "never": 0.5}, labelled)
    )
    assert chosen.synthetic_defects == found.net == "always" and naming(labelled, found.logits, WORDS) == 1.0
    assert reasons["synthetic defects"].startswith("learned from; balanced accuracy 1.000 with, ")
    assert "held-out real defective parts" in reasons["synthetic defects"]


@pytest.mark.parametrize("merits", [{"always": 0.5, "never": 1.0}, {"always": 1.0, "never": 1.0}])
def test_and_left_where_they_are_not(labelled: list[Labelled], merits: dict[str, float]) -> None:
    chosen, found, reasons = choose_synthetic(labelled, WORDS, TrainSettings(effort="max"), _held_out(merits, labelled))
    assert chosen.synthetic_defects == found.net == "never"
    assert reasons["synthetic defects"].startswith("not learned from; balanced accuracy ")


def test_what_is_set_is_not_tried(labelled: list[Labelled]) -> None:
    asked: list[str] = []

    def run(settings: TrainSettings) -> HeldOut:
        asked.append(settings.synthetic_defects)
        return HeldOut(None, np.zeros((len(labelled), 3)), np.zeros(len(labelled)))  # type: ignore[arg-type]

    for way in ("never", "always"):
        assert choose_synthetic(labelled, WORDS, TrainSettings(synthetic_defects=way), run)[2] == {}
    assert asked == ["never", "always"]


def test_copies_carry_their_marks_along(labelled: list[Labelled]) -> None:
    assert make_copies(labelled, 0.0, (), np.random.default_rng(0)) == []
    copies = make_copies(labelled, 0.6, ("flip",), np.random.default_rng(0))
    assert len(copies) == 10  # two of each defective part
    for x in copies:
        assert x.cells is not None and x.classes is not None
        assert 0.5 < x.cells[x.classes.argmax()].sum() / 12 < 1.6
        assert np.allclose(x.cells.sum(0), 1, atol=1e-5)
