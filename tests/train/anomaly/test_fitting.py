"""Fitting the anomaly head: good parts are scored by a bank that does not know them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightline.core.errors import InputError
from sightline.core.sample import Sample
from sightline.models.backbone import backbone
from sightline.runtime.inspector import Inspector
from sightline.train.anomaly import fitting
from sightline.train.anomaly.fitting import Fitted, fit_anomaly_head
from sightline.train.anomaly.memory_bank import Maps, check_enough
from sightline.train.images.loader import ImageLoader, InputSize, Part, TrainingWarning
from sightline.train.settings import TrainSettings

WHOLE = (0.0, 0.0, 1.0, 1.0)
SIZE = InputSize(96, 128, 1.0)


def _quiet(stage: str, done: int, of: int) -> None:
    pass


def _settings(**changes: Any) -> TrainSettings:
    return TrainSettings(
        **{"side_px": 112, "bank_size": 128, "sample_patches": 2000, "threads": 1, "synthetic": 0, **changes}
    )


def _fit(fitted: Any, loader: ImageLoader, settings: TrainSettings, progress: Any = _quiet) -> Fitted:
    return fit_anomaly_head(Maps(fitted.extractor, backbone("lite0")), loader, settings, progress)


def _part(unit: int, name: str = "part.png") -> Part:
    return Part(Sample(Path(name), False), f"{unit:016}", unit)


def test_the_reader_has_the_wanted_sizes(fitted: Any) -> None:
    assert set(fitted.head.levels) == {"fine", "coarse"}
    for name, level in fitted.head.levels.items():
        assert level.bank.shape == (256 if name == "fine" else 128, 64)
        assert level.directions.shape[1] == 64
        assert float(level.scale) > 0


def test_every_good_part_has_a_held_out_score(fitted: Any) -> None:
    held_out = fitted.held_out
    assert held_out.parts == tuple(fitted.parts)
    assert held_out.scores.shape == held_out.peaks.shape == (10,)
    assert np.isfinite(held_out.scores).all() and np.isfinite(held_out.peaks).all()
    assert held_out.scores.mean() == pytest.approx(0, abs=1e-3)


def test_a_held_out_part_scores_higher_than_a_known_one(fitted: Any) -> None:
    loader = ImageLoader(fitted.parts, SIZE, WHOLE)
    own = [float(fitted.head(fitted.extractor(loader(part).images))[1][0]) for part in fitted.parts]
    assert (fitted.held_out.scores > own).all()


def test_held_out_distances_are_the_units_of_the_heat(fitted: Any) -> None:
    for name, level in fitted.head.levels.items():
        assert level.centre > level.scale, name  # a centre for each place, where that was chosen


def test_what_is_rare_in_good_parts_is_in_the_bank(fitted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The farthest patch of any good part lies nearer than with a bank chosen from random patches alone."""

    def farthest() -> float:
        settings = _settings(sample_patches=1000)
        head = _fit(fitted, ImageLoader(fitted.parts, SIZE, WHOLE), settings).head
        maps = [fitted.extractor(ImageLoader(fitted.parts, SIZE, WHOLE)(part).images) for part in fitted.parts]
        return max(float(head.distances(one)["fine"].max()) for one in maps)

    with_rare = farthest()
    monkeypatch.setattr(fitting, "RARE", 0)
    assert with_rare < farthest()


def test_the_progress_is_told(fitted: Any) -> None:
    stages = list(dict.fromkeys(stage for stage, _, _ in fitted.stages))
    assert stages == [
        "learning good parts", "looking for rare patches", "choosing the bank", "drawing defects",
        "scoring held-out parts",
    ]  # fmt: skip
    assert all(0 <= done < of for _, done, of in fitted.stages)


def test_a_discriminator_is_learned_from_enough_drawings(fitted: Any) -> None:
    settings = _settings(synthetic=48, discriminator_weight=1.0)
    found = _fit(fitted, ImageLoader(fitted.parts, SIZE, WHOLE), settings)
    taught = found.head.discriminator
    assert taught is not None and taught.weight == 1.0
    assert taught.weights.shape[1] == sum(found.head.levels["fine"].channels)
    assert np.isfinite(found.held_out.scores).all()


def test_few_drawings_teach_no_discriminator(fitted: Any) -> None:
    settings = _settings(synthetic=12, discriminator_weight=1.0)
    with pytest.warns(TrainingWarning, match="discriminator_weight has no effect with 12 synthetic defects"):
        found = _fit(fitted, ImageLoader(fitted.parts, SIZE, WHOLE), settings)
    assert found.head.discriminator is None


