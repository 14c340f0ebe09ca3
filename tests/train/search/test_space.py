"""What is searched."""

from __future__ import annotations

import pytest
from optuna.distributions import FloatDistribution

from sightline.core.errors import SettingError
from sightline.train.search import space as table
from sightline.train.search.space import LABELLED, SPACE, offer_space
from sightline.train.settings import TrainSettings

LITE = ("lite0", "lite1")


def test_the_table_names_settings_and_holds_the_default_values() -> None:
    assert set(SPACE) <= set(TrainSettings.model_fields)
    space = offer_space({}, LITE, 500.0)
    default = space.default()
    assert default["side_px"] == 384
    assert all(values._contains(values.to_internal_repr(default[name])) for name, values in space.searched.items())
    assert space.settings(default) == TrainSettings(side_px=384)
    assert space.first() == [default, {**default, "side_px": 256}]
    assert len(offer_space({}, LITE, 100.0).first()) == len(offer_space({"side_px": 384}, LITE, 500.0).first()) == 1
    assert list(space.describe()) == list(space.searched)


def test_what_is_given_is_not_searched() -> None:
    space = offer_space({"key_size": "32", "precision": "f32"}, LITE, 500.0)
    assert not {"key_size", "precision"} & set(space.searched)
    assert space.settings(space.default()).key_size == 32
    assert "side_px" not in offer_space({"effort": "quick"}, LITE, 500.0).searched
    assert "side_px" not in offer_space({"tile_px": 128}, LITE, 500.0).searched
    assert "backbone" not in offer_space({"backbone": "lite2"}, LITE, 500.0).searched


def test_one_backbone_is_as_good_as_given() -> None:
    space = offer_space({}, ("lite1",), 500.0)
    assert "backbone" not in space.searched
    assert space.settings({}).backbone == "lite1"


def test_int8_is_tried_where_every_backbone_can() -> None:
    assert "precision" in offer_space({}, LITE, 500.0).searched
    assert "precision" not in offer_space({}, (*LITE, "dinov2-s"), 500.0).searched


@pytest.mark.parametrize(("side", "top"), [(100.0, 256), (300.0, 320), (3000.0, 640)])
def test_images_are_not_made_larger_than_they_are(side: float, top: int) -> None:
    space = offer_space({}, LITE, side)
    assert space.searched["side_px"].high == top  # type: ignore[attr-defined]
    assert space.default()["side_px"] == min(384, top)


def test_a_new_setting_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(table.SPACE, "tile_scale", FloatDistribution(0.25, 1.0))
    space = offer_space({"tile_px": 128}, LITE, 500.0)
    assert space.default()["tile_scale"] == 1.0
    assert space.settings({"tile_scale": 0.5}).tile_scale == 0.5


def test_wrong_settings_are_named_before_any_work() -> None:
    with pytest.raises(SettingError, match="bank_sizes"):
        offer_space({"bank_sizes": 1}, LITE, 500.0)
    with pytest.raises(SettingError, match="no backbone"):
        offer_space({}, (), 500.0)
    everything = {name: value for name, value in offer_space({}, LITE, 500.0).default().items() if value is not None}
    with pytest.raises(SettingError, match="nothing is left to search"):
        offer_space({**everything, "bank_size": 1024, "coarse_weight": 0, "brightness": 0}, LITE, 500.0)


def test_what_recognises_types_is_searched_where_labels_name_some() -> None:
    assert set(LABELLED) <= set(TrainSettings.model_fields)
    assert not set(LABELLED) & set(offer_space({}, LITE, 500.0).searched)
    space = offer_space({"loss": "focal"}, LITE, 500.0, labelled=True)
    assert set(LABELLED) - {"loss"} <= set(space.searched) and "loss" not in space.searched
    assert space.settings(space.default()) == TrainSettings(side_px=384, loss="focal")
    assert not set(LABELLED) & set(offer_space({"classify": False}, LITE, 500.0, labelled=True).searched)
