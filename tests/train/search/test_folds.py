"""The bench: folds of whole units, and nothing of the test part."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sightline.core.errors import InputError
from sightline.core.sample import TEST, Sample
from sightline.data.dataset import Dataset
from sightline.train.images.loader import TrainingWarning
from sightline.train.search.folds import Bench, deal, make_bench
from sightline.train.search.trial import _with_defect


def test_units_stay_together_and_every_fold_has_its_share() -> None:
    units = [i // 3 for i in range(60)]
    defective = [unit % 5 == 0 for unit in units]
    folds = deal(units, defective, 3, seed=1)
    assert all(len({fold for fold, own in zip(folds, units, strict=True) if own == unit}) == 1 for unit in set(units))
    shares = Counter(zip(folds, defective, strict=True))
    assert {shares[fold, True] for fold in range(3)} <= {3, 6}
    assert max(Counter(folds).values()) - min(Counter(folds).values()) <= 6
    assert folds == deal(units, defective, 3, seed=1) != deal(units, defective, 3, seed=2)


def test_the_test_part_is_never_read(parts: Dataset) -> None:
    gone = [replace(s, path=Path("nowhere.png")) if s.split == TEST else s for s in parts]
    bench = make_bench(gone, folds=2, seed=0)
    assert len(bench.samples) == len(parts.train)
    assert not bench.synthetic


def test_a_fold_learns_from_the_others(bench: Bench) -> None:
    for fold in range(bench.count):
        held = {bench.samples[picture.index].path for picture in bench.held_out(fold)}
        learned = {sample.path for sample in bench.train(fold)}
        assert held and learned and not held & learned
        assert len(held) + len(learned) == len(bench.samples)
    assert [picture.fold for picture in bench.judged] == sorted(picture.fold for picture in bench.judged)


def test_defects_are_drawn_where_none_is_labelled(parts: Dataset) -> None:
    good = [s for s in parts.train if s.defective is False]
    bench = make_bench(good, folds=2, seed=0)
    assert bench.synthetic
    assert 0 < bench.defective().sum() <= 4 * len(good)
    picture = next(p for p in bench.judged if p.drawing == 1)
    once, again = (_with_defect(bench, picture, (0.5, 0.0, 0.5, 1.0)) for _ in range(2))
    assert np.array_equal(once, again)
    plain = _with_defect(bench, replace(picture, drawing=2), (0.5, 0.0, 0.5, 1.0))
    assert not np.array_equal(once, plain)
    left = np.s_[:, : once.shape[1] // 2]
    assert np.array_equal(once[left], plain[left])  # outside the region of interest nothing is drawn


def test_lots_are_units(parts: Dataset) -> None:
    lots = [replace(s, lot=f"lot {i % 4}") for i, s in enumerate(parts.train)]
    assert len(set(make_bench(lots, folds=2, seed=0).units)) <= 4


def test_the_fingerprint_follows_images_labels_and_folds(parts: Dataset, bench: Bench) -> None:
    assert make_bench(parts, folds=2, seed=0).fingerprint == bench.fingerprint
    everything = [replace(s, split=None) for s in parts]
    other = [replace(s, defective=True) if s is everything[0] else s for s in everything]
    prints = [make_bench(some, folds=2, seed=0).fingerprint for some in (everything, other, everything[1:])]
    assert len({*prints, bench.fingerprint}) == 4
    assert make_bench(everything, folds=3, seed=0).fingerprint not in prints


def test_what_cannot_be_read_is_left_out_by_name(parts: Dataset, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_text("no image")
    with pytest.warns(TrainingWarning, match=r"broken\.png"):
        bench = make_bench([*parts.train, Sample(broken, False)], folds=2, seed=0)
    assert len(bench.samples) == len(parts.train)


def test_too_little_is_said_with_its_remedy(parts: Dataset) -> None:
    good = [s for s in parts.train if s.defective is False]
    with pytest.raises(InputError, match="Give 2 or more"):
        make_bench(good, folds=1, seed=0)
    with pytest.raises(InputError, match="no good parts"):
        make_bench([s for s in parts.train if s.defective], folds=2, seed=0)
    with pytest.raises(InputError, match="more good parts, or more folds"):
        make_bench(good[:8], folds=2, seed=0)
    with pytest.raises(InputError, match="fewer folds"):
        make_bench([replace(s, lot="one") for s in good], folds=2, seed=0)
