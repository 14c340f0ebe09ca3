"""A recipe exported for devices: each form says what the recipe says, or is not written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from sightline.core.errors import InputError, RecipeError, SettingError
from sightline.core.result import Band, Verdict
from sightline.data.dataset import Dataset
from sightline.evaluate.comparison import Changed, compare
from sightline.evaluate.evaluating import evaluate
from sightline.evaluate.inspected import Failure
from sightline.operations.exporting import MODEL, export
from sightline.operations.recipes import keys, verify
from sightline.runtime.engine_choice import probes
from sightline.runtime.inspector import Inspector
from sightline.runtime.recipe import Recipe
from sightline.runtime.session import TOLERANCE, OnnxSession
from sightline.train.export.agreement import check_agreement, check_equal

if TYPE_CHECKING:
    from tests.conftest import Draw, Train, Write


@pytest.fixture(scope="module")
def static(recipe_file: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    output = tmp_path_factory.mktemp("export") / "static.onnx"
    return output, export(recipe_file, "onnx-static", output)


def test_every_tensor_of_a_static_export_has_its_shape(static: tuple[Path, dict[str, object]], recipe: Recipe) -> None:
    model = onnx.load(static[0])
    assert [value.name for value in model.graph.input] == ["image"]
    values = [*model.graph.input, *model.graph.output, *model.graph.value_info]
    assert all(dim.dim_value > 0 for value in values for dim in value.type.tensor_type.shape.dim)
    card = Recipe.load(static[0]).card
    assert card.provenance.parent == recipe.hash and card.band == recipe.card.band
    assert card.parity is not None and recipe.hash[:16] in card.parity.reference and card.parity.images == 5


def test_a_static_export_judges_many_as_the_recipe_does(
    static: tuple[Path, dict[str, object]], judge: Inspector, parts: Dataset
) -> None:
    paths = [sample.path for sample in parts][:5]
    for one, two in zip(judge.inspect_many(paths), Inspector(static[0], 1).inspect_many(paths), strict=True):
        assert abs(one.score - two.score) <= TOLERANCE and one.verdict is two.verdict
        assert np.abs(one.heat - two.heat).max() <= TOLERANCE * max(1, np.abs(one.heat).max())


@pytest.fixture(scope="module")
def labelled(draw: Draw, write: Write, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("labelled") / "plates"
    for seed in range(44):
        write(folder / f"images/good/{seed:02}.png", draw(seed)[0])
    for seed in range(100, 108):
        write(folder / f"images/stain/{seed}.png", draw(seed, flawed=True)[0])
    return folder


@pytest.fixture(scope="module")
def plain(labelled: Path, train_tiny: Train) -> tuple[Recipe, list[float], list[float]]:
    """A recipe of the first 28 good parts, and the scores of the other good parts and of the defective ones."""
    parts = list(Dataset.open(labelled, split=False))
    good = [part for part in parts if part.defective is False]
    recipe = train_tiny(good[:28])
    inspector = Inspector(recipe, 1)
    others = [part for part in parts if part.defective]
    return recipe, *([inspector.inspect(part.path).score for part in some] for some in (good[28:], others))


def with_limit(recipe: Recipe, limit: float, path: Path) -> Path:
    return recipe.with_card(recipe.card.model_copy(update={"band": Band(low=limit, high=limit)})).save(path)


@pytest.fixture(scope="module")
def clear(plain: tuple[Recipe, list[float], list[float]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One whose limit lies between good and defective parts, far from both."""
    recipe, good, stain = plain
    assert max(good) < min(stain)
    return with_limit(recipe, (max(good) + min(stain)) / 2, tmp_path_factory.mktemp("clear") / "clear.onnx")


def test_an_int8_export_is_evaluated_as_any_recipe(clear: Path, labelled: Path, tmp_path: Path) -> None:
    done = export(clear, "onnx-int8", tmp_path / "int8.onnx", labelled)
    assert done["bytes"] < 0.6 * done["parent_bytes"] and done["good"] + done["defective"] == 24
    kinds = [node.op_type for node in onnx.load(tmp_path / "int8.onnx").graph.node]
    assert kinds.count("QuantizeLinear") > 20
    measured = evaluate(tmp_path / "int8.onnx", Dataset.open(labelled, split=False), threads=1)
    assert measured.image_auroc == pytest.approx(done["auroc"], abs=1e-6)
    with pytest.raises(RecipeError, match="int8 already"):
        export(tmp_path / "int8.onnx", "onnx-int8", tmp_path / "again.onnx", labelled)


