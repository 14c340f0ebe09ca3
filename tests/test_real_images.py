"""The main job on real images: the figures that a release must keep."""

import os
from pathlib import Path

import pytest

import sightline

DATA = Path(os.environ.get("SIGHTLINE_DATA", Path(__file__).parents[2] / "shared" / "data"))


def dataset(name):
    if not (DATA / name).is_dir():
        reason = f"no real images at {DATA / name}; set SIGHTLINE_DATA to their folder"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    return sightline.Dataset.open(DATA / name)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:an outlier", "ignore:.*photos")  # real sets hold odd parts, and some part twice
def test_cookies_from_31_good_photos():
    parts = dataset("cookies")
    recipe = sightline.train(parts)
    found = sightline.evaluate(recipe, parts.test)
    assert (found.n_good, found.n_defective) == (14, 40)
    assert found.image_auroc >= 0.99
    assert found.aupro >= 0.92
    assert found.overkill <= recipe.card.calibration.overkill.upper
    assert recipe.card.parity.max_relative_difference < 1e-4


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:an outlier", "ignore:.*photos")  # real sets hold odd parts, and some part twice
def test_cubes_from_58_good_photos():
    parts = dataset("cubes").with_train_good(58)
    recipe = sightline.train(parts, effort="quick")
    found = sightline.evaluate(recipe, parts.test)
    assert found.image_auroc >= 0.98
    assert found.escape <= 0.1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:an outlier", "ignore:.*photos")  # real sets hold odd parts, and some part twice
def test_groups_of_tiles_stay_on_one_side():
    parts = dataset("magnetic_tile")
    train = {sample.group for sample in parts.train}
    assert train.isdisjoint({sample.group for sample in parts.test})
    share = len(parts.test) / len(parts)
    assert 0.25 < share < 0.35
