"""Small cells: used where they are set, the same in the file as in torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import onnx
import pytest

from sightline.core.errors import InputError, SettingError
from sightline.data.dataset import Dataset
from sightline.models.backbone import backbone, finer
from sightline.runtime.inspector import Inspector
from sightline.runtime.recipe import Recipe
from sightline.train.images.loader import InputSize, Part
from sightline.train.plans import SMALL_BANK, Plan, offer_plans, with_small_bank
from sightline.train.settings import TrainSettings

Train = Callable[..., Recipe]
SMALL = {"bank_size": 64, "sample_patches": 1000}
PLAN = Plan("one scale", InputSize(96, 128, 1.0))


@pytest.fixture(scope="module")
def always(parts: Dataset, train_tiny: Train) -> Recipe:
    return train_tiny(parts, small_cells="always", **SMALL)


def test_the_fine_level_moves_one_map_down() -> None:
    source = finer(backbone("lite0"))
    assert source is not None
    assert source.levels == {"fine": ("stride_4", "stride_8"), "coarse": ("stride_16", "stride_32")}
    assert source.stride_px == 4
    assert finer(source) is None
    assert finer(backbone("dinov2-s")) is None


def test_the_file_computes_what_torch_does(always: Recipe) -> None:
    assert always.card.parity is not None and always.card.parity.max_relative_difference <= 1e-3
    assert always.card.choices["cells"] == "4 px of the input wide"


def test_the_heat_is_four_times_as_fine(always: Recipe, parts: Dataset, train_tiny: Train, draw: Any) -> None:
    default = train_tiny(parts, **SMALL)
    assert default.card.choices["cells"] == "8 px of the input wide"
    grids = [
        {output.name: output for output in onnx.load_from_string(recipe.data).graph.output}["heatmap"]
        for recipe in (always, default)
    ]
    sides = [[dim.dim_value for dim in grid.type.tensor_type.shape.dim[1:]] for grid in grids]
    assert sides == [[24, 32], [12, 16]]
    good, flawed = (Inspector(always, threads=1).inspect(draw(900, flawed)[0]) for flawed in (False, True))
    assert flawed.score > good.score


def test_four_times_the_cells_meet_a_quarter_of_the_patches() -> None:
    small, settings = replace(PLAN, small=True), TrainSettings()
    assert with_small_bank(PLAN, settings) is settings
    assert with_small_bank(small, settings).bank_size == SMALL_BANK
    given = TrainSettings(bank_size=300)
    assert with_small_bank(small, given) is given


def test_a_trunk_without_them_is_named(good_parts: list[Part]) -> None:
    with pytest.raises(InputError, match="the backbone 'dinov2-s' has no smaller cells"):
        offer_plans(good_parts, TrainSettings(backbone="dinov2-s", small_cells="always"))


def test_a_fine_tuned_trunk_keeps_the_usual_cells() -> None:
    with pytest.raises(SettingError, match="a fine-tuned backbone is read with the usual cells"):
        TrainSettings.parse({"backbone_training": "fine-tuned", "small_cells": "always"})