def test_what_decides_otherwise_is_refused(plain: tuple[Recipe, list[float], list[float]], labelled: Path) -> None:
    recipe, good, _ = plain
    parts = Dataset.open(labelled, split=False)
    graver = recipe.with_card(recipe.card.model_copy(update={"band": Band(low=min(good) - 1, high=min(good) - 1)}))
    found = compare(recipe, graver, parts)
    with pytest.raises(RecipeError, match=r"parity gate, int8: .*verdicts differ \(10% are allowed.*precision=int8"):
        check_agreement(recipe, found, "int8")
    same = compare(recipe, recipe, parts)
    assert check_agreement(recipe, same, "int8").max_relative_difference == 0
    passed = next(one for one, _ in same.pairs if one.verdict is Verdict.OK)
    caught = next(one for one, _ in same.pairs if one.defective)
    escape = Changed(path=caught.path, defective=True, types=(), first=caught, second=passed)
    with pytest.raises(RecipeError, match="1 defective parts became OK"):
        check_agreement(recipe, replace(same, changed=(escape,)), "int8")
    sides = [tuple(pair for pair in same.pairs if pair[0].defective is side) for side in (False, True)]
    for some in (same.pairs[:3], (), sides[0] * 2, sides[1] * 20):  # too few, none, nothing defective, nothing good
        with pytest.raises(RecipeError, match=r"there are \d+ good and \d+ defective ones\. Give at least 20"):
            check_agreement(recipe, replace(same, pairs=some), "int8")
    with pytest.raises(RecipeError, match="1 parts can no longer be inspected"):
        lost = Failure(path=caught.path, message="damaged", defective=True, types=())
        check_agreement(recipe, replace(same, pairs=(*same.pairs, (caught, lost))), "int8")


def test_what_computes_otherwise_is_refused(recipe: Recipe) -> None:
    session = OnnxSession(recipe.data, 1)
    shown = list(probes(session))

    def other(arrays: dict[str, NDArray[np.uint8]]) -> dict[str, NDArray[np.float32]]:
        return {**(found := session.run(arrays)), "score": found["score"] + np.float32(0.1)}

    assert check_equal(recipe, session.run, session.run, "same", shown).max_relative_difference == 0
    with pytest.raises(RecipeError, match=r"differ from the recipe's by 0\.\d+ \(0\.001"):
        check_equal(recipe, session.run, other, "other", shown)


def test_what_cannot_be_exported_is_named(recipe: Recipe, recipe_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.onnx"
    deep = recipe.with_card(recipe.card.model_copy(update={"full_scale": 65535})).save(tmp_path / "deep.onnx")
    with pytest.raises(RecipeError, match=r"browsers cannot do .*16 bits"):
        export(deep, "web", output)
    with pytest.raises(SettingError, match="Add --data"):
        export(recipe_file, "onnx-int8", output)
    with pytest.raises(SettingError, match="onnx-static"):
        export(recipe_file, "tflite", output)  # type: ignore[arg-type]
    assert not output.exists()


def test_an_openvino_folder_is_checked_as_a_whole(clear: Path, labelled: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="needs the extra openvino")
    keys(tmp_path)
    key, public, folder = tmp_path / "sightline.key", tmp_path / "sightline.pub", tmp_path / "ir"
    done = export(clear, "openvino-int8", folder, labelled, key)
    assert done["signed"] and done["bytes"] < done["parent_bytes"]
    assert verify(folder, public)["product"] == Recipe.load(clear).card.product
    with pytest.raises(RecipeError, match="is required here"):
        verify(folder, public, "another product")
    with pytest.raises(InputError, match="is there already"):
        export(clear, "openvino-int8", folder, labelled)
    data = (folder / MODEL).read_bytes()
    for name, content, why in (
        (MODEL, data[:-1], MODEL),
        ("extra.txt", b"", "extra.txt"),
        ("manifest.json", b"{}", "changed"),
    ):
        before = (folder / name).read_bytes() if (folder / name).exists() else None
        (folder / name).write_bytes(content)
        with pytest.raises(RecipeError, match=why):
            verify(folder, public)
        (folder / name).unlink() if before is None else (folder / name).write_bytes(before)
    (folder / "model.bin").unlink()
    with pytest.raises(RecipeError, match=r"model\.bin"):
        verify(folder, public)
