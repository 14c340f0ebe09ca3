"""The bias of a taught type: as high as its examples need, and no higher than the kept parts bear."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.train.new_column import BORNE, NEED_MARGIN, Example, Kept, by_evidence, by_regression, choose_way

PARTS = 100


def _kept(room: list[float]) -> Kept:
    """One class whose parts are called it by 5 logits; the new type says 5 less `room` of each."""
    logits = np.tile(np.array([[5.0, 0.0]], np.float32), (len(room), 1))
    classes = np.tile(np.array([[True, False]]), (len(room), 1))
    return Kept(np.zeros((len(room), 3), np.float32), logits, 5 - np.array(room, np.float32), classes)


def _examples(need: list[float]) -> list[Example]:
    """Examples that lack `need` logits to be called the new type."""
    logits = np.array([[2.0, 0.0]], np.float32)
    return [Example(np.zeros((1, 3), np.float32), logits, np.array([2.0 - x], np.float32)) for x in need]


def test_kept_parts_bound_the_bias() -> None:
    room = [1.0, 1.5, 2.0, *[9.0] * (PARTS - 3)]
    column = by_evidence(_kept(room), _examples([8.0, 6.0]), True)
    assert not column[:-1].any()
    taken = (_kept(room).said(column) > 5).sum()
    assert taken == int(BORNE * PARTS) == 2 and column[-1] == pytest.approx(2.0, abs=0.02)


def test_small_classes_lose_nothing() -> None:
    column = by_evidence(_kept([1.5, 4.0, 4.0]), _examples([8.0, 6.0]), True)
    assert column[-1] == pytest.approx(1.5, abs=0.02)


def test_what_is_borne_is_a_mean_over_classes() -> None:
    """Of 100 good parts 4 may be taken where the other class loses none of its 50, of which one counts twice."""
    rooms = [1.0, 1.2, 1.4, 1.6, *[9.0] * 96], [1.8, 2.0, *[9.0] * 48]
    good, other = (_kept(room) for room in rooms)
    other.logits[:] = (0.0, 5.0)
    other.classes[:] = (False, True)
    both = [np.concatenate(pair) for pair in zip(vars(good).values(), vars(other).values(), strict=True)]
    kept = Kept(*both)
    column = by_evidence(kept, _examples([8.0, 6.0]), True)
    taken = kept.said(column) > 5
    assert column[-1] == pytest.approx(1.8, abs=0.02)
    assert taken[:100].mean() == 0.04 and taken[100:].mean() == 0.0


def test_it_is_not_raised_beyond_what_the_examples_need() -> None:
    column = by_evidence(_kept([30.0] * PARTS), _examples([1.0, 2.0]), True)
    assert column[-1] == pytest.approx(2.0 + NEED_MARGIN)
    assert by_evidence(_kept([30.0] * PARTS), _examples([-9.0, -7.0]), True)[-1] == 0


def test_types_that_do_not_exclude_each_other_are_held_against_0() -> None:
    column = by_evidence(_kept([30.0] * PARTS), _examples([4.0, 4.0]), False)  # they say -2 of themselves
    assert column[-1] == pytest.approx(2.0 + NEED_MARGIN)


def test_parts_that_are_called_wrongly_already_are_no_loss() -> None:
    kept = _kept([0.5, *[9.0] * (PARTS - 1)] * 1)
    kept.logits[0] = (0.0, 5.0)  # a good part that the recipe calls a defect
    kept.logits[1] = (0.0, 5.0)
    assert by_evidence(kept, _examples([3.0, 3.0]), True)[-1] == pytest.approx(3.0 + NEED_MARGIN)


def test_the_way_is_taken_that_recognises_left_out_examples() -> None:
    """Evidence that kept parts have, too, tells nothing apart; one feature does."""
    kept, examples = _kept([1.0] * PARTS), _examples([8.0] * 4)
    assert choose_way(kept, _examples([0.5] * 4), True) is by_evidence
    for x in examples:
        x.features[:, 0] = 9.0
    assert choose_way(kept, examples, True) is by_regression
    silent = [Example(x.features, x.logits, 0 * x.spoken) for x in examples]
    assert choose_way(kept, silent, True) is by_regression  # an older recipe
