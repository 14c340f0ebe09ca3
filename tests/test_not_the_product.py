"""Pictures that show no part, half of one, or another product are never OK, whatever the recipe was made from."""

import os
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

import sightline
from sightline.imaging.image import read_image

DATA = Path(os.environ.get("SIGHTLINE_DATA", Path(__file__).parents[2] / "shared" / "data"))
pytestmark = pytest.mark.filterwarnings("ignore:an outlier", "ignore:.*near-identical", "ignore:.*photos")
OTHERS = ("cookies/train/good", "tire/train/good", "cubes/good", "fabric_stain/train/good", "steel_voc/JPEGImages")
# Set, good parts to learn from, settings: free and fixed position, aligned and not, tiled and not, CNN and transformer.
RECIPES = (
    ("cookies", 31, {}),
    ("cookies", 31, {"effort": "normal"}),
    ("cookies", 5, {}),
    ("tire", 20, {}),
    ("tire", 12, {"tile_px": 256}),
    ("board", 20, {"align": "always"}),
    ("board", 5, {}),
    ("casting", 40, {}),
    ("fabric_stain", 40, {}),
    ("fabric_stain", 5, {}),
    ("ballscrew", 40, {}),
    ("cubes", 40, {}),
    ("magnetic_tile", 40, {}),
    ("fabric_stain", 12, {"backbone": "dinov2-s"}),
    ("cookies", 12, {"backbone": "dinov2-s"}),
)


def good_parts(name, count):
    if not (DATA / name).is_dir():
        reason = f"no real images at {DATA / name}; set SIGHTLINE_DATA to their folder"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    parts = sightline.Dataset.open(DATA / name)
    train = [sample for sample in parts.train if sample.defective is False]
    test = [sample for sample in parts.test if sample.defective is False]
    return train[:: max(1, len(train) // count)][:count], list(islice(test, 0, None, max(1, len(test) // 20)))


def no_parts(image):
    """Name -> picture: noise, even grey, an empty fixture, half a part, one out of focus, other products."""
    high, wide = image.shape[:2]
    rng, mean = np.random.default_rng(3), image.reshape(-1, 3).mean(0)
    found = {f"noise {sd}": np.clip(90 + rng.normal(0, sd, image.shape), 0, 255).astype(np.uint8) for sd in (5, 20, 90)}
    found |= {f"even {grey}": np.full_like(image, grey) for grey in (0, 90, 140, 255)}
    found["even, its own colour"] = np.full_like(image, 0) + mean.astype(np.uint8)
    edge = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]]).mean(0)
    found["empty fixture"] = np.full_like(image, 0) + edge.astype(np.uint8)
    found["empty fixture, lit unevenly"] = cv2.resize(image[: high // 12, : wide // 12], (wide, high))
    half = image.copy()
    half[:, : wide // 2] = half[:, :1]
    found["half visible"] = half
    found["out of focus"] = cv2.GaussianBlur(image, (0, 0), 0.027 * np.sqrt(high * wide))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("name", "count", "settings"), RECIPES, ids=str)
def test_what_is_no_part_is_never_ok(name, count, settings):
    train, test = good_parts(name, count)
    recipe = sightline.train(train, **({"effort": "quick", "synthetic": 0} | settings))
    inspector = sightline.Inspector(recipe)
    pictures = no_parts(read_image(train[0].path)[0])
    for folder in OTHERS:
        if not folder.startswith(name):
            pictures[folder] = read_image(sorted((DATA / folder).iterdir())[0])[0]
    results = {label: inspector.inspect(picture) for label, picture in pictures.items()}
    assert not [label for label, result in results.items() if result.verdict == "OK"]
    for label, result in results.items():
        if result.verdict == "REVIEW" and result.score <= recipe.card.band.low:
            assert result.reason, label
    # And it cries no wolf: of good parts that it has never seen, few are taken for something else.
    strange = [result for result in map(inspector.inspect, (sample.path for sample in test)) if result.reason]
    assert len(strange) <= 0.1 * len(test) + (count < 20) * 0.2 * len(test)
    assert not any(inspector.inspect(sample.path).reason for sample in train[:10])


@pytest.mark.slow
def test_a_score_below_every_good_part_is_trusted_only_near_them():
    train, _ = good_parts("cookies", 31)
    recipe = sightline.train(train, effort="quick", synthetic=0)
    ood = recipe.card.ood
    assert ood.lowest_score < recipe.card.band.low
    assert ood.reason(0.5 * ood.median, ood.lowest_score - 1) is None
    assert "lower than every good part" in ood.reason(2 * ood.median, ood.lowest_score - 1)
    assert ood.reason(2 * ood.median, ood.lowest_score + 1) is None
    for distance, times in ((1.01, "1.01"), (4e12, "over 100"), (float("nan"), "over 100"), (float("inf"), "over 100")):
        assert f"does not look like the product: {times} times as far" in ood.reason(distance, 0.0)
