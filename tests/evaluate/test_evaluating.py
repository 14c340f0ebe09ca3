"""Evaluations: every figure of a lot with a known answer, and everything that can be missing from one."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import sightline
from sightline.core.card import METADATA_KEY, Card
from sightline.core.errors import InputError, MissingExtraError
from sightline.core.region import Region, Runs
from sightline.core.result import Verdict
from sightline.core.sample import Sample
from sightline.data.dataset import Dataset
from sightline.evaluate.evaluating import evaluate
from sightline.evaluate.statistics.intervals import upper_bound
from sightline.evaluate.trial import latency
from sightline.imaging.image import content_hash
from sightline.imaging.mask import read_mask
from sightline.runtime.inspector import Inspector
from sightline.runtime.recipe import Recipe

ASKED = (
    *("image_auroc", "image_ap", "f1_max", "pixel_auroc", "aupro", "aupro_05"),
    *("escape", "escape_upper", "overkill", "overkill_upper", "ms_p50", "ms_p99"),
)


def test_figures_of_a_known_lot(inspector: Any, lot: list[Sample]) -> None:
    observed: list[tuple[int, int]] = []
    found = evaluate(inspector, lot, progress=lambda done, total: observed.append((done, total)))
    assert (found.n_good, found.n_defective, found.left_out_unlabelled) == (6, 5, 1)
    assert (found.escape, found.escape_upper) == (0.2, upper_bound(1, 5))
    assert found.overkill == pytest.approx(1 / 6)
    assert found.overkill_upper == upper_bound(1, 6)
    assert (found.reviews.count, found.reviews.of) == (2, 11)
    assert found.count(Verdict.OK, defective=False) == 4
    # Of 6 x 5 pairs three are out of order: dent_ok against review and NG, dent_review against NG.
    assert found.image_auroc == pytest.approx(27 / 30)
    # Calling all from dent_ok up defective finds 5 of 5 among 7 calls.
    assert (found.f1_max, found.f1_threshold) == pytest.approx((10 / 12, 1.0), abs=0.2)
    assert found.f1_max == pytest.approx(10 / 12)
    assert observed == [(done, 12) for done in range(1, 13)]


def test_pixel_metrics_see_the_patch_and_the_hot_good_part(inspector: Any, lot: list[Sample]) -> None:
    found = evaluate(inspector, lot)
    assert found.regions == 4
    # The patches of two good parts are 4 % of the normal pixels; one is hotter than the dent's.
    assert found.pixel_auroc is not None and 0.97 < found.pixel_auroc < 1.0
    assert found.aupro is not None and found.aupro_05 is not None
    assert 0.5 < found.aupro_05 < found.aupro < 1.0
    assert "1 defective image has no mask and takes no part in the pixel metrics." in found.notes
    clean = evaluate(inspector, [s for s in lot if s.path.stem not in ("good_ng", "good_review")])
    assert clean.aupro_05 is not None and clean.aupro_05 > found.aupro_05


def test_times_leave_the_warm_up_out(inspector: Any, lot: list[Sample]) -> None:
    found = evaluate(inspector, lot)
    assert found.timed == 10
    assert found.ms_p50 == pytest.approx(16.5)
    assert found.ms_p99 is not None and found.ms_p99 < 22
    assert latency([5.0]).p50 is None


def test_types_have_their_own_figures(inspector: Any, lot: list[Sample]) -> None:
    dent, scratch = evaluate(inspector, lot).types
    assert (dent.name, dent.escapes.count, dent.escapes.of, dent.review) == ("dent", 1, 2, 1)
    assert dent.escapes.upper == upper_bound(1, 2)
    assert dent.auroc == pytest.approx(9 / 12)
    assert (scratch.name, scratch.escapes.count, scratch.escapes.of, scratch.auroc) == ("scratch", 0, 3, 1.0)


def test_json_is_flat_and_has_what_is_asked_for(inspector: Any, lot: list[Sample]) -> None:
    found = evaluate(inspector, lot).to_json()
    assert all(isinstance(found[key], float) for key in ASKED)
    assert found["types"][0]["escaped"] == 1
    json.dumps(found, allow_nan=False)


def test_images_the_recipe_was_made_from_are_left_out(inspector: Any, card: Card, lot: list[Sample]) -> None:
    trained = tuple(content_hash(sample.path) for sample in lot[:2])
    inspector.card = card.model_copy(update={"trained_on": trained})
    found = evaluate(inspector, lot)
    assert (found.n_good, found.left_out_trained) == (4, 2)
    assert any("2 images left out" in note for note in found.notes)
    kept = evaluate(inspector, lot, include_trained=True)
    assert (kept.n_good, kept.left_out_trained, kept.trained_included) == (6, 0, 2)
    assert "optimistic" in kept.notes[0]


def test_unreadable_images_are_ng_and_have_no_score(inspector: Any, lot: list[Sample], tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG no more")
    plain = evaluate(inspector, lot)
    found = evaluate(
        inspector,
        [Sample(broken, True, types=("dent",)), *lot, Sample(tmp_path / "gone.png", False)],
    )
    assert [failure.path.name for failure in found.failures] == ["broken.png", "gone.png"]
    assert "broken.png" in found.failures[0].message
    assert (found.escapes and found.escapes.count, found.escapes and found.escapes.of) == (1, 6)
    assert (found.overkills and found.overkills.count, found.overkills and found.overkills.of) == (2, 7)
    assert found.image_auroc == plain.image_auroc
    assert found.types[0].escapes.of == 3
    assert any("2 images could not be inspected" in note for note in found.notes)


def test_a_broken_engine_stops_the_trial(inspector: Any, lot: list[Sample]) -> None:
    def fail(source: Path) -> None:
        raise RuntimeError(f"engine broke at {source.name}")

    inspector.inspect = fail
    with pytest.raises(RuntimeError, match="engine"):
        evaluate(inspector, lot)


def test_without_defective_parts_escape_is_none(inspector: Any, lot: list[Sample]) -> None:
    found = evaluate(inspector, [sample for sample in lot if sample.defective is False])
    assert (found.escape, found.escape_upper, found.image_auroc, found.pixel_auroc) == (None,) * 4
    assert found.overkill_upper is not None
    assert found.to_json()["escape_upper"] is None
    assert any("escape cannot be stated" in note for note in found.notes)
    assert any("AUPRO cannot be computed" in note for note in found.notes)
    assert "–" in str(found)


def test_without_good_parts_overkill_is_none(inspector: Any, lot: list[Sample]) -> None:
    found = evaluate(inspector, [sample for sample in lot if sample.defective])
    assert (found.overkill, found.overkill_upper, found.types[0].auroc) == (None, None, None)
    assert found.aupro is not None
    assert any("overkill cannot be stated" in note for note in found.notes)


@pytest.mark.parametrize("fault", ["size", "empty", "unreadable", "gone"])
def test_a_mask_that_cannot_be_used_leaves_its_image_out_of_pixel_metrics(
    inspector: Any, lot: list[Sample], fault: str
) -> None:
    mask = lot[6].mask
    assert mask is not None
    shape = (20, 20) if fault == "size" else (48, 64)
    if fault == "gone":
        mask.unlink()
    elif fault == "unreadable":
        mask.write_text("no image")
    else:
        cv2.imwrite(str(mask), np.full(shape, 255 if fault == "size" else 0, np.uint8))
    found = evaluate(inspector, lot)
    assert found.regions == 3
    note = next(note for note in found.notes if str(mask) in note)
    assert f". {lot[6].path} is left out of the pixel metrics." in note
    assert (found.n_defective, len(found.images)) == (5, 11)


def test_large_images_are_compared_at_1024_px_and_hairlines_survive(inspector: Any, tmp_path: Path) -> None:
    image, mask = np.full((300, 3000), 100, np.uint8), np.zeros((300, 3000), np.uint8)
    image[100:140, 1000:1200], mask[120, 1000:1200] = 250, 255
    cv2.imwrite(str(tmp_path / "a.png"), image)
    cv2.imwrite(str(tmp_path / "m.png"), mask)
    found = evaluate(inspector, [Sample(tmp_path / "a.png", True, mask=tmp_path / "m.png")])
    assert found.regions == 1
    assert found.aupro is not None and found.aupro > 0.9
    assert found.ms_p50 is None


def test_copies_and_groups_are_pointed_out(inspector: Any, lot: list[Sample]) -> None:
    grouped = [replace(sample, group="tile 1") for sample in lot]
    notes = evaluate(inspector, [*grouped, grouped[0]]).notes
    assert any("1 image repeated" in note for note in notes)
    assert any("only 1 groups" in note for note in notes)


def test_nothing_to_evaluate_is_an_error_with_the_reason(inspector: Any, card: Card, lot: list[Sample]) -> None:
    with pytest.raises(InputError, match="no sample"):
        evaluate(inspector, [])
    with pytest.raises(InputError, match="1 carry no label"):
        evaluate(inspector, lot[-1:])
    inspector.card = card.model_copy(update={"trained_on": (content_hash(lot[0].path),)})
    with pytest.raises(InputError, match="include_trained"):
        evaluate(inspector, lot[:1])


def test_the_table_shows_every_rate_with_sample_and_bound(inspector: Any, lot: list[Sample]) -> None:
    text = str(evaluate(inspector, lot))
    rows = {line.split()[0]: line for line in text.splitlines() if line.strip()}
    assert "1 of 5" in rows["Escape"] and "20.0 %" in rows["Escape"] and "65.7 %" in rows["Escape"]
    assert "1 of 6" in rows["Overkill"] and "16.7 %" in rows["Overkill"]
    assert "0 of 3" in rows["scratch"] and "63.2 %" in rows["scratch"]
    assert max(map(len, text.splitlines())) <= 78


def brightness_recipe(card: Card) -> Recipe:
    """A real recipe file that scores as BrightInspector does."""
    shape: list[str | int | None] = ["n", card.height, card.width, 3]
    nodes = [
        helper.make_node("Cast", ["image"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["wide", "last"], ["grey"], keepdims=0),
        helper.make_node("Sub", ["grey", "base"], ["above"]),
        helper.make_node("Div", ["above", "ten"], ["levels"]),
        helper.make_node("Unsqueeze", ["levels", "one"], ["planes"]),
        helper.make_node("AveragePool", ["planes"], ["cells"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Squeeze", ["cells", "one"], ["heatmap"]),
        helper.make_node("ReduceMax", ["heatmap", "rest"], ["score"], keepdims=0),
        helper.make_node("Exp", ["score"], ["p_value"]),
        helper.make_node("ReduceMean", ["heatmap", "last2"], ["embedding"], keepdims=0),
        helper.make_node("Mul", ["embedding", "nothing"], ["ood"]),
    ]
    numbers = {"last": [3], "one": [1], "rest": [1, 2], "last2": [2]}
    constants = [helper.make_tensor(k, TensorProto.INT64, [len(v)], v) for k, v in numbers.items()]
    constants += [
        helper.make_tensor(k, TensorProto.FLOAT, [], [v]) for k, v in (("base", 100.0), ("ten", 10.0), ("nothing", 0.0))
    ]
    outputs: dict[str, list[str | int | None]] = {
        "score": ["n"],
        "p_value": ["n"],
        "heatmap": ["n", 12, 16],
        "embedding": ["n", 12],
        "ood": ["n", 12],
    }
    graph = helper.make_graph(
        nodes,
        "brightness",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in outputs.items()],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, {METADATA_KEY: card.model_dump_json()})
    onnx.checker.check_model(model)
    return Recipe(model.SerializeToString(), card)


def test_a_path_a_recipe_and_an_inspector_agree_with_the_fake(
    inspector: Any, card: Card, lot: list[Sample], tmp_path: Path
) -> None:
    recipe = brightness_recipe(card)
    path = recipe.save(tmp_path / "caps.onnx")
    expected = evaluate(inspector, lot).to_json()
    for form in (path, str(path), recipe, Inspector(recipe)):
        found = evaluate(form, lot, threads=1).to_json()
        for key in ("image_auroc", "escape", "overkill_upper", "review", "n_regions"):
            assert found[key] == pytest.approx(expected[key])
        assert found["aupro"] == pytest.approx(expected["aupro"], abs=0.02)


def test_a_missing_package_names_the_extra(inspector: Any, lot: list[Sample], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.metrics", None)
    with pytest.raises(MissingExtraError, match=r"scikit-learn.*sightline\[train\]"):
        evaluate(inspector, lot)


def test_importing_loads_nothing_heavy() -> None:
    code = (
        "import sys, sightline.evaluate.evaluation, sightline.evaluate.report.report, sightline.evaluate.report.text\n"
        "heavy = {'torch', 'sklearn', 'scipy', 'matplotlib', 'jinja2'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_polygons_count_as_masks_in_pixel_figures(inspector: Any, lot: list[Sample]) -> None:
    drawn = []
    for sample in lot:
        if sample.mask is None:
            drawn.append(sample)
            continue
        runs = Region("dent", Runs.of(read_mask(sample.mask)))
        drawn.append(replace(sample, mask=None, regions=(runs,)))
    given, found = evaluate(inspector, lot), evaluate(inspector, drawn)
    assert found.regions == given.regions > 0
    assert found.aupro == given.aupro
    assert [note for note in found.notes if "no mask" in note] == [note for note in given.notes if "no mask" in note]


def test_the_pictures_of_one_part_count_once_in_the_bounds(inspector: Any, lot: list[Sample]) -> None:
    alone = evaluate(inspector, lot)
    good = [sample for sample in lot if sample.defective is False]
    grouped = [replace(sample, group=f"part {turn % 3}") for turn, sample in enumerate(good)]
    found = evaluate(inspector, [*grouped, *(sample for sample in lot if sample.defective)])
    assert alone.overkills.of == len(good)
    assert found.overkills.of == 3
    assert found.overkill_upper > alone.overkill_upper
    assert found.escapes == alone.escapes


def test_the_public_verb_takes_paths_of_a_recipe_and_of_data(recipe_file: Path, parts_folder: Path) -> None:
    found = sightline.evaluate(str(recipe_file), str(parts_folder), threads=1)  # type: ignore[operator]
    expected = evaluate(recipe_file, Dataset.open(parts_folder), threads=1)
    assert [part.verdict for part in found.parts] == [part.verdict for part in expected.parts]
    assert found.left_out_trained == expected.left_out_trained > 0
    assert sightline.evaluate(recipe_file, samples=parts_folder).n_good == expected.n_good  # type: ignore[operator]
    with pytest.raises(InputError, match="nowhere"):
        sightline.evaluate(recipe_file, "nowhere")  # type: ignore[operator]
    html = found._repr_html_()
    assert html.startswith("<pre>") and escape(str(found).splitlines()[0]) in html
