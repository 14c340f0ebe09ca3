"""The bias of a taught type: as high as its examples need, and no higher than the kept parts bear."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.train.new_column import BORNE, NEED_MARGIN, Example, Kept, fit_column

PARTS = 40


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
    room = [1.0, 2.0, *[9.0] * (PARTS - 2)]
    column = fit_column(_kept(room), _examples([8.0, 6.0]), True)
    assert not column[:-1].any()
    taken = (_kept(room).said(column) > 5).sum()
    assert taken == int(BORNE * PARTS) == 1 and column[-1] == pytest.approx(2.0, abs=0.02)


def test_small_classes_lose_nothing() -> None:
    column = fit_column(_kept([1.5, 4.0, 4.0]), _examples([8.0, 6.0]), True)
    assert column[-1] == pytest.approx(1.5, abs=0.02)


def test_it_is_not_raised_beyond_what_the_examples_need() -> None:
    column = fit_column(_kept([30.0] * PARTS), _examples([1.0, 2.0]), True)
    assert column[-1] == pytest.approx(2.0 + NEED_MARGIN)
    assert fit_column(_kept([30.0] * PARTS), _examples([-9.0, -7.0]), True)[-1] == 0


def test_types_that_do_not_exclude_each_other_are_held_against_0() -> None:
    column = fit_column(_kept([30.0] * PARTS), _examples([4.0, 4.0]), False)  # they say -2 of themselves
    assert column[-1] == pytest.approx(2.0 + NEED_MARGIN)
