"""The command line as its users meet it: real processes, real files, exit codes."""

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from sightline.cli import app
from sightline.core.errors import MissingExtraError

EVALUATE_KEYS = {
    *("image_auroc", "image_ap", "f1_max", "pixel_auroc", "aupro", "aupro_05"),
    *("escape", "escape_upper", "overkill", "overkill_upper", "ms_p50", "ms_p99"),
}
TRAIN_KEYS = {"recipe", "seconds", "images", "width", "height", "bank", "peak_rss_mb"}


def sightline(*arguments, cwd=None):
    command = [sys.executable, "-m", "sightline", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """Good plates with a random texture, and some with a dark spot, as MVTec folders."""
    root = tmp_path_factory.mktemp("data") / "plates with ünicode"
    rng = np.random.default_rng(0)
    for folder, count in (("train/good", 8), ("test/good", 4), ("test/spot", 4)):
        (root / folder).mkdir(parents=True)
        for index in range(count):
            image = rng.normal(150, 12, (96, 96, 3)).clip(0, 255).astype(np.uint8)
            if folder.endswith("spot"):
                cv2.circle(image, (48, 48), 12, (10, 10, 10), -1)
            cv2.imwrite(str(root / folder / f"{index}.png"), image)
    return root


@pytest.fixture(scope="module")
def recipe(parts):
    path = parts.parent / "plates.onnx"
    result = sightline("train", parts, "-o", path, "--set", "side_px=96", "--set", "bank_size=256", "--json")
    assert result.returncode == 0, result.stderr
    figures = json.loads(result.stdout)
    assert figures.keys() >= TRAIN_KEYS
    assert figures["images"] == 8
    assert (figures["width"], figures["height"]) == (96, 96)
    assert figures["bank"] == 256
    return path


def test_evaluate_prints_one_json_object(parts, recipe, tmp_path):
    report = tmp_path / "report.html"
    result = sightline("evaluate", recipe, parts, "--report", report, "--json")
    assert result.returncode == 0, result.stderr
    figures = json.loads(result.stdout)
    assert figures.keys() >= EVALUATE_KEYS
    assert figures["image_auroc"] == 1.0
    assert figures["aupro"] is None  # there are no masks
    assert "<html" in report.read_text()


@pytest.mark.slow
def test_search_prints_one_json_object_and_saves_the_recipe(parts, tmp_path):
    fixed = [word for pair in ("effort=quick", "bank_size=256", "synthetic=0") for word in ("--set", pair)]
    study = ("--study", tmp_path / "study.db", "--report", tmp_path / "search.html")
    options = ("--trials", "1", "--folds", "4", "--backbones", "lite0", *study, *fixed)
    result = sightline("search", parts, "-o", tmp_path / "best.onnx", *options, "--json")
    assert result.returncode == 0, result.stderr
    figures = json.loads(result.stdout)
    assert figures["chosen"] == 0 and figures["synthetic"] is True
    assert (tmp_path / "best.onnx").is_file() and "<html" in (tmp_path / "search.html").read_text()
    other = sightline("search", parts, "-o", tmp_path / "x.onnx", *options, "--escape-price", "9")
    assert (other.returncode, other.stdout) == (1, "")
    assert "other prices" in other.stderr and "Traceback" not in other.stderr
    assert sightline("search", parts, "-o", tmp_path / "x.onnx", "--set", "no_such=1").returncode == 2
    assert sightline("search", parts, "-o", tmp_path / "x.onnx", "--budget", "soon").returncode == 2


def test_evaluate_leaves_out_what_was_trained_on(parts, recipe, tmp_path):
    flat = tmp_path / "flat"
    flat.mkdir()
    (flat / "good").symlink_to(parts / "train" / "good")
    (flat / "spot").symlink_to(parts / "test" / "spot")
    figures = json.loads(sightline("evaluate", recipe, flat, "--json").stdout)
    assert figures["n_good"] == 0
    assert figures["n_defective"] == 4
    assert figures["left_out_trained"] == 8
    asked = json.loads(sightline("evaluate", recipe, flat, "--include-trained", "--json").stdout)
    assert asked["n_good"] == 8


def test_synthesize_writes_a_sheet_of_made_defects(parts, tmp_path):
    sheet = tmp_path / "new" / "sheet.png"
    result = sightline("synthesize", parts, "-o", sheet, "--images", 2, "--json")
    assert result.returncode == 0, result.stderr
    figures = json.loads(result.stdout)
    assert figures["sheet"] == str(sheet)
    assert (figures["images"], figures["donors"], figures["left_out"]) == (2, 0, ["cut and paste"])
    assert min(cv2.imread(str(sheet)).shape[:2]) > 400
    first = sheet.read_bytes()
    assert "nothing to cut and paste" in sightline("synthesize", parts, "-o", sheet, "--images", 2).stdout
    assert sheet.read_bytes() == first
    wrong = sightline("synthesize", parts, "-o", tmp_path / "sheet.doc")
    assert wrong.returncode == 2
    assert "Name it sheet.png" in wrong.stderr


def test_inspect_prints_one_line_per_image_and_ng_is_no_error(parts, recipe, tmp_path):
    good, spot = parts / "test" / "good", parts / "test" / "spot"
    result = sightline("inspect", recipe, good, spot, "--json", "--overlays", tmp_path / "o")
    assert result.returncode == 0, result.stderr
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(lines) == 8
    assert {line["verdict"] for line in lines[4:]} == {"NG"}
    assert all(line["defects"] for line in lines[4:])
    assert {path.parent.name for path in (tmp_path / "o").rglob("*.png")} == {"good", "spot"}
    assert len(list((tmp_path / "o").rglob("*.png"))) == 8
    assert sightline("inspect", recipe, spot, "--fail-on-ng").returncode == 1


def test_an_unreadable_image_is_ng_and_the_others_are_judged(parts, recipe, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_text("not an image")
    result = sightline("inspect", recipe, broken, parts / "test" / "good" / "0.png", "--json")
    assert result.returncode == 1
    first, second = (json.loads(line) for line in result.stdout.splitlines())
    assert first["verdict"] == "NG"
    assert "broken.png" in first["error"]
    assert second["score"] is not None


def test_errors_are_one_line_with_the_right_exit_code(parts, recipe, tmp_path):
    missing = sightline("train", tmp_path / "nowhere", "-o", tmp_path / "x.onnx")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr.startswith("error: ")
    assert "Traceback" not in missing.stderr
    assert sightline("train", parts, "-o", tmp_path / "x.onnx", "--set", "no_such=1").returncode == 2
    assert sightline("train", parts, "-o", tmp_path / "x.onnx", "--effort", "heroic").returncode == 2
    assert sightline("train", parts).returncode == 2
    picture = parts / "test" / "good" / "0.png"
    assert sightline("inspect", picture, picture).returncode == 2  # no recipe: bad usage
    assert not (tmp_path / "x.onnx").exists()


def test_doctor_says_ok_here():
    result = sightline("doctor", "--json")
    assert result.returncode == 0, result.stdout
    assert {check["name"] for check in json.loads(result.stdout)} >= {"python", "onnxruntime", "disk", "clock"}


@pytest.mark.parametrize(
    "command", ["train", "search", "evaluate", "compare", "explain", "inspect", "teach", "synthesize", "demo", "doctor"]
)
def test_every_command_has_an_example(command):
    result = sightline(command, "--help")
    assert result.returncode == 0
    assert f"sightline {command}" in " ".join(result.stdout.split())


@pytest.fixture(scope="module")
def doubtful(recipe):
    """The recipe with a band so wide that every part is left in REVIEW."""
    import onnx

    from sightline.core.result import Band
    from sightline.runtime.recipe import Recipe
    from sightline.train.export.graph import with_card

    card = Recipe.load(recipe).card.model_copy(update={"band": Band(low=-1e6, high=1e6)})
    path = recipe.with_name("doubtful.onnx")
    path.write_bytes(with_card(onnx.load(recipe), card))
    return path


def test_inspect_asks_the_accurate_recipe_about_doubtful_parts_only(parts, recipe, doubtful):
    good, spot = parts / "test" / "good", parts / "test" / "spot"
    alone = sightline("inspect", doubtful, spot, "--json")
    assert {json.loads(line)["verdict"] for line in alone.stdout.splitlines()} == {"REVIEW"}
    result = sightline("inspect", doubtful, good, spot, "--accurate", recipe, "--json")
    assert result.returncode == 0, result.stderr
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert {line["verdict"] for line in lines[4:]} == {"NG"}
    assert {line["judged_by"] for line in lines} == {"accurate"}
    assert all(line["times_ms"]["rejudge"] > 0 for line in lines)
    words = sightline("inspect", doubtful, spot, "--accurate", recipe)
    assert words.stdout.count("(accurate recipe)") == 4
    final = sightline("inspect", recipe, spot, "--accurate", doubtful, "--json")
    assert {json.loads(line)["judged_by"] for line in final.stdout.splitlines()} == {"fast"}


def test_evaluate_measures_two_recipes_together(parts, recipe, doubtful, tmp_path):
    report = tmp_path / "report.html"
    assert json.loads(sightline("evaluate", doubtful, parts, "--json").stdout)["review"] == 1.0
    result = sightline("evaluate", doubtful, parts, "--accurate", recipe, "--report", report, "--json")
    assert result.returncode == 0, result.stderr
    figures = json.loads(result.stdout)
    alone = json.loads(sightline("evaluate", recipe, parts, "--json").stdout)
    for name in ("escape", "escape_upper", "overkill", "overkill_upper", "review", "image_auroc"):
        assert figures[name] == alone[name], name
    assert any("asked about 8 of 8 images" in note for note in figures["notes"])
    assert "measure them with sightline evaluate" in report.read_text()


def test_two_recipes_of_different_products_are_refused(parts, recipe):
    import onnx

    from sightline.runtime.recipe import Recipe
    from sightline.train.export.graph import with_card

    other = recipe.with_name("other.onnx")
    card = Recipe.load(recipe).card.model_copy(update={"product": "washers"})
    other.write_bytes(with_card(onnx.load(recipe), card))
    result = sightline("inspect", recipe, parts / "test" / "good", "--accurate", other)
    assert (result.returncode, result.stdout) == (1, "")
    assert "plates.onnx and" in result.stderr and "other.onnx do not belong together: product" in result.stderr


def test_explain_writes_a_picture_or_a_folder_of_them(parts, recipe, tmp_path):
    image, good = parts / "test" / "spot" / "0.png", parts / "test" / "good" / "0.png"
    one = sightline("explain", recipe, image, "-o", tmp_path / "why.png", "--json")
    assert one.returncode == 0, one.stderr
    told = json.loads(one.stdout)
    assert told["verdict"] != "OK" and told["patches"][0]["source"].endswith(".png") and told["explanation"]
    assert cv2.imread(str(tmp_path / "why.png")).shape[1] == 1240
    several = sightline("explain", recipe, image, good, tmp_path / "none.png", "-o", tmp_path / "why")
    assert several.returncode == 1 and "not judged" in several.stdout
    pictures = sorted(path.relative_to(tmp_path / "why").as_posix() for path in (tmp_path / "why").rglob("*.png"))
    assert pictures == ["good/0-why.png", "spot/0-why.png"]
    refused = sightline("explain", recipe, image, good, "-o", tmp_path / "both.png")
    assert refused.returncode == 1 and "Name a folder" in refused.stderr


def test_compare_says_what_may_be_concluded(parts, recipe, tmp_path):
    result = sightline("compare", recipe, recipe, parts, "--report", tmp_path / "compare.html", "--json")
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    assert (told["n_good"], told["n_defective"], told["changed"]) == (4, 4, [])
    assert told["errors"]["p_value"] == 1.0 and len(told["conclusions"]) == 4
    assert "<html" in (tmp_path / "compare.html").read_text()
    said = sightline("compare", recipe, recipe, parts)
    assert "0 parts changed verdict" in said.stdout


@pytest.mark.parametrize("words", [["demo", "--folder", "/sys/sightline"], ["keys", "/sys/sightline"]])
def test_a_disk_that_takes_nothing_is_said_and_is_no_traceback(words):
    """Nobody, root included, makes a folder there."""
    result = sightline(*words)
    assert result.returncode == 1, result.stderr
    assert "Traceback" not in result.stderr and "/sys/sightline" in result.stderr
    assert "error: " in result.stderr


def test_pictures_on_a_disk_that_takes_nothing(recipe, parts):
    part = next(parts.rglob("*.png"))
    for words in (["inspect", recipe, part, "--overlays"], ["explain", recipe, part, "--output"]):
        result = sightline(*words, "/sys/sightline")
        assert result.returncode == 1, result.stderr
        assert "Traceback" not in result.stderr and "/sys/sightline" in result.stderr


def test_simulate_asks_for_its_extra_before_it_works(tmp_path, monkeypatch):
    monkeypatch.setattr("sightline.operations.line.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"sightline\[modbus\]"):
        CliRunner().invoke(app, ["simulate", "--folder", str(tmp_path / "sim")], catch_exceptions=False)
    assert not (tmp_path / "sim").exists()
