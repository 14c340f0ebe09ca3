"""The cascade: doubtful parts get a second opinion, all others do not, and no failure makes a part OK."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper
from PIL import Image as Pillow

from sightline.core.card import Card
from sightline.core.errors import InputError, RecipeError
from sightline.core.result import Band, Verdict
from sightline.data.dataset import Dataset
from sightline.evaluate.evaluating import evaluate
from sightline.runtime.cascade import Cascade, on_band
from sightline.runtime.inspection import Inspection
from sightline.runtime.inspector import Inspector
from sightline.runtime.recipe import Recipe
from sightline.train.export.graph import with_card

OK, REVIEW, NG = Verdict.OK, Verdict.REVIEW, Verdict.NG
# A band around a score that gives it the verdict.
AROUND = {OK: (1.0, 2.0), REVIEW: (-1.0, 1.0), NG: (-2.0, -1.0)}


def altered(recipe: Recipe, **changes: Any) -> Recipe:
    """The recipe with another card; with grades, its graph has the output that they promise."""
    card = recipe.card.model_copy(update=changes)
    model = onnx.load_from_string(recipe.data)
    if "grades" in changes:
        model.graph.node.append(onnx.helper.make_node("Identity", ["score"], ["grade"]))
        model.graph.output.append(onnx.helper.make_tensor_value_info("grade", onnx.TensorProto.FLOAT, ["N"]))
    return Recipe(with_card(model, card), card)


def banded(recipe: Recipe, low: float, high: float) -> Recipe:
    return altered(recipe, band=Band(low=low, high=high))


def broken(recipe: Recipe, value: float) -> Recipe:
    """The recipe whose scores are no finite numbers."""
    model = onnx.load_from_string(recipe.data)
    (number,) = [entry for entry in model.graph.initializer if entry.name == "score_centres"]
    number.CopyFrom(numpy_helper.from_array(np.full_like(numpy_helper.to_array(number), value), "score_centres"))
    return replace(recipe, data=model.SerializeToString())


def trusting(recipe: Recipe) -> Recipe:
    """The recipe without its doubt whether a picture shows the product: here bands alone shall decide."""
    model = onnx.load_from_string(recipe.data)
    for entry in model.graph.initializer:
        if entry.name in ("ood_weights", "ood_bias"):
            entry.CopyFrom(numpy_helper.from_array(0 * numpy_helper.to_array(entry), entry.name))
    return replace(recipe, data=model.SerializeToString())


@pytest.fixture(scope="module")
def recipe(recipe: Recipe) -> Recipe:
    return trusting(recipe)


@pytest.fixture(scope="module")
def other(parts: Dataset, train_tiny: Any) -> Recipe:
    """A second recipe of the same product, whose scores differ."""
    return trusting(train_tiny(parts, side_px=96, bank_size=64))


@pytest.fixture(scope="module")
def image(draw: Any) -> NDArray[np.uint8]:
    return draw(901, flawed=True)[0]


@pytest.fixture(scope="module")
def make(recipe: Recipe, other: Recipe, image: NDArray[np.uint8]) -> Callable[[Verdict, Verdict], Cascade]:
    """A cascade whose recipes say these verdicts of `image`, each on its own."""
    scores = [Inspector(one, threads=1).inspect(image).score for one in (recipe, other)]
    assert scores[0] != pytest.approx(scores[1], abs=1e-3)

    def cascade(fast: Verdict, accurate: Verdict) -> Cascade:
        bands = [[score + offset for offset in AROUND[v]] for score, v in zip(scores, (fast, accurate), strict=True)]
        return Cascade(banded(recipe, *bands[0]), banded(other, *bands[1]), threads=1)

    return cascade


def counted(judge: Inspector, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the judge is asked to inspect from now on."""
    asked: list[Any] = []
    inspect = judge.inspect
    monkeypatch.setattr(judge, "inspect", lambda source: asked.append(source) or inspect(source))
    return asked


# Who decides


