"""Measures of a photograph move with what they are named after, and with nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.sample import Sample
from sightline.data.curation.image_statistics import MEASURES, measure, names_of, read_statistics


def of(image: NDArray[np.uint8]) -> dict[str, float]:
    return dict(zip(MEASURES, map(float, measure(image)), strict=True))


def test_focus_motion_and_light_are_told_apart(plate: Any) -> None:
    sharp = of(plate(0))
    soft = of(np.asarray(cv2.GaussianBlur(plate(0), (0, 0), 4), np.uint8))
    moved = of(np.asarray(cv2.blur(plate(0), (1, 15)), np.uint8))
    lighter = of(np.clip(plate(0).astype(int) + 20, 0, 255).astype(np.uint8))
    assert soft["sharpness"] < sharp["sharpness"] - 1
    assert moved["detail_90"] < sharp["detail_90"] - 0.7
    assert abs(moved["detail_0"] - sharp["detail_0"]) < 0.4
    assert abs(lighter["sharpness"] - sharp["sharpness"]) < 0.1
    assert (
        abs(lighter["brightness"] - sharp["brightness"] - 20) <= 1 and abs(lighter["contrast"] - sharp["contrast"]) <= 1
    )


def test_clipping_and_glare_are_shares() -> None:
    image = np.full((100, 100, 3), 120, np.uint8)
    image[:10] = 0
    image[50:70, 50:70] = 255
    found = of(image)
    assert (found["dark"], found["bright"]) == (np.float32(0.1), np.float32(0.04))
    assert 0.03 < found["glare"] <= 0.04


def test_single_white_pixels_are_no_glare() -> None:
    image = np.full((100, 100, 3), 120, np.uint8)
    image[::4, ::4] = 255
    assert of(image)["glare"] == 0


def test_a_flat_and_a_large_image_can_be_measured() -> None:
    assert np.isfinite(measure(np.full((16, 16, 3), 255, np.uint8))).all()
    assert np.isfinite(measure(np.zeros((3000, 2000, 3), np.uint8))).all()


# One look at every image: in order, whatever the threads do, and with few images held.


def test_signs_are_the_same_for_any_number_of_threads(plant: Any, embed: Any) -> None:
    samples = plant()
    one, many = read_statistics(samples, embed, threads=1), read_statistics(samples, embed, threads=5)
    assert one.digests == many.digests and one.names == many.names
    np.testing.assert_array_equal(one.measured, many.measured)
    np.testing.assert_array_equal(one.embeddings, many.embeddings)
    assert len(one) == len(samples) and one.hashes.shape == (36, 2) and one.thumbs.shape == (36, 64, 64)


def test_a_row_is_the_sign_of_its_own_image_where_others_cannot_be_read(plant: Any, embed: Any) -> None:
    samples = plant()
    samples[8].path.write_bytes(b"")
    samples[35].path.unlink()
    statistics = read_statistics(samples, embed)
    assert [unread.name for unread in statistics.unread] == [samples[8].path.as_posix(), samples[35].path.as_posix()]
    assert len(statistics) == 34 == len(statistics.embeddings)
    alone = read_statistics([samples[9]], embed)
    np.testing.assert_array_equal(statistics.embeddings[8], alone.embeddings[0])


def test_embedding_sees_a_few_small_copies_at_a_time(write: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "large.png", np.zeros((700, 1400, 3), np.uint8))
    observed: list[int] = []

    def embed(images: Any) -> Any:
        observed.append(len(images))
        assert all(max(image.shape) <= 512 for image in images)
        return np.zeros((len(images), 4), np.float32)

    done: list[tuple[int, int]] = []
    read_statistics([Sample(path, None)] * 19, embed, progress=lambda *given: done.append(given))
    assert observed == [8, 8, 3] and done[-1] == (19, 19)


def test_names_are_short_and_unique() -> None:
    samples = [Sample(Path(name), None) for name in ("/d/a/x.png", "/d/a/x.png", "/e/y.png")]
    assert names_of(samples, Path("/d")) == ["a/x.png", "a/x.png#2", "/e/y.png"]
