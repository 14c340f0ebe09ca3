"""Label errors come first in the suspicion list, and a part never judges itself."""

from __future__ import annotations

import numpy as np

from sightline.data.curation.label_errors import suspicion


def test_planted_errors_come_first() -> None:
    rng = np.random.default_rng(0)
    own = rng.integers(0, 3, 240)
    points = (rng.normal(size=(240, 20)) + 8 * np.eye(3, 20)[own]).astype(np.float32)
    labels = [f"type {k}" for k in own]
    wrong = rng.permutation(240)[:12]
    for i in wrong:
        labels[i] = f"type {(own[i] + 1) % 3}"
    found = suspicion(points, labels, range(240))
    assert found is not None
    assert set(np.argsort(found.margin)[:12]) == set(wrong)
    assert all(found.other[i] == f"type {own[i]}" for i in wrong)
    assert np.isin(np.flatnonzero(found.doubted), wrong).mean() > 0.9


def test_images_of_one_part_do_not_vouch_for_each_other() -> None:
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(40, 30)).repeat(5, axis=0)
    points = (centres + rng.normal(0, 0.01, (200, 30))).astype(np.float32)
    labels = ["good" if k % 2 else "bad" for k in np.arange(40).repeat(5)]
    together = suspicion(points, labels, list(np.arange(40).repeat(5)))
    alone = suspicion(points, labels, list(range(200)))
    assert together is not None and alone is not None
    assert np.nanmean(alone.margin) > np.nanmean(together.margin) + 0.2


def test_one_class_gives_no_suspicion() -> None:
    assert suspicion(np.zeros((20, 4), np.float32), ["good"] * 20, range(20)) is None


def test_unlabelled_images_and_tiny_classes_are_not_judged() -> None:
    rng = np.random.default_rng(2)
    own = np.arange(40) % 2
    points = (rng.normal(size=(40, 5)) + 6 * own[:, None]).astype(np.float32)
    labels = ["ab"[k] for k in own]
    labels[0], labels[1] = "", "rare"
    found = suspicion(points, labels, range(40))
    assert found is not None and np.isnan(found.margin[:2]).all() and not found.doubted[:2].any()