def test_equal_seeds_give_equal_readers(fitted: Any) -> None:
    def fit(seed: int) -> tuple[np.ndarray, np.ndarray]:
        found = _fit(fitted, ImageLoader(fitted.parts, SIZE, WHOLE), _settings(seed=seed))
        return found.head.levels["fine"].bank, found.held_out.scores

    (bank, scores), (again, scores_again), (other, _) = fit(3), fit(3), fit(4)
    assert np.array_equal(bank, again)
    assert np.array_equal(scores, scores_again)
    assert not np.array_equal(bank, other)


def test_parts_of_a_group_are_held_out_together(fitted: Any) -> None:
    """Twins in one group do not vouch for each other; twins on their own do."""
    twins = [Part(part.sample, f"{part.hash[:-1]}{i}", part.unit) for part in fitted.parts[:5] for i in range(2)]
    alone = [Part(part.sample, part.hash, unit) for unit, part in enumerate(twins)]

    def centre(parts: list[Part]) -> float:
        head = _fit(fitted, ImageLoader(parts, SIZE, WHOLE), _settings(bank_size=2000)).head
        return float(head.levels["fine"].centre)

    assert centre(twins) > 1.2 * centre(alone)


def test_no_more_parts_are_scored_than_asked_for(fitted: Any) -> None:
    held_out = _fit(fitted, ImageLoader(fitted.parts, SIZE, WHOLE), _settings(calibration_images=6)).held_out
    assert len(held_out.scores) == len(held_out.parts) == 6
    assert all(part in fitted.parts for part in held_out.parts)


def test_a_part_that_is_no_image_is_left_out(fitted: Any, tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_text("no image")
    bad = Part(Sample(tmp_path / "notes.png", False), "0" * 16, 99)
    loader = ImageLoader([bad, *fitted.parts], SIZE, WHOLE)
    with pytest.warns(TrainingWarning, match=r"left out: .*notes.png"):
        held_out = _fit(fitted, loader, _settings()).held_out
    assert bad not in held_out.parts
    assert len(held_out.parts) == len(fitted.parts)


def test_too_few_that_are_left_is_an_error(fitted: Any, tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_text("no image")
    bad = Part(Sample(tmp_path / "notes.png", False), "0" * 16, 99)
    loader = ImageLoader([bad, *fitted.parts[:4]], SIZE, WHOLE)
    with pytest.warns(TrainingWarning), pytest.raises(InputError, match=r"4 different readable images.* Photograph 1"):
        _fit(fitted, loader, _settings())


def test_a_file_that_vanishes_while_training_is_named(
    fitted: Any, tmp_path: Path, write: Any, draw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sightline.train.images.loader.CACHE_BYTES", 0)  # nothing is kept, so every pass reads the file
    paths = [write(tmp_path / f"{i}.png", draw(i)[0]) for i in range(6)]
    parts = [Part(Sample(path, False), f"{i:016}", i) for i, path in enumerate(paths)]

    def unplug(stage: str, done: int, of: int) -> None:
        if stage == "choosing the bank" and done == 0:
            paths[2].unlink()

    with (
        pytest.warns(TrainingWarning, match=r"left out: .*2.png"),
        pytest.raises(InputError, match=r"2.png: became unreadable during the training. Start it again"),
    ):
        _fit(fitted, ImageLoader(parts, SIZE, WHOLE), _settings(), unplug)


def test_fewer_than_five_parts_are_too_few() -> None:
    with pytest.raises(InputError, match=r"3 different readable images .* at least 5 are needed. Photograph 2 more"):
        check_enough([_part(unit) for unit in range(3)])
    check_enough([_part(unit) for unit in range(5)])


def test_one_group_cannot_be_held_out() -> None:
    with pytest.raises(InputError, match=r"belong to one group or lot.* Add another group"):
        check_enough([_part(0) for _ in range(8)])


def test_good_parts_are_told_from_pictures_without_one(fitted: Any, torch_extractor: Any, draw: Any) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (4, 96, 128, 3)).astype(np.uint8)
    shown = np.stack([draw(600 + i)[0] for i in range(12)])
    good, strange = (
        np.linalg.norm(fitted.head.ood(torch_extractor(images)), axis=1)
        for images in (shown, np.concatenate([noise, np.full_like(noise[:1], 128)]))
    )
    assert (good <= 1).sum() >= 11
    assert strange.min() > 2
    held_out = fitted.held_out.distances
    assert held_out.max() < 1, "no good part lies outside"
    assert np.median(held_out) >= 0.999 / 2.2, "the limit is never wider than its factor says"


def test_light_directions_of_none_leave_the_test_as_it_is(parts: Any, train_tiny: Any, draw: Any) -> None:
    # No direction is taken out: a slice of the last 0 vectors would be all of them.
    recipe = train_tiny(parts, light_directions=0)
    assert Inspector(recipe, threads=1).inspect(draw(903)[0]).ood_distance < 1
    assert Inspector(recipe, threads=1).inspect(np.full((96, 128, 3), 128, np.uint8)).ood_distance > 1