@pytest.mark.parametrize("accurate", [OK, REVIEW, NG])
@pytest.mark.parametrize("fast", [OK, REVIEW, NG])
def test_the_accurate_recipe_decides_what_the_fast_one_leaves_open(
    fast: Verdict, accurate: Verdict, make: Any, image: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    cascade = make(fast, accurate)
    asked = counted(cascade.accurate, monkeypatch)
    result, alone = cascade.inspect(image), cascade.fast.inspect(image)
    assert alone.verdict is fast
    assert result.verdict is (accurate if fast is REVIEW else fast)
    assert len(asked) == (fast is REVIEW)
    assert cascade.card.band.decide(result.score) is result.verdict
    if fast is REVIEW:
        second = Inspector.inspect(cascade.accurate, image)
        assert result.judged_by == "accurate"
        assert (result.p_value, len(result.defects)) == (second.p_value, len(second.defects))
        assert "rejudge" in result.times_ms
    else:
        assert result.judged_by == "fast"
        assert (result.score, result.p_value) == (alone.score, alone.p_value)
        assert np.array_equal(result.heat, alone.heat)
        assert "rejudge" not in result.times_ms


def test_times_add_up(make: Any, image: NDArray[np.uint8]) -> None:
    times = make(REVIEW, NG).inspect(image).times_ms
    assert times["rejudge"] > 0
    assert times["total"] == pytest.approx(sum(ms for stage, ms in times.items() if stage != "total"))


def test_heat_and_defects_are_on_the_fast_recipes_scale(make: Any, image: NDArray[np.uint8]) -> None:
    cascade = make(REVIEW, NG)
    result, second = cascade.inspect(image), cascade.accurate.inspect(image)
    assert result.heat_threshold == cascade.fast.card.calibration.heat_threshold != second.heat_threshold
    assert np.array_equal(result.heat > result.heat_threshold, second.heat > second.heat_threshold)
    assert result.defects[0].score - result.heat_threshold == pytest.approx(
        second.defects[0].score - second.heat_threshold
    )
    assert np.array_equal(result.embedding, cascade.fast.inspect(image).embedding)
    assert result.overlay().image.shape == image.shape


# Sources and batches


def test_the_image_is_decoded_once_whatever_way_it_comes(
    make: Any, image: NDArray[np.uint8], tmp_path: Path, write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cascade = make(REVIEW, NG)
    asked = counted(cascade.accurate, monkeypatch)
    path = write(tmp_path / "part.png", image)
    reference = cascade.inspect(path)
    assert reference.source == str(path)
    for source in (str(path), path.read_bytes(), image, Pillow.open(path)):
        result = cascade.inspect(source)
        assert (result.verdict, result.score, result.p_value) == (NG, reference.score, reference.p_value)
        assert result.source == (str(path) if isinstance(source, str) else "")
    assert len(asked) == 5
    assert all(np.array_equal(pixels, image) for pixels in asked)


@pytest.mark.parametrize("batch", [1, 3, 20])
def test_batched_equals_single(
    batch: int, recipe: Recipe, other: Recipe, draw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [draw(920 + i, flawed=i % 2 == 1)[0] for i in range(8)]
    scores = sorted(found.score for found in Inspector(recipe, threads=1).inspect_many(images))
    low, high = (scores[1] + scores[2]) / 2, (scores[5] + scores[6]) / 2
    cascade = Cascade(banded(recipe, low, high), other, threads=1)
    singles = [cascade.inspect(one) for one in images]
    asked = counted(cascade.accurate, monkeypatch)
    many = list(cascade.inspect_many(iter(images), batch=batch))
    assert len(asked) == 4  # two below the band, two above, four within
    assert [one.verdict for one in many] == [one.verdict for one in singles]
    assert [one.judged_by for one in many] == [one.judged_by for one in singles]
    assert [one.score for one in many] == pytest.approx([one.score for one in singles], abs=1e-4)


def test_a_result_becomes_json(make: Any, image: NDArray[np.uint8]) -> None:
    values = json.loads(json.dumps(make(REVIEW, OK).inspect(image).to_json(), allow_nan=False))
    assert (values["verdict"], values["judged_by"], values["defects"]) == ("OK", "accurate", [])
    assert values["times_ms"]["rejudge"] > 0
    assert "judged_by" not in Inspector.inspect(make(OK, OK).fast, image).to_json()


# Fail closed


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), MemoryError(), InputError("too small"), OSError()])
def test_an_accurate_recipe_that_fails_leaves_review(
    error: Exception, make: Any, image: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    cascade = make(REVIEW, OK)

    def fail(source: Any) -> Inspection:
        raise error

    monkeypatch.setattr(cascade.accurate, "inspect", fail)
    first = cascade.fast.inspect(image)
    for result in (cascade.inspect(image), *cascade.inspect_many([image, image])):
        assert (result.verdict, result.judged_by, result.p_value) == (REVIEW, "fast", first.p_value)
        assert result.score == pytest.approx(first.score, abs=1e-4)
        assert type(error).__name__ in result.warnings[-1]
        assert "rejudge" in result.times_ms


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_an_accurate_score_that_is_no_number_is_ng(
    value: float, recipe: Recipe, other: Recipe, image: NDArray[np.uint8]
) -> None:
    result = Cascade(banded(recipe, -1e6, 1e6), broken(other, value), threads=1).inspect(image)
    assert (result.verdict, result.judged_by) == (NG, "accurate")
    assert not np.isfinite(result.score)
    json.dumps(result.to_json(), allow_nan=False)


def test_an_accurate_verdict_is_not_taken_on_trust(
    make: Any, image: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    cascade = make(REVIEW, OK)
    lie = replace(cascade.accurate.inspect(image), score=float("nan"))
    assert lie.verdict is OK
    monkeypatch.setattr(cascade.accurate, "inspect", lambda source: lie)
    assert cascade.inspect(image).verdict is NG


@pytest.mark.parametrize(("accurate", "expected"), [(OK, REVIEW), (REVIEW, REVIEW), (NG, NG)])
def test_an_ok_on_unknown_ground_lifts_nothing(
    accurate: Verdict, expected: Verdict, make: Any, image: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    cascade = make(REVIEW, accurate)
    odd = replace(cascade.accurate.inspect(image), warnings=("far from the recipe's shape",))
    monkeypatch.setattr(cascade.accurate, "inspect", lambda source: odd)
    result = cascade.inspect(image)
    assert result.verdict is expected
    assert result.judged_by == ("fast" if accurate is OK else "accurate")
    assert cascade.card.band.decide(result.score) is result.verdict
    assert "the accurate recipe: far from" in result.warnings[-1]


def test_an_ok_does_not_lift_what_the_fast_recipe_takes_for_no_product(
    make: Any, image: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    cascade = make(REVIEW, OK)
    stranger = replace(cascade.fast.inspect(image), ood_distance=1.5)
    monkeypatch.setattr(cascade.fast, "inspect", lambda source: stranger)
    assert cascade.accurate.inspect(image).verdict is OK
    result = cascade.inspect(image)
    assert (result.verdict, result.judged_by) == (REVIEW, "fast")


def test_what_the_fast_recipe_cannot_judge_is_an_error(make: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone.png: cannot be read"):
        make(REVIEW, OK).inspect(tmp_path / "gone.png")


def test_warming_up_runs_both_and_hides_no_error(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cascade = make(OK, OK)
    cascade.warm_up()

    def fail() -> None:
        raise RuntimeError("no engine")

    monkeypatch.setattr(cascade.accurate, "warm_up", fail)
    with pytest.raises(RuntimeError, match="no engine"):
        cascade.warm_up()


# One scale


@pytest.mark.parametrize("own", [(0.0, 1.0), (-3.0, 7.5), (2.0, 2.0), (1.0, 1.0 + 1e-9), (-1e6, 1e6)])
@pytest.mark.parametrize("target", [(0.0, 1.0), (5.0, 5.1), (-2.0, -1.0), (1e3, 1e3 + 1e-9), (-1e6, 1e6)])
def test_mapping_keeps_order_and_verdicts(own: tuple[float, float], target: tuple[float, float]) -> None:
    one, other = (Band(low=low, high=high) for low, high in (own, target))
    rng = np.random.default_rng(0)
    edges = [np.nextafter(edge, side) for edge in own for side in (-np.inf, edge, np.inf)]
    scores = sorted(float(s) for s in [*rng.uniform(own[0] - 5, own[1] + 5, 300), *edges, -1e9, 1e9])
    mapped = [on_band(score, one, other) for score in scores]
    assert mapped == sorted(mapped)
    assert [other.decide(score) for score in mapped] == [one.decide(score) for score in scores]
    if own[0] < own[1]:
        assert on_band(own[0], one, other) == target[0]
        assert on_band(own[1], one, other) == target[1]
    assert np.isnan(on_band(float("nan"), one, other))


# Two recipes that belong together


@pytest.mark.parametrize("change", [{"product": "washers"}, {"roi": (0.0, 0.0, 0.5, 1.0)}, {"grades": ("A", "B")}])
def test_recipes_of_different_things_are_refused(change: dict[str, Any], recipe: Recipe, tmp_path: Path) -> None:
    fast = recipe.save(tmp_path / "fast.onnx")
    accurate = altered(recipe, **change).save(tmp_path / "accurate.onnx")
    (field,) = change
    with pytest.raises(RecipeError, match=rf"fast.onnx and .*accurate.onnx do not belong together: {field}"):
        Cascade(fast, accurate)
    with pytest.raises(RecipeError, match="the fast recipe and the accurate recipe"):
        Cascade(recipe, altered(recipe, **change))


def test_the_card_names_both_and_promises_nothing(recipe: Recipe, other: Recipe) -> None:
    observed = (*recipe.card.trained_on, "0123456789abcdef")
    card = Cascade(recipe, altered(other, trained_on=observed), threads=1).card
    assert set(card.trained_on) == set(observed)
    assert (card.band, card.product) == (recipe.card.band, recipe.card.product)
    assert card.backbone == "lite0, REVIEW by lite0"
    (promise,) = card.calibration.promises
    assert "--accurate" in promise
    Card.model_validate_json(card.model_dump_json())


def test_evaluate_measures_the_two_together(recipe: Recipe, other: Recipe, parts: Dataset) -> None:
    alone = evaluate(banded(recipe, -1e3, 1e3), parts.test, include_trained=True)
    assert alone.review == 1.0
    both = evaluate(Cascade(banded(recipe, -1e3, 1e3), other, threads=1), parts.test, include_trained=True)
    accurate = evaluate(other, parts.test, include_trained=True)
    assert (both.escapes, both.overkills, both.reviews) == (accurate.escapes, accurate.overkills, accurate.reviews)
    assert both.image_auroc == accurate.image_auroc
    count = len(both.images)
    assert any(f"asked about {count} of {count} images and decided {count}" in note for note in both.notes)
    assert not any("accurate" in note for note in alone.notes)


def test_evaluate_leaves_out_what_either_was_trained_on(recipe: Recipe, other: Recipe, parts: Dataset) -> None:
    fast = altered(recipe, trained_on=())
    assert evaluate(Cascade(fast, other, threads=1), parts).left_out_trained == len(other.card.trained_on)
