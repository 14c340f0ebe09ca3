"""Why a part got its verdict: the nearest good patch, class maps, contributions, words, and one picture."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest

import sightline
from sightline.core.card import CROP_PX, EXPLANATION_KEY, MAX_CROPS
from sightline.core.errors import RecipeError
from sightline.core.result import Verdict
from sightline.core.sample import Sample
from sightline.evaluate.explain.explaining import NO_MEMORY_CROPS, Explainer, read_explanation_data
from sightline.evaluate.explain.inner_values import Probe, pictures, with_outputs
from sightline.runtime.recipe import Recipe
from sightline.runtime.session import OnnxSession

SETTINGS = {"side_px": 112, "bank_size": 256, "sample_patches": 4000, "threads": 1, "synthetic": 0}


@pytest.fixture(scope="module")
def flawed(draw: Any) -> np.ndarray:
    return np.asarray(draw(901, True)[0])


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory, draw: Any, write: Any) -> Recipe:
    folder = tmp_path_factory.mktemp("graded")
    samples = []
    for number in range(26):
        bad = number >= 16
        image, mask = draw(1500 + number, bad)
        path, marked = write(folder / f"{number}.png", image), write(folder / f"{number}_mask.png", mask)
        samples.append(Sample(path, bad, ("spot",) if bad else (), mask=marked if bad else None, grade=int(bad)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return sightline.train(samples, **SETTINGS)


@pytest.fixture(scope="module")
def explainer(recipe: Recipe) -> Explainer:
    return Explainer(recipe, threads=1)


def stripped(recipe: Recipe) -> Recipe:
    """The recipe as one without evidence, as older ones are."""
    model = onnx.load_from_string(recipe.data)
    kept = [prop for prop in model.metadata_props if prop.key != EXPLANATION_KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    return Recipe(model.SerializeToString(), recipe.card)


def test_the_hottest_place_is_the_flaw_and_the_good_patch_has_none(
    explainer: Explainer, draw: Any, flawed: np.ndarray
) -> None:
    found = explainer.explain(flawed)
    y, x = np.argwhere(draw(901, True)[1]).mean(0)
    patch = found.patches[0]
    assert np.hypot(patch.centre[0] - x, patch.centre[1] - y) < 12
    assert patch.good is not None and patch.source.endswith(".png")
    yellow = [int((view[..., :2].min(2).astype(int) - view[..., 2] > 60).sum()) for view in (patch.view, patch.good)]
    assert yellow[0] > 500 > 50 > yellow[1]
    assert patch.distance > 1.5 * patch.typical


def test_distances_are_those_to_the_bank(explainer: Explainer, recipe: Recipe, flawed: np.ndarray) -> None:
    probe = Probe(recipe.data, [("fine_keys", "fine_entries", "fine_map"), ("bank_fine",), ("no_such_value",)], 1)
    outputs = probe.run(np.asarray(cv2.resize(flawed, (recipe.card.width, recipe.card.height)), np.uint8))
    patch = explainer.explain(flawed).patches[0]
    keys, bank = outputs["fine_keys"][:, :-1], outputs["bank_fine"]
    distances = np.linalg.norm(keys[:, None] - bank[None], axis=2).min(1)
    assert np.abs(distances - patch.distance).min() < 1e-2
    assert "no_such_value" not in outputs


def test_the_crops_show_training_images_within_its_bounds(recipe: Recipe, parts: Any) -> None:
    memory_crops = read_explanation_data(recipe).memory_crops
    assert memory_crops is not None and 0 < len(memory_crops.entries) <= MAX_CROPS
    assert len(memory_crops.jpeg) < 2**20 and max(memory_crops.entries) < recipe.card.bank
    assert set(memory_crops.sources) <= {sample.path.name for sample in parts}
    assert all(0 <= x <= 1 and 0 <= y <= 1 for x, y in memory_crops.centres)
    # A crop shows what lies at its place of its image.
    crops, found = pictures(memory_crops), []
    for number in range(0, len(crops), 40):
        path = next(s.path for s in parts if s.path.name == memory_crops.sources[memory_crops.source[number]])
        image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        x, y = (np.array(memory_crops.centres[number]) * image.shape[1::-1]).astype(int)
        near = image[max(0, y - 3) : y + 4, max(0, x - 3) : x + 4].mean((0, 1))
        middle = crops[number][CROP_PX // 2 - 2 : CROP_PX // 2 + 3, CROP_PX // 2 - 2 : CROP_PX // 2 + 3].mean((0, 1))
        found.append(float(np.abs(near - middle).mean()))
    assert np.median(found) < 15


def test_types_grades_and_words(graded: Recipe, flawed: np.ndarray) -> None:
    found = Explainer(graded, threads=1).explain(flawed)
    assert found.inspection.verdict is not Verdict.OK
    assert list(found.class_maps) == ["spot"]
    share = cv2.resize(found.class_maps["spot"], flawed.shape[1::-1])
    assert share[flawed[..., 2] < 60].mean() > 5 * share.mean()
    assert found.contributions is not None and found.quality is not None
    text = " ".join(found.sentences)
    assert f"{found.inspection.score:.2f}" in text and "held-out good parts" in text and "spot" in text
    assert "Grade" in text
    assert found.to_json()["explanation"] == text


def test_contributions_add_up_to_what_the_graph_grades_by(graded: Recipe, flawed: np.ndarray) -> None:
    found = Explainer(graded, threads=1).explain(flawed)
    session = OnnxSession(with_outputs(graded.data, ["known_quality"]), 1)
    from sightline.runtime.letterbox import fit_letterbox, prepare

    card = graded.card
    where = fit_letterbox(flawed.shape[:2], (card.height, card.width), card.roi, card.scale)
    expected = session.run({"image": prepare(flawed, where)[None]})["known_quality"]
    assert found.quality == pytest.approx(float(expected.ravel()[0]), abs=2e-3)


def test_an_older_recipe_is_explained_without_the_good_patch(recipe: Recipe, flawed: np.ndarray) -> None:
    found = Explainer(stripped(recipe), threads=1).explain(flawed)
    assert NO_MEMORY_CROPS in found.notes and found.patches[0].good is None
    assert found.inspection.score == Explainer(recipe, threads=1).explain(flawed).inspection.score
    assert found.picture().image.shape[1] == 1240


def test_the_picture_is_one_sheet_and_grows_with_what_is_shown(
    explainer: Explainer, recipe: Recipe, flawed: np.ndarray
) -> None:
    plain = explainer.explain(flawed)
    more = Explainer(recipe, 1, lambda image: (np.eye(4, dtype=np.float32), ""))
    assert plain.picture().image.dtype == np.uint8
    with_attention = more.explain(flawed)
    assert with_attention.attention is not None and plain.attention is None
    assert with_attention.picture().image.shape[0] >= plain.picture().image.shape[0]


def test_damaged_evidence_is_an_error_with_a_remedy(recipe: Recipe) -> None:
    model = onnx.load_from_string(recipe.data)
    next(prop for prop in model.metadata_props if prop.key == EXPLANATION_KEY).value = '{"atlas": 3}'
    with pytest.raises(RecipeError, match="Train or copy it again"):
        Explainer(Recipe(model.SerializeToString(), recipe.card))


def test_teaching_and_saving_keep_the_evidence(recipe: Recipe, tmp_path: Path) -> None:
    from sightline.train.export.graph import with_card

    again = with_card(onnx.load_from_string(recipe.data), recipe.card)
    assert read_explanation_data(Recipe(again, recipe.card)) == read_explanation_data(recipe)


def test_the_public_door(recipe_file: Path, flawed: np.ndarray, tmp_path: Path) -> None:
    found = sightline.explain(recipe_file, flawed, threads=1)
    saved = found.picture().save(tmp_path / "why.jpg")
    assert cv2.imread(str(saved)).shape[1] == 1240
