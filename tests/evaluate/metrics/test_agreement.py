"""Do people agree? Against published figures, and on drawn disagreements."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sightline.evaluate.metrics.agreement import agreement, cohen_kappa, fleiss_kappa, independent
from sightline.store.annotations import Annotation

# The table of Fleiss (1971) as it is reproduced in textbooks: 10 parts, 14 raters, 5 categories; kappa .210.
FLEISS = [
    [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
]  # fmt: skip


def word(number: int, author: str, *types: str, label: str = "", grade: int | None = None) -> Annotation:
    label = label or ("defective" if types else "good")
    return Annotation(id=number, author=author, label=label, types=types, grade=grade)


def test_fleiss_as_published() -> None:
    assert fleiss_kappa(FLEISS) == pytest.approx(0.210, abs=5e-4)


def test_cohen_as_published() -> None:
    # 50 proposals, two readers: both yes 20, both no 15, yes/no 5, no/yes 10; kappa .4.
    first = [1] * 25 + [0] * 25
    second = [1] * 20 + [0] * 5 + [1] * 10 + [0] * 15
    assert cohen_kappa(first, second) == pytest.approx(0.4)


def test_two_raters_of_fleiss_are_near_cohen() -> None:
    rng = np.random.default_rng(0)
    first = rng.integers(0, 2, 500)
    second = np.where(rng.random(500) < 0.9, first, 1 - first)
    table = np.stack([2 - first - second, first + second], axis=1)
    assert fleiss_kappa(table) == pytest.approx(cohen_kappa(first, second), abs=0.01)


def test_weights_count_parts() -> None:
    first, second = np.array([0, 1, 1, 0]), np.array([0, 1, 0, 0])
    times = np.array([3, 1, 0, 2])
    assert cohen_kappa(first, second, times) == cohen_kappa(np.repeat(first, times), np.repeat(second, times))
    table = np.array(FLEISS)
    counts = np.arange(10)
    assert fleiss_kappa(table, counts) == pytest.approx(fleiss_kappa(np.repeat(table, counts, axis=0)))


def test_nothing_to_agree_on_has_no_kappa() -> None:
    assert cohen_kappa([1, 1], [1, 1]) is None and cohen_kappa([], []) is None
    assert fleiss_kappa([[2, 0], [2, 0]]) is None and fleiss_kappa([[1, 0]]) is None


def test_by_annotator_and_type_with_the_worst_first() -> None:
    words = {
        number: [
            word(3 * number, "ann", *(["scratch"] if number % 2 else [])),
            word(3 * number + 1, "ben", *(["scratch"] if number % 2 and number != 3 else [])),
        ]
        for number in range(20)
    }
    words[5].append(word(999, "cat", "dent"))
    words[21] = [word(1000, "ann")]  # alone: says nothing
    found = agreement(words)
    assert found.parts == 20
    pair = next(one for one in found.pairs if (one.first, one.second, one.question) == ("ann", "ben", "scratch"))
    assert pair.agreed.count == 19 and pair.agreed.of == 20 and 0.85 < pair.kappa.value < 0.95
    assert pair.kappa.lower < pair.kappa.value < pair.kappa.upper
    assert [one.sample_id for one in found.disagreements] == [3, 5]
    assert found.disagreements[0].share == 1.0 and found.disagreements[1].share == pytest.approx(2 / 3)
    assert ("cat", "dent") in found.disagreements[1].answers
    assert set(found.overall) == {"defective", "dent", "scratch"}


def test_an_authors_last_word_counts_and_unknown_says_nothing() -> None:
    words = {
        1: [word(1, "ann", "dent"), word(2, "ben"), word(3, "ben", "dent")],
        2: [word(4, "ann", label="unknown"), word(5, "ben")],
    }
    found = agreement(words)
    (pair,) = [one for one in found.pairs if one.question == "defective"]
    assert (pair.agreed.count, pair.agreed.of) == (1, 1)


def test_a_grade_alone_is_a_disagreement() -> None:
    found = agreement({1: [word(1, "ann", grade=1), word(2, "ben", grade=3)]})
    assert found.disagreements[0].answers == (("ann", "good, grade 1"), ("ben", "good, grade 3"))


def test_whoever_saw_a_label_is_no_second_witness() -> None:
    ann, ben = word(1, "ann"), word(2, "ben")
    eve = replace(word(3, "eve"), blind=True)
    again = word(4, "ann", label="defective")
    assert independent({7: [ann, ben, eve, again], 8: [eve]}) == {7: [ann, eve, again], 8: [eve]}
