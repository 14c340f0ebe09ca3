"""Synthetic defects: on parts of a fold only that fold's kinds, and cells to teach with from where they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from sightline.data.synthetic.painters import GROUPS
from sightline.models.backbone import backbone
from sightline.models.memory_bank import DISCRIMINATOR
from sightline.train.anomaly import synthetic as module
from sightline.train.anomaly.discriminator import deal_units, teach_discriminators
from sightline.train.anomaly.held_out_distances import Comparer, Owners
from sightline.train.anomaly.memory_bank import Maps
from sightline.train.anomaly.synthetic import BESIDE, DefectMaps, cells_to_teach, discriminated, synthesize_defects
from sightline.train.images.loader import ImageLoader, InputSize

COUNT = 12
SIZE = InputSize(96, 128, 1.0)


def _quiet(stage: str, done: int, of: int) -> None:
    pass


@pytest.fixture(scope="module")
def made(fitted: Any) -> tuple[DefectMaps, dict[int, int], list[tuple[int, str]]]:
    """Drawings with folds, the folds, and the unit and kind of every drawing."""
    kinds: list[tuple[int, str]] = []
    owners = {}
    for name, level in fitted.head.levels.items():
        nobody = torch.full((len(level.bank),), -1)
        owners[name] = Owners(nobody, level.bank, nobody)
    compare = Comparer(Maps(fitted.extractor, backbone("lite0")), fitted.head, owners)
    folds = deal_units([part.unit for part in fitted.parts], 0)
    with pytest.MonkeyPatch.context() as patch:

        def noted(image: Any, rng: Any, kind: str | None = None) -> Any:
            kinds.append((0, str(kind)))
            return draw(image, rng, kind)

        draw = module.draw
        patch.setattr(module, "draw", noted)
        loader = ImageLoader(fitted.parts, SIZE, (0.0, 0.0, 1.0, 1.0))
        found = synthesize_defects(compare, loader, fitted.parts, COUNT, 0, folds, _quiet)
    assert found is not None
    return found, folds, [(unit, kind) for unit, (_, kind) in zip(found.units, kinds, strict=True)]


def test_every_part_gets_the_kinds_of_its_fold(made: Any) -> None:
    _, folds, kinds = made
    assert len(kinds) == COUNT
    assert all(kind in GROUPS[folds[unit]] for unit, kind in kinds)


def test_groups_share_no_kind() -> None:
    kinds = [kind for group in GROUPS for kind in group]
    assert len(kinds) == len(set(kinds)) == 6


def test_defects_stand_out_on_the_fine_level(made: Any) -> None:
    synthetic, _, _ = made
    distances = synthetic.distances["fine"][:, 0]
    assert distances[synthetic.cells].mean() > distances[synthetic.clear].mean()
    assert not (synthetic.cells & synthetic.clear).any()
    assert synthetic.weights.sum() == pytest.approx(1)


def test_cells_to_teach_with_come_from_the_defect_and_from_beside_it(fitted: Any, made: Any) -> None:
    synthetic, _, _ = made
    (hot, hot_units), (beside, units) = cells_to_teach(synthetic, fitted.head.levels["fine"], seed=0)
    assert len(hot) == len(hot_units) == synthetic.cells.sum()
    assert hot.shape[1] == beside.shape[1] == sum(fitted.head.levels["fine"].channels)
    assert len(beside) == len(units) == np.minimum(synthetic.clear.sum((1, 2)), BESIDE).sum()
    assert set(units.tolist()) == set(synthetic.units)


def test_the_drawings_maps_are_let_go(fitted: Any, made: Any) -> None:
    synthetic, folds, _ = made
    fine = fitted.head.levels["fine"]
    defective, beside = cells_to_teach(synthetic, fine, seed=0)
    networks = teach_discriminators(beside, defective, beside, folds, 0)
    judged = discriminated(synthetic, fine, networks)
    assert judged.maps == () and len(synthetic.maps) == COUNT
    assert judged.distances[DISCRIMINATOR].shape == judged.distances["fine"].shape
    assert np.isfinite(judged.distances[DISCRIMINATOR]).all()
