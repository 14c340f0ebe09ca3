"""The inspector: the same image gets the same answer, whatever way it comes, and what failed is never OK."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper
from PIL import Image as Pillow

from sightline.core.card import METADATA_KEY, Recognition
from sightline.core.errors import InputError, RecipeError
from sightline.core.result import Verdict
from sightline.runtime.inspection import Inspection
from sightline.runtime.inspector import Inspector
from sightline.runtime.recipe import Recipe
from sightline.train.export.graph import with_card


@pytest.fixture(scope="module")
def images(draw: Any) -> list[NDArray[np.uint8]]:
    """Eight parts the recipe has not seen, every other one with a flaw."""
    return [draw(700 + i, flawed=i % 2 == 1)[0] for i in range(8)]


def _same(one: Inspection, other: Inspection, tolerance: float = 1e-4) -> bool:
    return (
        one.verdict is other.verdict
        and one.score == pytest.approx(other.score, abs=tolerance)
        and one.p_value == other.p_value
        and np.allclose(one.heat, other.heat, atol=tolerance)
        and np.allclose(one.embedding, other.embedding, atol=tolerance)
        and [defect.box for defect in one.defects] == [defect.box for defect in other.defects]
    )


def test_good_and_flawed_parts_are_told_apart(judge: Inspector, images: list[NDArray[np.uint8]]) -> None:
    results = [judge.inspect(image) for image in images]
    good, flawed = results[::2], results[1::2]
    assert all(result.verdict is not Verdict.NG for result in good)
    assert all(result.verdict is not Verdict.OK for result in flawed)
    assert max(result.score for result in good) < min(result.score for result in flawed)
    assert max(result.p_value for result in flawed) <= min(result.p_value for result in good)


def test_the_defect_lies_on_the_flaw(judge: Inspector, draw: Any) -> None:
    image, mask = draw(701, flawed=True)
    result = judge.inspect(image)
    worst = result.defects[0]
    x, y, w, h = worst.box
    assert (mask[y : y + h, x : x + w] > 0).sum() >= 0.5 * (mask > 0).sum()
    # A picture this small is one 3x3 neighbourhood of the coarse level, so the region is wide; its peak is not.
    assert worst.area_px <= 0.3 * mask.size
    row, column = np.unravel_index(int(result.heatmap.argmax()), mask.shape)
    flaw = np.argwhere(mask > 0).mean(axis=0)
    assert np.hypot(row - flaw[0], column - flaw[1]) <= 16


def test_an_ok_part_has_no_defects(judge: Inspector, images: list[NDArray[np.uint8]]) -> None:
    fine = [result for result in judge.inspect_many(images) if result.verdict is Verdict.OK]
    assert fine
    assert all(result.defects == () for result in fine)


def test_every_part_that_is_not_ok_shows_a_place(judge: Inspector, images: list[NDArray[np.uint8]]) -> None:
    doubtful = [result for result in judge.inspect_many(images) if result.verdict is not Verdict.OK]
    assert doubtful
    assert all(result.defects for result in doubtful)


def test_path_bytes_array_and_pillow_score_the_same(
    judge: Inspector, images: list[NDArray[np.uint8]], tmp_path: Path, write: Any
) -> None:
    path = write(tmp_path / "part.png", images[1])
    reference = judge.inspect(path)
    assert reference.source == str(path)
    for source in (str(path), path.read_bytes(), images[1], Pillow.open(path)):
        result = judge.inspect(source)
        assert _same(result, reference, tolerance=0.0), type(source)
        assert result.source == (str(path) if isinstance(source, str) else "")


@pytest.mark.parametrize("batch", [1, 3, 8, 20])
def test_batched_equals_single(batch: int, judge: Inspector, images: list[NDArray[np.uint8]]) -> None:
    singles = [judge.inspect(image) for image in images]
    many = list(judge.inspect_many(iter(images), batch=batch))
    assert len(many) == len(images)
    assert all(_same(one, other) for one, other in zip(many, singles, strict=True))


def test_images_of_several_sizes_go_into_one_batch(judge: Inspector, draw: Any) -> None:
    images = [draw(i, height=high, width=wide)[0] for i, (high, wide) in enumerate([(96, 128), (200, 260), (60, 90)])]
    for one, image in zip(judge.inspect_many(images), images, strict=True):
        assert one.heatmap.shape == image.shape[:2]
        assert _same(one, judge.inspect(image))


def test_four_threads_share_one_inspector(judge: Inspector, images: list[NDArray[np.uint8]]) -> None:
    serial = [judge.inspect(image) for image in images]
    work = [index for _ in range(4) for index in range(len(images))]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda index: judge.inspect(images[index]), work))
    assert all(_same(result, serial[index]) for result, index in zip(results, work, strict=True))


def test_two_inspectors_agree(recipe_file: Path, judge: Inspector, images: list[NDArray[np.uint8]]) -> None:
    other = Inspector(recipe_file, threads=2)
    other.warm_up()
    assert all(_same(other.inspect(image), judge.inspect(image)) for image in images[:4])


def test_times_are_told_by_stage(judge: Inspector, images: list[NDArray[np.uint8]]) -> None:
    times = judge.inspect(images[0]).times_ms
    assert set(times) == {"decode", "prepare", "infer", "regions", "total"}
    assert all(ms >= 0 for ms in times.values())
    assert times["total"] == pytest.approx(sum(ms for stage, ms in times.items() if stage != "total"))


def test_a_result_becomes_json(judge: Inspector, images: list[NDArray[np.uint8]]) -> None:
    result = judge.inspect(images[1])
    values = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert values["verdict"] == str(result.verdict) != "OK"
    assert values["score"] == pytest.approx(result.score, abs=1e-5)
    assert len(values["defects"]) == len(result.defects)


# Warnings and errors


def test_an_odd_shape_is_warned_about(judge: Inspector, draw: Any) -> None:
    (warning,) = judge.inspect(draw(0, height=40, width=600)[0]).warnings
    assert "600 x 40 px" in warning
    assert "train a recipe for this view" in warning
    assert judge.inspect(draw(0)[0]).warnings == ()


def test_a_smaller_image_keeps_its_scale_and_is_warned_about(judge: Inspector, draw: Any) -> None:
    inspection = judge.inspect(draw(3)[0][8:-8, 8:-8])
    assert inspection.heat.shape == (80 // 4, 112 // 4)
    assert "112 x 80 px" in inspection.warnings[0]


def test_warnings_of_reading_reach_the_result(judge: Inspector, images: list[NDArray[np.uint8]]) -> None:
    result = judge.inspect(images[0].astype(np.uint16) * 257)
    assert _same(result, judge.inspect(images[0]))
    assert "16 bits" in result.warnings[0]


def test_there_is_no_verdict_without_an_image(
    judge: Inspector, images: list[NDArray[np.uint8]], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"gone.png: cannot be read"):
        judge.inspect(tmp_path / "gone.png")
    results = judge.inspect_many([images[0], tmp_path / "gone.png"], batch=1)
    assert next(results).score == pytest.approx(judge.inspect(images[0]).score, abs=1e-4)
    with pytest.raises(InputError, match=r"gone.png"):
        next(results)


def test_a_very_wide_image_is_judged(judge: Inspector) -> None:
    result = judge.inspect(np.full((40, 20_000, 3), 90, np.uint8))
    assert result.verdict is Verdict.NG
    assert result.heatmap.shape == (40, 20_000)
    assert result.warnings


# Fail closed


def _edited(recipe: Recipe, name: str, value: float) -> Recipe:
    """The recipe with all values of one of its numbers replaced."""
    model = onnx.load_from_string(recipe.data)
    (number,) = [entry for entry in model.graph.initializer if entry.name == name]
    array = np.full_like(numpy_helper.to_array(number), value)
    number.CopyFrom(numpy_helper.from_array(array, name))
    return replace(recipe, data=model.SerializeToString())


@pytest.mark.parametrize("number", ["score_centres", "fine_centre", "bank_fine"])
def test_a_score_that_is_no_number_is_ng(number: str, recipe: Recipe, images: list[NDArray[np.uint8]]) -> None:
    result = Inspector(_edited(recipe, number, float("nan")), threads=1).inspect(images[0])
    assert not np.isfinite(result.score)
    assert result.verdict is Verdict.NG
    json.dumps(result.to_json(), allow_nan=False)
    assert result.overlay().image.shape == images[0].shape


@pytest.mark.parametrize("value", [float("inf"), float("-inf")])
def test_an_infinite_score_is_ng(value: float, recipe: Recipe, images: list[NDArray[np.uint8]]) -> None:
    result = Inspector(_edited(recipe, "score_centres", value), threads=1).inspect(images[0])
    assert result.verdict is Verdict.NG


# Recipes that do not fit


def test_a_graph_that_does_not_fit_its_card_is_refused(recipe: Recipe) -> None:
    model = onnx.load_from_string(recipe.data)
    (entry,) = [entry for entry in model.metadata_props if entry.key == METADATA_KEY]
    entry.value = recipe.card.model_copy(update={"width": recipe.card.width + 32}).model_dump_json()
    with pytest.raises(RecipeError, match=r"does not take the uint8 images of its card. Train it again"):
        Inspector(Recipe(model.SerializeToString(), recipe.card))


def test_a_graph_without_an_output_is_refused(recipe: Recipe) -> None:
    model = onnx.load_from_string(recipe.data)
    (output,) = [output for output in model.graph.output if output.name == "p_value"]
    model.graph.output.remove(output)
    with pytest.raises(RecipeError, match=r"lacks the outputs \['p_value'\]"):
        Inspector(Recipe(model.SerializeToString(), recipe.card))


def test_a_file_that_is_no_recipe_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.onnx"
    path.write_text("buy milk")
    with pytest.raises(RecipeError, match="not a valid ONNX file") as error:
        Inspector(path)
    assert str(error.value).startswith(str(path))


@pytest.mark.parametrize(
    ("change", "lacking"),
    [
        ({"types": ("crack",), "recognition": Recognition(exclusive=True)}, "defect_map.*type_logits"),
        ({"types": ("crack",)}, "type_logits"),
        ({"recognition": Recognition(exclusive=False, boxes=True)}, "box_scores"),
        ({"grades": ("A", "B")}, "grade"),
    ],
)
def test_a_card_that_promises_what_the_graph_lacks_is_refused(
    change: dict[str, Any], lacking: str, recipe: Recipe
) -> None:
    """Such a recipe would say OK of parts whose defect it is said to recognise."""
    card = recipe.card.model_copy(update=change)
    with pytest.raises(RecipeError, match=f"lacks the outputs.*{lacking}.*that its card promises"):
        Inspector(Recipe(with_card(onnx.load_from_string(recipe.data), card), card), threads=1)
