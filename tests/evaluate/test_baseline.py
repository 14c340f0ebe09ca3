"""The golden template beside the recipe."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from sightline.core.errors import InputError
from sightline.core.sample import Sample
from sightline.evaluate import baseline
from sightline.evaluate.baseline import GoldenTemplate
from sightline.evaluate.evaluating import evaluate
from sightline.evaluate.metrics.image import image_auroc
from sightline.imaging.image import content_hash


@pytest.fixture
def trained(inspector: Any, shoot: Any) -> tuple[Any, list[Sample]]:
    references = [shoot(f"reference{number}.png", 0, False) for number in range(6)]
    hashes = tuple(content_hash(sample.path) for sample in references)
    inspector.card = inspector.card.model_copy(update={"trained_on": hashes})
    return inspector, references


def test_both_judge_the_same_parts(trained: tuple[Any, list[Sample]], lot: list[Sample]) -> None:
    inspector, references = trained
    found = evaluate(inspector, lot, references=references).baseline
    assert found is not None and (found.templates, found.images, found.of) == (6, 11, 11)
    # A bright patch on a part that never changes is what a template is made for.
    assert found.difference.first is not None and found.difference.first > 0.7
    assert found.difference.second == pytest.approx(27 / 30)
    assert found.difference.value == pytest.approx(found.difference.second - found.difference.first)


def test_good_parts_that_were_not_trained_on_make_no_template(
    trained: tuple[Any, list[Sample]], lot: list[Sample]
) -> None:
    inspector, _ = trained
    assert evaluate(inspector, lot, references=lot).baseline is None
    assert evaluate(inspector, lot).to_json()["rule_based"] is None


def test_the_gain_is_in_the_table(trained: tuple[Any, list[Sample]], lot: list[Sample]) -> None:
    inspector, references = trained
    assert "Golden template (rules)" in str(evaluate(inspector, lot, references=references))


# The golden template: what a rule-based inspection sees and does not see.

HEIGHT, WIDTH = 72, 96


def part(seed: int, dx: int = 0, dy: int = 0, gain: float = 1.0, noise: float = 1.5) -> np.ndarray:
    """A textured part, the same for every seed but for noise, shift and brightness."""
    surface = np.random.default_rng(99).uniform(40, 160, (HEIGHT // 4 + 10, WIDTH // 4 + 10, 3)).astype(np.float32)
    wide = cv2.resize(surface, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    image = wide[20 - dy : 20 - dy + HEIGHT, 20 - dx : 20 - dx + WIDTH] * gain
    noisy = image + np.random.default_rng(seed).normal(0, noise, image.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def damaged(image: np.ndarray, grey: int = 60) -> np.ndarray:
    changed = image.astype(np.int16)
    changed[30:38, 40:50] += grey
    return np.clip(changed, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def template() -> GoldenTemplate:
    return GoldenTemplate.fit([part(seed) for seed in range(12)])


def test_median_and_spread_by_hand() -> None:
    values = [10, 12, 14, 20, 90]
    images = [np.full((4, 5, 3), value, np.uint8) for value in values]
    median, std = baseline._statistics(images)
    assert (median == 14).all()
    assert std == pytest.approx(np.full((4, 5, 3), 1.4826 * 4))


def test_strips_give_what_the_whole_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    images = [part(seed) for seed in range(5)]
    whole = baseline._statistics(images)
    monkeypatch.setattr(baseline, "STRIP_VALUES", 5 * WIDTH * 3 * 7)
    for strips, all_at_once in zip(baseline._statistics(images), whole, strict=True):
        assert np.array_equal(strips, all_at_once)


def test_heat_is_the_mean_of_the_worst_channels_distance_in_spreads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baseline, "MAX_SHIFT_PX", 0.0)
    flat = np.full((20, 24, 3), 100, np.uint8)
    fitted = GoldenTemplate.fit([flat] * 3)
    spot = flat.copy()
    spot[10, 12, 1] = 150
    grey = cv2.cvtColor(spot, cv2.COLOR_RGB2GRAY).astype(np.float32).mean()
    heat = fitted.heat(spot)
    # One px of 25 is 50 grey values away; evening out the brightness that it added darkens all of them a little.
    gain = 100 / grey
    assert heat[10, 12] == pytest.approx((150 * gain - 100 + 24 * (100 - 100 * gain)) / baseline.FLOOR / 25, rel=1e-4)
    assert heat.shape == (20, 24)
    assert heat.dtype == np.float32
    assert fitted.score(spot) == pytest.approx(float(heat.max()))


def test_a_good_part_scores_low_and_a_damaged_one_high_where_it_is_damaged(template: GoldenTemplate) -> None:
    heat = template.heat(damaged(part(50)))
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert 28 <= row < 40
    assert 38 <= column < 52
    assert template.score(damaged(part(50))) > 5 * template.score(part(51))
    scores = [template.score(part(seed)) for seed in range(60, 70)]
    scores += [template.score(damaged(part(seed), 25)) for seed in range(70, 80)]
    assert image_auroc(scores, np.arange(20) >= 10) == 1.0


def test_the_same_image_always_gets_the_same_heat_and_is_left_as_it_was(template: GoldenTemplate) -> None:
    image = damaged(part(50, 2, 1))
    before, heat = image.copy(), template.heat(image)
    for _ in range(3):
        assert np.array_equal(template.heat(image), heat)
    assert np.array_equal(image, before)


@pytest.mark.parametrize("gain", [0.8, 1.25])
def test_brightness_is_evened_out(template: GoldenTemplate, gain: float) -> None:
    assert template.score(part(52, gain=gain)) < 2.5 * template.score(part(52))


@pytest.mark.parametrize(("dx", "dy"), [(3, -2), (-5, 4)])
def test_a_small_shift_is_taken_out_and_heat_lies_where_the_image_has_it(
    template: GoldenTemplate, dx: int, dy: int
) -> None:
    assert template.score(part(53, dx, dy)) < 2.5 * template.score(part(53))
    heat = template.heat(damaged(part(53, dx, dy)))
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert 28 <= row < 40
    assert 38 <= column < 52


def test_a_shift_that_is_too_large_stays_in_and_scores_high(template: GoldenTemplate) -> None:
    assert template.score(part(54, 12, 0)) > 5 * template.score(part(54))


def test_black_and_tiny_images_have_finite_heat() -> None:
    for shape in ((40, 40, 3), (1, 1, 3), (2, 30, 3)):
        black = np.zeros(shape, np.uint8)
        fitted = GoldenTemplate.fit([black] * 3)
        assert fitted.score(black) == 0.0
        assert np.isfinite(fitted.heat(np.full(shape, 255, np.uint8))).all()


def test_bad_images_are_refused_with_a_remedy(template: GoldenTemplate) -> None:
    with pytest.raises(InputError, match="Give at least 3"):
        GoldenTemplate.fit([])
    with pytest.raises(InputError, match="96 x 70 px but the first 96 x 72 px"):
        GoldenTemplate.fit([part(0), part(2), part(1)[:70]])
    with pytest.raises(InputError, match="to one size"):
        template.heat(part(0)[:70])
    for wrong in (part(0)[..., 0], part(0).astype(np.float32), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(InputError, match="uint8"):
            template.heat(wrong)
