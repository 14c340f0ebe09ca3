"""Settings: bounded, named, and explained when they are wrong."""

from __future__ import annotations

import pytest

from sightline.core.errors import InputError, SettingError
from sightline.train.settings import SIDE_PX, TrainSettings, parse_pairs


def test_defaults_are_valid_and_every_field_explains_itself() -> None:
    assert TrainSettings.parse({}) == TrainSettings()
    assert all(field.description for field in TrainSettings.model_fields.values())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("effort", "hard"),
        ("side_px", 63),
        ("side_px", 2049),
        ("bank_size", 63),
        ("bank_size", 65537),
        ("sample_patches", 999),
        ("key_size", 7),
        ("key_size", 153),
        ("brightness", -0.1),
        ("brightness", 1.0),
        ("sigma_cells", 0.0),
        ("top_fractions", []),
        ("top_fractions", [0.0]),
        ("top_fractions", [0.1, 5.0]),
        ("calibration_images", 4),
        ("overkill_target", 0.0),
        ("escape_target", 1.0),
        ("mm_per_px", 0.0),
        ("mm_per_px", float("inf")),
        ("mm_per_px", float("nan")),
        ("roi", [0.0, 0.0, 1.0]),
        ("roi", [0.0, 0.0, 0.0, 1.0]),
        ("roi", [-0.1, 0.0, 1.0, 1.0]),
        ("roi", [0.5, 0.0, 0.6, 1.0]),
        ("roi", [0.0, float("nan"), 1.0, 1.0]),
        ("seed", -1),
        ("threads", 0),
        ("bank_size", "many"),
    ],
)
def test_a_value_out_of_bounds_is_named(field: str, value: object) -> None:
    with pytest.raises(InputError) as error:
        TrainSettings.parse({field: value})
    assert str(error.value).startswith(f"setting '{field}")


def test_a_region_up_to_the_edges_is_valid() -> None:
    assert TrainSettings.parse({"roi": [0.1, 0.3, 0.9, 0.7]}).roi == (0.1, 0.3, 0.9, 0.7)


@pytest.mark.parametrize(("typo", "meant"), [("bank_sise", "bank_size"), ("side", "side_px"), ("tile", "tile_px")])
def test_a_setting_that_is_nearly_one_is_answered_with_that(typo: str, meant: str) -> None:
    with pytest.raises(
        SettingError, match=rf"setting '{typo}': there is no such setting. Did you mean .*{meant}"
    ) as error:
        TrainSettings.parse({typo: 100})
    assert len(str(error.value)) < 120


def test_a_setting_that_is_like_none_is_answered_with_all_in_short_lines() -> None:
    with pytest.raises(SettingError, match="setting 'xyz'") as error:
        TrainSettings.parse({"xyz": 100})
    assert all(name in str(error.value) for name in TrainSettings.model_fields)
    assert max(map(len, str(error.value).splitlines())) <= 100


def test_a_wrong_value_is_answered_with_what_the_setting_means() -> None:
    with pytest.raises(SettingError, match=r"setting 'side_px': .*64.* side of a square"):
        TrainSettings.parse({"side_px": 1})


def test_one_value_where_several_may_stand_is_a_list_of_one() -> None:
    assert TrainSettings.parse(parse_pairs(["top_fractions=0.01"])).top_fractions == (0.01,)
    assert TrainSettings.parse({"top_fractions": 0.01}).top_fractions == (0.01,)
    assert TrainSettings.parse(parse_pairs(["augment_without=flip"])).augment_without == ("flip",)


def test_text_becomes_values() -> None:
    pairs = parse_pairs(["bank_size=512", "brightness = 0", "top_fractions=0.01, 0.2", "product=a=b", "mm_per_px=0.05"])
    settings = TrainSettings.parse(pairs)
    assert settings.bank_size == 512
    assert settings.brightness == 0
    assert settings.top_fractions == (0.01, 0.2)
    assert settings.product == "a=b"
    assert settings.mm_per_px == 0.05


@pytest.mark.parametrize(
    ("pair", "what"),
    [("bank_size", "'bank_size' has no value"), ("=5", "'=5' names no setting"), ("", "'' names no setting")],
)
def test_a_text_that_is_no_setting_is_refused(pair: str, what: str) -> None:
    with pytest.raises(InputError, match=rf"{what}. Write key=value, for instance bank_size=2048"):
        parse_pairs([pair])


@pytest.mark.parametrize("effort", SIDE_PX)
def test_effort_is_pixels(effort: str) -> None:
    assert TrainSettings.parse({"effort": effort}).area_px == SIDE_PX[effort] ** 2
    assert TrainSettings.parse({"effort": effort, "side_px": 100}).area_px == 10_000
    assert SIDE_PX["quick"] < SIDE_PX["normal"] < SIDE_PX["max"]


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        TrainSettings().seed = 5  # type: ignore[misc]


@pytest.mark.parametrize(("tile", "overlap"), [(128, 32), (256, 32), (384, 64), (512, 64), (768, 96), (1024, 128)])
def test_tiles_overlap_by_an_eighth(tile: int, overlap: int) -> None:
    assert TrainSettings(tile_px=tile).tile_overlap_px == overlap


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ({"tile_px": 96}, "greater than or equal to 128"),
        ({"tile_px": 1056}, "less than or equal to 1024"),
        ({"tile_px": 500}, "multiple of 32"),
        ({"tile_px": 512, "side_px": 384}, "Give one of the two"),
        ({"tile_scale": 0.5}, "Give tile_px as well"),
        ({"tile_px": 512, "tile_scale": 1.5}, "less than or equal to 1"),
    ],
)
def test_tiles_that_make_no_sense_are_refused(pairs: dict[str, object], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        TrainSettings.parse(pairs)


def test_fine_tuning_says_what_it_needs() -> None:
    settings = TrainSettings.parse({"backbone_training": "fine-tuned", "augment_without": "flip, colour"})
    assert settings.augment_without == ("flip", "colour")
    assert TrainSettings.parse({"augment_without": ["flip"]}).augment_without == ("flip",)
    assert TrainSettings.parse({"augment_without": ""}).augment_without == ()
    with pytest.raises(SettingError, match="no kind is called 'mirror'"):
        TrainSettings.parse({"augment_without": "mirror"})
    for other in ({"classify": False}, {"tile_px": 256}):
        with pytest.raises(SettingError, match="fine-tuned on whole images with labelled types or grades"):
            TrainSettings.parse({"backbone_training": "fine-tuned", **other})
    for bad in ({"tune_epochs": 0}, {"tune_rate": 0}, {"tune_batch": 0}, {"tune_depth": 1.5}):
        with pytest.raises(SettingError, match=next(iter(bad))):
            TrainSettings.parse(bad)
