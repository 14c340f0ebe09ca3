"""Training, from a dataset to a recipe."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import sightline
from sightline.core.errors import InputError
from sightline.core.result import Verdict
from sightline.core.sample import TEST, TRAIN, Sample
from sightline.data.dataset import Dataset
from sightline.imaging.image import content_hash
from sightline.runtime.inspector import Inspector
from sightline.runtime.recipe import Recipe
from sightline.train.images.loader import TrainingWarning
from sightline.train.settings import TrainSettings
from sightline.train.training import train

Train = Callable[..., Recipe]


def _scores(recipe: Recipe, images: list[np.ndarray]) -> list[float]:
    return [result.score for result in Inspector(recipe, threads=1).inspect_many(images)]


@pytest.fixture(scope="module")
def unseen(draw: Any) -> list[np.ndarray]:
    return [draw(800 + i, flawed=i % 2 == 1)[0] for i in range(4)]


@pytest.fixture(scope="module")
def good_only(parts: Dataset, train_tiny: Train) -> Recipe:
    """Good parts alone, and settings that leave traces on the card."""
    good = [replace(s, split=None) for s in parts.train if s.defective is False]
    return train_tiny(good, product="Blech", mm_per_px=0.1, seed=5, roi=(0.0, 0.0, 1.0, 1.0))


# The card


def test_the_card_tells_where_the_recipe_comes_from(recipe: Recipe, parts: Dataset) -> None:
    card = recipe.card
    assert card.product == "plates"
    assert (card.backbone, card.width, card.height, card.scale) == ("lite0", 128, 96, 1.0)
    assert card.border == 0
    assert card.bank == 256
    assert card.provenance.settings["bank_size"] == 256
    assert card.provenance.versions["sightline"] == sightline.__version__
    assert card.parity is not None and card.parity.images == 8 + 4


def test_the_card_lists_exactly_the_training_images(recipe: Recipe, parts: Dataset) -> None:
    assert recipe.card.trained_on == tuple(sorted(content_hash(sample.path) for sample in parts.train))
    assert not set(recipe.card.trained_on) & {content_hash(sample.path) for sample in parts.test}


def test_settings_reach_the_card(good_only: Recipe) -> None:
    card = good_only.card
    assert (card.product, card.mm_per_px, card.provenance.seed) == ("Blech", 0.1, 5)


def test_the_calibration_counts_what_it_rests_on(recipe: Recipe, good_only: Recipe) -> None:
    with_defects, without = recipe.card.calibration, good_only.card.calibration
    assert (with_defects.good, with_defects.defective) == (10, 4)
    assert with_defects.escape is not None and with_defects.escape.of == 4
    assert (without.good, without.defective, without.escape) == (10, 0, None)
    assert without.method == "leave-one-image-out"


# The verdicts


def test_known_defects_set_the_band(recipe: Recipe, good_only: Recipe, parts: Dataset) -> None:
    assert recipe.card.band.high > recipe.card.band.low  # the gap between good and defective goes to a person
    assert good_only.card.band.high > good_only.card.band.low  # and without any, what lies beyond the good parts' tail
    inspector = Inspector(recipe, threads=1)
    for sample in parts.train:
        verdict = inspector.inspect(sample.path).verdict
        assert verdict is (Verdict.NG if sample.defective else Verdict.OK), sample.path


def test_good_parts_are_enough_to_tell_flaws(good_only: Recipe, parts: Dataset) -> None:
    inspector = Inspector(good_only, threads=1)
    defective = [inspector.inspect(sample.path) for sample in parts if sample.defective]
    assert all(result.verdict is Verdict.NG for result in defective)
    area = defective[0].defects[0]
    assert area.area_mm2 == pytest.approx(area.area_px * 0.01)


@pytest.mark.parametrize("seed", [0, 100, 200])
def test_the_known_defect_that_sets_a_threshold_keeps_its_verdict(
    seed: int, train_tiny: Train, draw: Any, write: Any, tmp_path: Path
) -> None:
    """The graph rounds otherwise than the scores the threshold was fitted to; each seed is another rounding."""
    good = [Sample(write(tmp_path / f"good {i}.png", draw(seed + i)[0]), False) for i in range(10)]
    flawed = [Sample(write(tmp_path / f"flawed {i}.png", draw(seed + 50 + i, flawed=True)[0]), True) for i in range(6)]
    recipe = train_tiny([*good, *flawed])
    verdicts = [result.verdict for result in Inspector(recipe, threads=1).inspect_many(s.path for s in flawed)]
    assert verdicts == [Verdict.NG] * 6


def test_parts_without_any_texture_can_be_trained(train_tiny: Train, write: Any, tmp_path: Path) -> None:
    """Nearly black pictures are so alike that the rounding of distances once passed for a broken export."""
    rng = np.random.default_rng(0)
    dark = [np.clip(rng.normal(0, 0.5, (96, 128, 3)), 0, 255).astype(np.uint8) for _ in range(8)]
    recipe = train_tiny([Sample(write(tmp_path / f"{i}.png", image), False) for i, image in enumerate(dark)])
    assert recipe.card.parity is not None
    assert recipe.card.parity.max_relative_difference < 3e-4
    spot = dark[0].copy()
    spot[40:56, 60:76] = 120
    assert Inspector(recipe, threads=1).inspect(spot).verdict is Verdict.NG


# Repeatable


def test_equal_seeds_give_equal_scores_whatever_the_masks(
    recipe: Recipe, parts: Dataset, train_tiny: Train, unseen: list[np.ndarray], tmp_path: Path, write: Any
) -> None:
    mask = write(tmp_path / "other size.png", np.full((10, 20), 255, np.uint8))
    masks = [replace(s, mask=mask if s.defective else None) for s in parts]
    again = train_tiny(masks)
    assert _scores(again, unseen) == _scores(recipe, unseen)
    assert again.card.band == recipe.card.band
    assert again.card.provenance.dataset == recipe.card.provenance.dataset


def test_another_seed_gives_another_bank(recipe: Recipe, good_only: Recipe, unseen: list[np.ndarray]) -> None:
    assert _scores(good_only, unseen) != _scores(recipe, unseen)


def test_the_order_of_files_does_not_change_who_is_known(recipe: Recipe, good_only: Recipe) -> None:
    assert set(good_only.card.trained_on) < set(recipe.card.trained_on)


def test_the_bank_does_not_grow_with_the_images(parts: Dataset, train_tiny: Train) -> None:
    def bank_shapes(count: int) -> set[tuple[int, ...]]:
        good = [s for s in parts.train if s.defective is False][:count]
        recipe = train_tiny(good, bank_size=64, sample_patches=1000, coarse_weight=0.5)
        model = onnx.load_from_string(recipe.data)
        return {tuple(entry.dims) for entry in model.graph.initializer if entry.name.startswith("bank_")}

    assert bank_shapes(5) == bank_shapes(10)
    assert bank_shapes(10) == {(64, 64), (32, 64)}


# What is never read


def test_test_images_are_never_read(parts: Dataset, train_tiny: Train, tmp_path: Path) -> None:
    """No warning, no hash, no trace: warnings are errors here."""
    (tmp_path / "broken.png").write_bytes(b"no image")
    spoiled = [replace(s, path=tmp_path / "broken.png") if s.split == TEST else s for s in parts]
    gone = Sample(tmp_path / "gone.png", True, split=TEST)
    recipe = train_tiny([*spoiled, gone], bank_size=64, sample_patches=1000)
    assert len(recipe.card.trained_on) == len(parts.train)


def test_unlabelled_images_are_not_learned_from(parts: Dataset, train_tiny: Train, tmp_path: Path) -> None:
    unknown = Sample(tmp_path / "gone.png", None, split=TRAIN)
    recipe = train_tiny([*parts.train, unknown], bank_size=64, sample_patches=1000)
    assert len(recipe.card.trained_on) == len(parts.train)


# Groups


def test_groups_are_held_out_where_all_parts_have_one(parts: Dataset, train_tiny: Train) -> None:
    good = [s for s in parts.train if s.defective is False]
    grouped = [replace(s, lot=f"lot {i % 5}") for i, s in enumerate(good)]
    small = {"bank_size": 64, "sample_patches": 1000}
    assert train_tiny(grouped, **small).card.calibration.method == "leave-one-group-out"
    partly = [replace(grouped[0], lot=None), *grouped[1:]]
    assert train_tiny(partly, **small).card.calibration.method == "leave-one-image-out"


# Progress


def test_the_progress_is_told_stage_by_stage(parts: Dataset, train_tiny: Train) -> None:
    stages: list[str] = []
    small = {
        "bank_size": 64,
        "sample_patches": 1000,
        "discriminator_weight": 1.0,
        "synthetic": 48,
    }
    train_tiny(parts, progress=lambda stage, done, of: stages.append(stage), **small)
    assert list(dict.fromkeys(stages)) == [
        "learning good parts",
        "looking for rare patches",
        "choosing the bank",
        "drawing defects",
        "learning what sets defects apart",
        "scoring held-out parts",
        "scoring known defects",
        "exporting",
    ]


def test_a_training_can_be_stopped(parts: Dataset, train_tiny: Train) -> None:
    def stop(stage: str, done: int, of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_tiny(parts, progress=stop)


# What cannot be trained


def test_fewer_than_five_good_parts_are_too_few(parts: Dataset) -> None:
    few = [s for s in parts.train if s.defective is False][:4]
    with pytest.raises(InputError, match=r"4 different readable images of good parts, at least 5 .* Photograph 1 more"):
        train(few)


def test_one_picture_many_times_is_one_part(tmp_path: Path, write: Any, draw: Any) -> None:
    image = draw(0)[0]
    samples = [Sample(write(tmp_path / f"{i}.png", image), False) for i in range(6)]
    with pytest.warns(TrainingWarning, match="is the same picture as") as caught:  # noqa: SIM117
        with pytest.raises(InputError, match=r"1 different readable images.* Photograph 4 more"):
            train(samples)
    assert len(caught) == 5


def test_no_good_part_at_all_is_an_error(parts: Dataset) -> None:
    with pytest.raises(InputError, match=r"no good parts. Put photos of good parts into a folder named 'good'"):
        train([sample for sample in parts if sample.defective])
    with pytest.raises(InputError, match="no good parts"):
        train(parts.test)


def test_an_unknown_setting_is_named(parts: Dataset) -> None:
    with pytest.raises(InputError, match="setting 'epochs'"):
        train(parts, epochs=5)


def test_settings_are_given_one_way(parts: Dataset) -> None:
    with pytest.raises(InputError, match=r"as an object and by name \(seed\). Give one of the two"):
        train(parts, TrainSettings(), seed=7)


def test_an_unknown_trunk_is_named(parts: Dataset) -> None:
    with pytest.raises(InputError, match="no backbone is called 'lite9'"):
        train(parts, backbone="lite9")


def test_a_known_defect_is_not_ok_to_the_recipe_that_learned_from_it(
    train_tiny: Train, draw: Any, write: Any, tmp_path: Path
) -> None:
    """A defect that scores like good parts, here another good part: the threshold goes below it, or it is named."""
    good = [Sample(write(tmp_path / f"good {i}.png", draw(i)[0]), False) for i in range(8)]
    alike = [Sample(write(tmp_path / f"alike {i}.png", draw(300 + i)[0]), True) for i in range(4)]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        recipe = train_tiny([*good, *alike])
    named = " ".join(str(one.message) for one in told if "would be judged OK" in str(one.message))
    inspector = Inspector(recipe, threads=1)
    for sample in alike:
        assert inspector.inspect(sample.path).verdict is not Verdict.OK or str(sample.path) in named


def test_the_part_that_sets_a_limit_is_named_with_what_it_changes(
    train_tiny: Train, draw: Any, write: Any, tmp_path: Path
) -> None:
    good = [Sample(write(tmp_path / f"{i}.png", draw(i)[0]), False) for i in range(11)]
    odd = Sample(write(tmp_path / "3f0a.png", draw(99, flawed=True)[0]), False, name="lot 4/odd.png")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        calibration = train_tiny([*good, odd], outliers="list").card.calibration
    named = [line for line in calibration.limits if line.startswith("lot 4/odd.png scores above the NG limit")]
    assert len(named) == 1
    limit, score = (float(word) for word in re.findall(r"-?\d+\.\d\d", named[0]))
    assert limit < score and calibration.overkill.count == 1
