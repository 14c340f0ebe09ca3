"""Defect types against hand-computed values and an independent count."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn import metrics as sk

from sightline.core.errors import InputError
from sightline.evaluate.metrics.types import average_precision, confusion, multi_label, single_label
from sightline.evaluate.statistics.intervals import clopper_pearson, mean_of_all_right

NAMES = ("crack", "dent", "stain")
TRUTH = ["crack"] * 4 + ["dent"] * 4 + ["stain"] * 2
PREDICTED = ["crack", "crack", "crack", "dent", "dent", "dent", "crack", "stain", "stain", "stain"]


def ap_by_definition(scores, labels):
    """Area of the step curve, one threshold per distinct score."""
    area, before = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        called = [label for score, label in zip(scores, labels, strict=True) if score >= threshold]
        recall = sum(called) / sum(labels)
        area += (recall - before) * sum(called) / len(called)
        before = recall
    return area


def test_single_label_by_hand() -> None:
    found = single_label(TRUTH, PREDICTED, NAMES)
    crack, dent, stain = found.types
    assert (crack.precision.count, crack.precision.of) == (3, 4)
    assert (crack.recall.count, crack.recall.of) == (3, 4)
    assert (dent.precision.count, dent.precision.of, dent.recall.of) == (2, 3, 4)
    assert (stain.precision.value, stain.recall.value) == (pytest.approx(2 / 3), 1.0)
    assert [kind.f1.value for kind in found.types] == pytest.approx([3 / 4, 4 / 7, 4 / 5])
    assert found.macro_precision == pytest.approx((3 / 4 + 2 / 3 + 2 / 3) / 3)
    assert found.macro_recall == pytest.approx((3 / 4 + 1 / 2 + 1) / 3)
    assert found.macro_f1.value == pytest.approx((3 / 4 + 4 / 7 + 4 / 5) / 3)
    assert found.balanced_accuracy.value == pytest.approx(0.75)
    assert (found.accuracy.count, found.accuracy.of) == (7, 10)
    assert found.macro_ap is None
    assert found.balanced_accuracy.lower < 0.75 < found.balanced_accuracy.upper
    assert json.loads(json.dumps(found.to_json()))["types"][0]["type"] == "crack"


def test_f1_and_its_interval_follow_from_the_overlap() -> None:
    crack = single_label(TRUTH, PREDICTED, NAMES).types[0]
    lower, upper = clopper_pearson(3, 5)
    assert crack.f1.of == 5
    assert (crack.f1.lower, crack.f1.upper) == pytest.approx((2 * lower / (1 + lower), 2 * upper / (1 + upper)))
    assert crack.precision.lower == clopper_pearson(3, 4)[0]


def test_a_type_that_is_never_shown_or_never_said_is_stated_as_such() -> None:
    found = single_label(["a", "a"], ["a", "a"], ("a", "b"))
    b = found.types[1]
    assert (b.precision.value, b.recall.value, b.f1.value, b.f1.lower) == (None, None, None, None)
    assert found.macro_recall == 1.0
    assert (found.balanced_accuracy.value, found.balanced_accuracy.lower) == (1.0, mean_of_all_right([2]))
    silent = single_label(["a", "b"], ["a", "a"], ("a", "b"))
    assert (silent.types[1].precision.value, silent.macro_precision) == (None, 0.25)


def test_multi_label_by_hand() -> None:
    truth = [[1, 0], [1, 1], [0, 1], [0, 0]]
    predicted = [[1, 1], [1, 0], [0, 1], [0, 0]]
    found = multi_label(truth, predicted, ("a", "b"), scores=[[0.9, 0.6], [0.8, 0.4], [0.1, 0.7], [0.2, 0.1]])
    assert [kind.f1.value for kind in found.types] == [1.0, 0.5]
    assert found.accuracy.value == 0.5
    assert found.balanced_accuracy.value == pytest.approx((1.0 + (0.5 + 0.5) / 2) / 2)
    assert [kind.ap for kind in found.types] == pytest.approx([1.0, (1 + 2 / 3) / 2])
    assert found.macro_ap == pytest.approx((1.0 + 5 / 6) / 2)


@pytest.mark.parametrize("seed", range(3))
def test_figures_equal_scikit_learn(seed: int) -> None:
    random = np.random.default_rng(seed)
    truth = random.random((80, 3)) < 0.3
    scores = np.round(random.normal(size=truth.shape) + truth, 1)
    predicted = scores > 0.8
    found = multi_label(truth, predicted, NAMES, scores)
    assert found.macro_f1.value == pytest.approx(sk.f1_score(truth, predicted, average="macro"))
    assert found.macro_precision == pytest.approx(sk.precision_score(truth, predicted, average="macro"))
    assert found.macro_ap == pytest.approx(sk.average_precision_score(truth, scores))
    one, two = truth.argmax(1), scores.argmax(1)
    single = single_label([NAMES[k] for k in one], [NAMES[k] for k in two], NAMES)
    assert single.balanced_accuracy.value == pytest.approx(sk.balanced_accuracy_score(one, two))
    for k in range(3):
        assert average_precision(scores[:, k], truth[:, k]) == pytest.approx(
            ap_by_definition(scores[:, k], truth[:, k])
        )


def test_lots_are_resampled_whole() -> None:
    truth, predicted = TRUTH * 10, PREDICTED * 10
    alone = single_label(truth, predicted, NAMES).balanced_accuracy
    lots = single_label(truth, predicted, NAMES, groups=[n % 10 for n in range(100)]).balanced_accuracy
    assert lots.value == pytest.approx(alone.value)
    assert lots.upper - lots.lower > 2 * (alone.upper - alone.lower)


def test_all_right_promises_no_more_than_the_rarest_type_allows() -> None:
    found = single_label(TRUTH, TRUTH, NAMES).balanced_accuracy
    assert (found.value, found.upper, found.of) == (1.0, 1.0, 10)
    assert found.lower == pytest.approx(mean_of_all_right([4, 4, 2]))
    lots = single_label(TRUTH, TRUTH, NAMES, groups=["one"] * 4 + list("abcdef")).balanced_accuracy
    assert lots.lower == pytest.approx(mean_of_all_right([1, 4, 2]))


def test_empty_inputs_give_none() -> None:
    for found in (single_label([], [], NAMES), multi_label([], [], NAMES, np.empty((0, 3)))):
        assert found.accuracy.value is None
        assert (found.macro_precision, found.macro_ap, found.macro_f1.value) == (None, None, None)
        assert found.balanced_accuracy.value is None
    assert average_precision([1.0], [False]) is None
    assert average_precision([], []) is None


def test_the_confusion_keeps_the_images_behind_each_cell() -> None:
    table = confusion(TRUTH, PREDICTED, [f"{n}.png" for n in range(10)])
    assert table.names == NAMES
    assert table.counts.tolist() == [[3, 1, 0], [1, 2, 1], [0, 0, 2]]
    assert table.cell("crack", "dent") == ("3.png",)
    assert table.cell("stain", "crack") == ()
    assert table.counts.sum() == sum(len(cell["images"]) for cell in table.to_json()["cells"])
    with pytest.raises(KeyError, match="Choose from"):
        table.cell("crack", "scratch")


def test_a_said_type_that_is_true_nowhere_has_a_column_and_no_images_make_an_empty_table() -> None:
    assert confusion(["a"], ["unknown"], ["1.png"]).counts.tolist() == [[0, 1], [0, 0]]
    assert confusion([], [], []).counts.shape == (0, 0)
    with pytest.raises(ValueError, match="one of each per image"):
        confusion(["a"], [], ["1.png"])


def test_bad_input_is_refused_with_a_remedy() -> None:
    with pytest.raises(InputError, match="Rename it"):
        single_label(["hole"], ["crack"], NAMES)
    with pytest.raises(InputError, match="Give each type once"):
        single_label([], [], ())
    with pytest.raises(InputError, match="Give each type once"):
        multi_label([], [], ("a", "a"))
    with pytest.raises(InputError, match="not a number"):
        multi_label([[1]], [[1]], ("a",), [[np.nan]])
    with pytest.raises(ValueError, match="one of each per part"):
        single_label(["crack"], [], NAMES)
    with pytest.raises(ValueError, match=r"\(N, K\) scores"):
        single_label(["crack"], ["crack"], NAMES, [[1.0]])
    with pytest.raises(ValueError, match=r"Give \(N, 3\) bool"):
        multi_label([[1, 0]], [[1, 0]], NAMES)
