"""A dataset as people have it: with every kind of bad file in it, training and evaluation go on and tell."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

import sightline
from sightline.cli import console
from sightline.core.errors import InputError
from sightline.core.result import Verdict
from sightline.data.curation.check import write_table
from sightline.data.curation.image_statistics import read_statistics
from sightline.data.dataset import Dataset
from sightline.data.export import export
from sightline.evaluate.evaluation import Evaluation
from sightline.evaluate.report.report import write_report
from sightline.imaging.image import content_hash
from sightline.operations import inspection
from sightline.runtime.inspector import Inspector
from sightline.runtime.recipe import Recipe
from sightline.store.store import Store
from sightline.train.images.loader import TrainingWarning

Picture = np.ndarray


def _encoded(picture: Picture, format: str, mode: str = "RGB", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Pillow.fromarray(picture).convert(mode).save(buffer, format, **options)
    return buffer.getvalue()


def _turned(picture: Picture) -> bytes:
    exif = Pillow.Exif()
    exif[0x112] = 6  # the file lies on its side, and says so
    return _encoded(np.ascontiguousarray(np.rot90(picture)), "jpeg", quality=95, exif=exif)


def _deep(picture: Picture) -> bytes:
    buffer = io.BytesIO()
    Pillow.fromarray(picture[..., 0].astype(np.uint16) * 257).save(buffer, "png")
    return buffer.getvalue()


def _half(data: bytes) -> bytes:
    return data[: len(data) // 2]


# What no training can use, and what is said about it.
USELESS: dict[str, tuple[Callable[[Picture], bytes], str]] = {
    "empty.png": (lambda picture: b"", "the file is empty"),
    "text.png": (lambda picture: b"please add photos here", "the file holds text"),
    "noise.jpg": (lambda picture: np.random.default_rng(0).bytes(3000), "not a readable image"),
    "cut off.png": (lambda picture: _half(_encoded(picture, "png")), "cut off: its end is missing"),
    "cut off.jpg": (lambda picture: _half(_encoded(picture, "jpeg")), "cut off: its end is missing"),
    "one pixel.png": (lambda picture: _encoded(picture[:1, :1], "png"), "too small to inspect"),
    "very wide.png": (
        lambda picture: _encoded(np.zeros((40, 20_000, 3), np.uint8), "png"),
        "far larger than the other",
    ),
}
# What is used, with a warning or without one.
ODD: dict[str, tuple[Callable[[Picture], bytes], str | None]] = {
    "16 bits.png": (_deep, None),
    "alpha.png": (lambda picture: _encoded(picture, "png", "RGBA"), None),
    "grey.png": (lambda picture: _encoded(picture, "png", "L"), None),
    "palette.png": (lambda picture: _encoded(picture, "png", "P"), None),
    "cmyk.jpg": (lambda picture: _encoded(picture, "jpeg", "CMYK", quality=95), None),
    "on its side.jpg": (_turned, None),
    "Gehäuse 部品 (1).webp": (lambda picture: _encoded(picture, "webp", quality=95), None),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, draw: Any, write: Any) -> Path:
    """An MVTec folder with every bad and odd file on both sides, and masks of which only one fits."""
    folder = tmp_path_factory.mktemp("as people have it") / "Blech – Linie 3"
    for i in range(10):
        write(folder / f"train/good/{i}.png", draw(i)[0])
    for i in range(4):
        write(folder / f"test/good/{i}.png", draw(50 + i)[0])
        image, mask = draw(60 + i, flawed=True)
        write(folder / f"test/stain/{i}.png", image)
        write(folder / f"ground_truth/stain/{i}_mask.png", mask)
    write(folder / "ground_truth/stain/1_mask.png", np.full((64, 64), 255, np.uint8))
    write(folder / "ground_truth/stain/2_mask.png", np.zeros((96, 128), np.uint8))
    (folder / "ground_truth/stain/3_mask.png").write_bytes(b"no mask")
    for number, (name, (make, _)) in enumerate({**USELESS, **ODD}.items()):
        for place, seed in (("train/good", 200), ("test/good", 300)):
            (folder / place / name).write_bytes(make(draw(seed + number)[0]))
    (folder / "train/good/again.png").write_bytes((folder / "train/good/0.png").read_bytes())
    (folder / "train/good/notes.txt").write_text("no image by its name: passed over")
    return folder


@pytest.fixture(scope="module")
def trained(folder: Path, train_tiny: Callable[..., Recipe]) -> tuple[Recipe, list[str]]:
    """The recipe, and the warnings of its training."""
    with pytest.warns(TrainingWarning) as caught:
        recipe = train_tiny(Dataset.open(folder))
    assert all(issubclass(entry.category, TrainingWarning) for entry in caught)
    texts = [str(entry.message) for entry in caught]
    # The odd files do look like no other good part, and being named for that is right.
    return recipe, [text for text in texts if not text.startswith("an outlier")]


@pytest.fixture(scope="module")
def evaluation(folder: Path, trained: tuple[Recipe, list[str]]) -> Evaluation:
    result = sightline.evaluate(trained[0], Dataset.open(folder).test)  # type: ignore[operator]
    assert isinstance(result, Evaluation)
    return result


# Training


@pytest.mark.parametrize("name", USELESS)
def test_a_useless_file_is_left_out_by_name(name: str, folder: Path, trained: tuple[Recipe, list[str]]) -> None:
    path = folder / "train/good" / name
    (warning,) = [text for text in trained[1] if str(path) in text]
    assert warning.startswith("left out: ")
    assert USELESS[name][1] in warning


@pytest.mark.parametrize("name", ODD)
def test_an_odd_file_is_learned_from(name: str, folder: Path, trained: tuple[Recipe, list[str]]) -> None:
    path = folder / "train/good" / name
    said = [text for text in trained[1] if str(path) in text]
    expected = ODD[name][1]
    assert len(said) == (expected is not None)
    assert expected is None or expected in said[0]
    assert content_hash(path) in trained[0].card.trained_on


def test_a_copy_counts_once(folder: Path, trained: tuple[Recipe, list[str]]) -> None:
    assert any("again.png" in text and "is the same picture as" in text for text in trained[1])
    assert len(trained[0].card.trained_on) == len(set(trained[0].card.trained_on)) == 10 + len(ODD)


def test_nothing_else_is_said_and_nothing_about_test_images(folder: Path, trained: tuple[Recipe, list[str]]) -> None:
    warned = [name for name, (_, said) in ODD.items() if said is not None]
    depth = [text for text in trained[1] if text.startswith("1 of ") and "16 bits per channel" in text]
    assert len(depth) == 1  # for the set, not for each file
    assert len(trained[1]) == len(USELESS) + len(warned) + len(depth) + 1
    assert not any(str(folder / "test") in text for text in trained[1])


def test_a_stray_does_not_change_the_recipes_input(trained: tuple[Recipe, list[str]]) -> None:
    card = trained[0].card
    assert (card.width, card.height, card.scale, card.border) == (128, 96, 1.0, 0.0)


def test_the_recipe_still_tells_good_from_bad(folder: Path, trained: tuple[Recipe, list[str]]) -> None:
    inspector = Inspector(trained[0], threads=1)
    stained, good = (
        [inspector.inspect(folder / f"test/{kind}/{i}.png") for i in range(4)] for kind in ("stain", "good")
    )
    assert min(result.score for result in stained) > max(result.score for result in good)
    assert all(result.verdict is Verdict.OK for result in good)


# Evaluation


def test_every_useless_file_is_a_failure_with_a_remedy(folder: Path, evaluation: Evaluation) -> None:
    failures = {failure.path.name: failure for failure in evaluation.failures}
    assert set(failures) == set(USELESS) - {"very wide.png"}
    for name, failure in failures.items():
        assert str(folder / "test/good" / name) in failure.message
        assert USELESS[name][1] in failure.message
        assert failure.verdict is Verdict.NG


def test_odd_files_are_judged_with_their_warnings(evaluation: Evaluation) -> None:
    judged = {image.path.name: image for image in evaluation.images}
    assert set(ODD) <= set(judged)
    assert judged["16 bits.png"].warnings == ()  # the recipe knows which value is white
    assert "far from the recipe's" in judged["very wide.png"].warnings[0]
    assert judged["very wide.png"].verdict is Verdict.NG


def test_unreadable_parts_count_as_ng(evaluation: Evaluation) -> None:
    assert evaluation.n_good == 4 + len(ODD) + len(USELESS)
    assert evaluation.overkills is not None
    assert evaluation.overkills.of == evaluation.n_good
    assert evaluation.overkills.count >= len(evaluation.failures)


def test_masks_that_do_not_fit_are_named_and_passed_over(folder: Path, evaluation: Evaluation) -> None:
    used = [image.path.name for image in evaluation.images if image.mask is not None]
    assert used == ["0.png"]
    assert evaluation.regions == 1
    notes = "\n".join(evaluation.notes)
    masks = folder / "ground_truth/stain"
    wrong = f"{masks / '1_mask.png'}: a mask of 64 x 64 px for a picture of 128 x 96 px, which has another shape"
    assert wrong in notes
    assert f"The mask {masks / '2_mask.png'} of a defective image marks nothing." in notes
    assert f"{masks / '3_mask.png'}: not a readable image" in notes
    assert "save it as PNG, 0 for good and 255 for the defect" in notes
    assert evaluation.pixel_auroc is not None and evaluation.pixel_auroc > 0.9


def test_the_figures_are_plain_json_and_text(evaluation: Evaluation) -> None:
    values = json.loads(json.dumps(evaluation.to_json(), allow_nan=False))
    assert values["n_failed"] == len(USELESS) - 1
    assert "could not be inspected" in str(evaluation)


# Nothing but bad files


def test_a_folder_of_bad_files_alone_says_so(tmp_path: Path, train_tiny: Callable[..., Recipe]) -> None:
    (tmp_path / "good").mkdir()
    for i in range(8):
        (tmp_path / f"good/{i}.png").write_bytes(b"no image %d" % i)
    with pytest.raises(InputError, match=r"none of the training images can be read"):
        train_tiny(Dataset.open(tmp_path, split=False))


def test_a_wrong_folder_says_what_was_found_and_expected(tmp_path: Path) -> None:
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday/1.jpg").write_bytes(b"")
    with pytest.raises(
        InputError, match=r"no dataset layout recognised. Found: holiday/. If one of these folders .*call it good/. Exp"
    ):
        Dataset.open(tmp_path)


def test_an_evaluation_of_bad_files_alone_says_so(tmp_path: Path, recipe: Recipe) -> None:
    (tmp_path / "good").mkdir()
    (tmp_path / "good/1.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"None of the 1 samples can be evaluated: 1 could not be read"):
        sightline.evaluate(recipe, Dataset.open(tmp_path, split=False))  # type: ignore[operator]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_in_old_encodings_go_through_everything(
    tmp_path: Path, train_tiny: Any, parts_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As old Windows shares leave them on Linux: bytes in Latin-1, of which UTF-8 and OpenCV know nothing."""
    folder = tmp_path / os.fsdecode(b"f\xfcr die Linie")
    for kind, name in (("good", b"gepr\xfcft"), ("stain", b"besch\xe4digt")):
        (folder / kind).mkdir(parents=True)
        for number, image in enumerate(sorted((parts_folder / f"images/{kind}").iterdir())):
            shutil.copy(image, folder / kind / os.fsdecode(name + b"%d.png" % number))
    (folder / "stain").rename(folder / os.fsdecode(b"R\xf6tung"))
    dataset = Dataset.open(folder)
    assert {kind for sample in dataset for kind in sample.types} == {"Rötung"}
    again = train_tiny(dataset.train)
    assert again.card.product == "für die Linie"
    recipe_file = again.save(tmp_path / "r.onnx")
    evaluation = sightline.evaluate(again, dataset)  # type: ignore[operator]
    assert "besch" in write_report(evaluation, tmp_path / "report.html").read_text("utf-8")
    results = list(inspection.inspect(inspection.Judging(recipe_file), [folder], tmp_path / "overlays"))
    assert len(list((tmp_path / "overlays").rglob("*.png"))) == len(results) == 20
    (told,) = inspection.explain(recipe_file, [dataset.samples[0].path], tmp_path / "why.png", threads=1)
    assert (tmp_path / "why.png").stat().st_size and told["verdict"]
    statistics = read_statistics(dataset.samples, None, root=folder)
    assert {name[:4] for name in statistics.names} == {"good", "Rötu"}
    assert len(list((export(dataset, tmp_path / "again", "labelme")).rglob("geprüft*.json"))) > 3
    with Store.open(f"sqlite:///{tmp_path / 's.db'}", str(tmp_path / "images")) as store:
        assert store.add(dataset.samples, "caps", root=folder).added == 20
    with pytest.raises(InputError, match=r"not UTF-8. Rename the images"):
        write_table(dataset.samples, tmp_path / "table.csv")
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="cp1252"))
    console.take_any_letter()
    console.say(f"{results[0]['image']} ✓ \x1b[2K")
    sys.stdout.flush()
    shown = sys.stdout.buffer.getvalue()  # type: ignore[attr-defined]
    assert b"\\u2713" in shown and b"\\u001b[2K" in shown and b"\x1b" not in shown
