"""Pictures of one part are one unit: held out together, counted once in every bound, and said."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from sightline.core.errors import InputError
from sightline.core.sample import Sample
from sightline.evaluate.statistics.intervals import rate
from sightline.train.images.loader import TrainingWarning, accept, image_shapes
from sightline.train.units import find_units, group_keys, worst_of_each


def _again(image: np.ndarray, seed: int, noise: float = 1.5) -> np.ndarray:
    """The same scene once more: another light by 1 %, sensor noise."""
    rng = np.random.default_rng(seed)
    return np.clip(image * rng.uniform(0.99, 1.01) + rng.normal(0, noise, image.shape), 0, 255).astype(np.uint8)


@pytest.fixture
def twice(draw: Any, write: Any, tmp_path: Path) -> list[Sample]:
    """Ten parts, each photographed twice without moving."""
    samples = []
    for turn in range(10):
        image = draw(turn)[0]
        samples += [Sample(write(tmp_path / f"{turn}{name}.png", shot), False) for name, shot in
                    (("", image), ("_again", _again(image, turn)))]  # fmt: skip
    return samples


def test_two_pictures_of_one_part_are_one_unit(twice: list[Sample]) -> None:
    with pytest.warns(TrainingWarning, match="10 parts in 20 photos"):
        parts, message = find_units(accept(twice))
    assert "10 parts in 20 photos" in message
    assert [parts[i].unit == parts[i + 1].unit for i in range(0, 20, 2)] == [True] * 10
    assert len({part.unit for part in parts}) == len({part.counted for part in parts}) == 10


def test_different_parts_stay_apart(draw: Any, write: Any, tmp_path: Path) -> None:
    samples = [Sample(write(tmp_path / f"{turn}.png", draw(turn)[0]), False) for turn in range(12)]
    parts, message = find_units(accept(samples))
    assert message == ""
    assert len({part.unit for part in parts}) == 12


def test_parts_with_names_of_their_own_are_never_joined(twice: list[Sample]) -> None:
    named = [Sample(sample.path, False, group=f"part {turn}") for turn, sample in enumerate(twice)]
    parts, message = find_units(accept(named, group_keys(named)))
    assert message == ""
    assert len({part.unit for part in parts}) == 20


def test_every_bound_counts_parts(twice: list[Sample], train_tiny: Any) -> None:
    with pytest.warns(TrainingWarning, match="10 parts in 20 photos"):
        recipe = train_tiny(twice)
    calibration = recipe.card.calibration
    assert calibration.good == calibration.overkill.of == calibration.review.of == recipe.card.ood.parts == 10
    # A limit is that of one picture; the bound counts a part above it by its worst.
    assert calibration.overkill.count <= 1
    assert calibration.overkill == rate(calibration.overkill.count, 10)
    promise = f"10 good parts in 20 photos: overkill at most {calibration.overkill.upper:.1%}"
    assert calibration.promises[0].startswith(promise)
    assert "10 parts in 20 photos" in recipe.card.choices["units"]


def test_new_parts_are_not_called_ng_because_the_old_ones_were_photographed_twice(
    twice: list[Sample], train_tiny: Any, draw: Any
) -> None:
    """Held out one by one, a part is compared with its own other picture: the limits came out far too low."""
    from sightline.runtime.inspector import Inspector

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        inspector = Inspector(train_tiny(twice), threads=1)
    verdicts = [str(inspector.inspect(draw(400 + turn)[0]).verdict) for turn in range(12)]
    assert verdicts.count("NG") <= 2


def test_one_part_again_and_again_promises_nothing(draw: Any, write: Any, tmp_path: Path, train_tiny: Any) -> None:
    image = draw(0)[0]
    samples = [Sample(write(tmp_path / f"{turn}.png", _again(image, turn, 0.5)), False) for turn in range(9)]
    with pytest.warns(TrainingWarning, match="1 part in 9 photos"):
        recipe = train_tiny(samples)
    assert recipe.card.calibration.limits == ()
    assert recipe.card.calibration.overkill.of == 1
    assert recipe.card.calibration.overkill.upper == pytest.approx(0.95)


def test_one_picture_again_and_again_is_one_picture(draw: Any, tmp_path: Path, train_tiny: Any) -> None:
    """A camera that hangs: equal pixels in files that differ. The parity gate failed, and blamed the packages."""
    samples = []
    for turn in range(9):
        stamp = PngInfo()
        stamp.add_text("time", f"12:00:{turn:02}")
        path = tmp_path / f"{turn}.png"
        Image.fromarray(draw(0)[0]).save(path, pnginfo=stamp)
        samples.append(Sample(path, False))
    with pytest.warns(TrainingWarning, match="1 part in 9 photos"), pytest.raises(InputError, match="Photograph") as no:
        train_tiny(samples)
    assert str(no.value).startswith("1 different readable images of good parts")


def test_lots_are_held_out_whole_where_there_are_enough(twice: list[Sample]) -> None:
    few = [Sample(sample.path, False, lot=f"lot {turn % 4}") for turn, sample in enumerate(twice)]
    many = [Sample(sample.path, False, lot=f"lot {turn % 5}") for turn, sample in enumerate(twice)]
    assert set(group_keys(few)) == {None}
    assert set(group_keys(many)) == {f"lot {number}" for number in range(5)}


def test_the_worst_picture_counts_for_its_part(twice: list[Sample]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts, _ = find_units(accept(twice))
    assert worst_of_each(np.arange(20.0), parts).tolist() == list(np.arange(1.0, 20.0, 2.0))


def test_sizes_are_passed_on_so_that_no_picture_is_decoded_again_for_them(
    draw: Any, write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = [Sample(write(tmp_path / f"{turn}.png", draw(turn, height=90 + turn)[0]), False) for turn in range(4)]
    (tmp_path / "odd.png").write_bytes(b"no image")
    parts, _ = find_units(accept([*samples, Sample(tmp_path / "odd.png", False)]))
    assert [part.shape and part.shape[0] for part in parts] == [90, 91, 92, 93, None]
    read = []
    monkeypatch.setattr(
        "sightline.train.images.loader.read_image", lambda path, _: read.append(path) or (np.zeros((1, 1)), ())
    )
    image_shapes(parts, np.random.default_rng(0))
    assert read == [tmp_path / "odd.png"]
