"""Whether heat explains the score, and whether the measure can tell heat that does not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from sightline.core.errors import InputError
from sightline.core.result import Band
from sightline.core.sample import Sample
from sightline.evaluate.evaluating import evaluate
from sightline.evaluate.explain import faithfulness as faithfulness_module
from sightline.evaluate.explain.faithfulness import bounded, faithfulness, fidelity, points_at
from sightline.evaluate.report.report import render
from sightline.evaluate.trial import run_trial


def test_heat_that_makes_the_score_beats_a_random_map(inspector: Any, lot: list[Sample]) -> None:
    images = run_trial(inspector, lot, include_trained=False, progress=None).images
    found = faithfulness(inspector, images, 4)
    assert found is not None and (found.images, found.of) == (4, 5)
    assert found.gain.value is not None and found.gain.value > 0.2
    assert found.insertion.value > found.random_insertion.value  # type: ignore[operator]
    assert (found.pointing.count, found.pointing.of) == (4, 4)
    assert found.by_chance is not None and found.by_chance < 0.3


def test_turned_heat_gains_nothing_and_points_wrongly(inspector: Any, lot: list[Sample]) -> None:
    class Turned:
        card = inspector.card

        def inspect(self, source: Any) -> Any:
            observed = inspector.inspect(source)
            return replace(observed, heat=np.ascontiguousarray(-observed.heat))

    images = run_trial(Turned(), lot, include_trained=False, progress=None).images
    found = faithfulness(Turned(), images, 4)
    assert found is not None and found.gain.value is not None and found.gain.value < 0
    assert found.pointing.count == 0


def test_the_same_seed_gives_the_same_sample(inspector: Any, lot: list[Sample]) -> None:
    images = run_trial(inspector, lot, include_trained=False, progress=None).images
    assert faithfulness(inspector, images, 2, seed=3) == faithfulness(inspector, images, 2, seed=3)
    assert faithfulness(inspector, [image for image in images if not image.defective], 2) is None


def test_a_score_becomes_a_share() -> None:
    band = Band(low=1.0, high=3.0)
    assert bounded(3.0, band) == pytest.approx(0.5)
    assert bounded(1.0, band) == pytest.approx(0.119, abs=1e-3)
    assert bounded(float("nan"), band) == 1.0 and bounded(float("inf"), band) == 1.0


def test_evaluate_measures_it_only_where_it_is_asked_for(inspector: Any, lot: list[Sample]) -> None:
    assert evaluate(inspector, lot).faithfulness is None
    found = evaluate(inspector, lot, explained=2)
    assert found.to_json()["faithfulness"]["images"] == 2
    assert "beyond a random map" in str(found)


def test_figures_that_tell_nothing_are_said_to_tell_nothing(inspector: Any, lot: list[Sample]) -> None:
    found = evaluate(inspector, lot, explained=4).faithfulness
    assert found is not None and found.tells
    flat = replace(found, gain=replace(found.gain, value=0.0, lower=-0.01, upper=0.01))
    assert not flat.tells
    evaluation = replace(evaluate(inspector, lot), faithfulness=flat)
    assert "cannot tell it from a random map" in str(evaluation)
    page = render(evaluation, datetime(2026, 1, 1, tzinfo=UTC))
    assert "Deletion and insertion say nothing here" in page and '<th scope="row">Deletion</th>' not in page
    assert "Pointing game" in page


# Deletion, insertion and the pointing game, with scores whose true explanation is known.

SPOT = (slice(4, 8), slice(8, 12))


def picture() -> np.ndarray:
    image = np.full((16, 16, 3), 20, np.uint8)
    image[SPOT] = 220
    return image


def brightness(images: np.ndarray) -> np.ndarray:
    """How bright the spot is, 0..1."""
    return images[:, SPOT[0], SPOT[1]].mean(axis=(1, 2, 3)) / 255


def on_spot(value: float = 1.0) -> np.ndarray:
    heat = np.zeros((16, 16), np.float32)
    heat[SPOT] = value
    return heat


def test_deletion_by_hand() -> None:
    found = fidelity(brightness, picture(), on_spot(), 16)
    # 16 px of the spot are the first of 16 steps of 16 px; the mean colour is 20 + 200 / 16 = 32.5, 32 as uint8.
    assert len(found.deletion_curve) == 17
    assert found.deletion_curve[0] == pytest.approx(220 / 255)
    assert found.deletion_curve[1:] == pytest.approx([32 / 255] * 16)
    assert found.deletion == pytest.approx((32 + (220 - 32) / 2 / 16) / 255)
    assert found.insertion_curve[1:] == pytest.approx([220 / 255] * 16)
    assert found.insertion_curve[0] < 0.8


def test_the_true_explanation_beats_noise_and_its_opposite() -> None:
    random = np.random.default_rng(0)
    true = fidelity(brightness, picture(), on_spot(), 16)
    for other in (random.random((16, 16)), -on_spot()):
        worse = fidelity(brightness, picture(), other, 16)
        assert true.deletion < worse.deletion
        assert true.insertion > worse.insertion


def test_equals_one_image_at_a_time() -> None:
    random = np.random.default_rng(1)
    image = random.integers(0, 256, (15, 11, 3)).astype(np.uint8)
    heat = random.random((15, 11))
    found = fidelity(lambda images: images.mean(axis=(1, 2, 3)), image, heat, steps=7)
    order = sorted(np.ndindex(15, 11), key=lambda place: -heat[place])
    expected = []
    for step in range(8):
        changed = image.copy()
        for place in order[: round(165 * step / 7)]:
            changed[place] = image.mean(axis=(0, 1)).round()
        expected.append(changed.mean())
    assert found.deletion_curve == pytest.approx(expected)
    assert found.insertion_curve[-1] == pytest.approx(image.mean())
    assert found.deletion_curve[0] == pytest.approx(image.mean())


def test_batches_are_bounded_and_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def score(images: np.ndarray) -> np.ndarray:
        sizes.append(len(images))
        assert images.dtype == np.uint8
        return brightness(images)

    found = fidelity(score, picture(), on_spot(), 16)
    assert sizes == [8, 8, 1] * 2
    monkeypatch.setattr(faithfulness_module, "BATCH", 100)
    assert found == fidelity(brightness, picture(), on_spot(), 16)


def test_a_nan_in_the_heat_counts_as_the_hottest() -> None:
    assert fidelity(brightness, picture(), on_spot(np.nan), 8) == fidelity(brightness, picture(), on_spot(), 8)


def test_bad_input_is_refused_with_a_remedy() -> None:
    with pytest.raises(InputError, match="Check the recipe"):
        fidelity(lambda images: np.full(len(images), np.nan), picture(), on_spot(), 8)
    with pytest.raises(ValueError, match="one score per image"):
        fidelity(lambda images: np.zeros(1), picture(), on_spot(), 8)
    with pytest.raises(ValueError, match="Resize it"):
        fidelity(brightness, picture(), on_spot()[:4], 8)
    with pytest.raises(ValueError, match="uint8"):
        fidelity(brightness, picture().astype(np.float32), on_spot(), 8)
    with pytest.raises(ValueError, match="at least 1"):
        fidelity(brightness, picture(), on_spot(), steps=0)


def test_pointing_by_hand() -> None:
    mask = np.zeros((40, 60), bool)
    mask[10:20, 30:40] = True
    heat = np.zeros((40, 60))
    heat[12, 35] = 1.0
    assert points_at(heat, mask, 0) is True
    heat[12, 45] = 2.0  # 6 px right of the mask
    assert points_at(heat, mask, 5) is False
    assert points_at(heat, mask, 6) is True
    heat[4, 47] = 3.0  # 6 px above, 8 px right
    assert points_at(heat, mask, 9.9) is False
    assert points_at(heat, mask, 10) is True
    heat[39, 0] = np.nan
    assert points_at(heat, mask, 10) is False


def test_a_coarse_cell_stands_at_its_centre() -> None:
    mask = np.zeros((40, 60), bool)
    mask[15, 50] = True
    heat = np.zeros((4, 6))
    heat[1, 5] = 1.0  # centre (15, 55)
    assert points_at(heat, mask, 4.9) is False
    assert points_at(heat, mask, 5) is True


def test_a_flat_map_points_nowhere_and_an_empty_mask_asks_nothing() -> None:
    mask = np.zeros((40, 60), bool)
    assert points_at(np.zeros((40, 60)), mask, 10) is None
    mask[0, 0] = True
    assert points_at(np.zeros((40, 60)), mask, 10) is False
    assert points_at(np.zeros((40, 60)), ~np.zeros((40, 60), bool), 10) is True


def test_pointing_at_nothing_is_refused() -> None:
    mask = np.zeros((16, 16), bool)
    mask[SPOT] = True
    with pytest.raises(ValueError, match="do not work"):
        points_at(np.zeros((0, 3)), mask, 0)
    with pytest.raises(ValueError, match="do not work"):
        points_at(on_spot(), mask, -1)
