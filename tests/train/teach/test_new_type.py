"""The column of a taught type: what its examples have and kept parts have not, and no more than that."""

from __future__ import annotations

import numpy as np

from sightline.train.teach.new_type import Example, ReplayedParts, fit_column, left_out

PARTS, WIDTH = 60, 4


def _replayed(lda: float = -3.0) -> ReplayedParts:
    """Good parts and parts of an old type, each called what it is by 5 logits; with the same evidence for all."""
    rng = np.random.default_rng(0)
    good = np.arange(PARTS) < 2 * PARTS // 3
    logits = np.where(good[:, None], [[5.0, 0.0]], [[0.0, 5.0]]).astype(np.float32)
    features = rng.normal(size=(PARTS, WIDTH)).astype(np.float32)
    return ReplayedParts(features, logits, np.full(PARTS, lda, np.float32), np.stack([good, ~good], 1))


def _examples(count: int = 5, lda: float = 3.0, feature: float = 0.0, good: float = 2.0) -> list[Example]:
    """Examples that the recipe calls good by so many logits, each in two views."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(count):
        features = rng.normal(size=(2, WIDTH)).astype(np.float32)
        features[:, 0] += feature
        found.append(
            Example(features, np.tile(np.array([[good, 0.0]], np.float32), (2, 1)), np.full(2, lda, np.float32))
        )
    return found


def _taken(replayed: ReplayedParts, column: np.ndarray) -> int:
    return int((replayed.predicted(column) > replayed.logits.max(1)).sum())


def test_evidence_alone_recognises_what_only_the_examples_show() -> None:
    replayed = _replayed()
    column = fit_column(replayed, _examples(), True)
    assert all((x.predicted(column) > 2).all() for x in _examples()) and _taken(replayed, column) == 0
    assert np.abs(column[:-1]).max() < 0.5  # five examples say little of features
    assert left_out(replayed, _examples(), True).count == 5


def test_evidence_that_kept_parts_have_too_tells_nothing_apart() -> None:
    replayed = _replayed(lda=3.0)
    assert _taken(replayed, fit_column(replayed, _examples(good=5.0), True)) == 0
    assert left_out(replayed, _examples(good=5.0), True).count == 0


def test_a_feature_helps_where_evidence_is_silent() -> None:
    replayed = _replayed(lda=0.0)
    examples = _examples(lda=0.0, feature=12.0)
    column = fit_column(replayed, examples, True)
    assert column[0] == np.abs(column[:-1]).max()
    assert left_out(replayed, examples, True).count == 5 and _taken(replayed, column) == 0


def test_types_that_do_not_exclude_each_other_are_held_against_0() -> None:
    replayed = _replayed()
    column = fit_column(replayed, _examples(), False)
    assert all((x.predicted(column) > 0).all() for x in _examples()) and (replayed.predicted(column) < 0).all()


def test_what_it_takes_is_bounded_as_a_mean_over_classes() -> None:
    """Where 16 of 40 good parts look like the examples, 1 may be taken: 2 % of two classes, in whole parts."""
    replayed = _replayed()
    replayed.lda[:16] = 3.0
    replayed.logits[:16, 0] = np.linspace(2.1, 3.6, 16)
    column = fit_column(replayed, _examples(lda=4.0, good=2.0), True)
    assert _taken(replayed, column) == 1
    replayed.logits[0] = (0.0, 2.1)  # called wrongly already, so that it is no loss
    assert _taken(replayed, fit_column(replayed, _examples(lda=4.0, good=2.0), True)) == 2
