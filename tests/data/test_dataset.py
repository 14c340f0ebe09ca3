"""A dataset: what may be learned from never meets what judges it."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from sightline.core.errors import InputError
from sightline.core.sample import Sample
from sightline.data.curation.check import check
from sightline.data.curation.findings import Kind
from sightline.data.dataset import Dataset, DatasetWarning
from sightline.imaging.image import content_hash


def _counts(dataset: Dataset) -> Counter[tuple[str | None, bool | None]]:
    return Counter((sample.split, sample.defective) for sample in dataset)


def test_a_folder_is_split_by_label(parts: Dataset) -> None:
    assert _counts(parts) == {("train", False): 10, ("test", False): 4, ("train", True): 4, ("test", True): 2}
    assert (parts.name, parts.layout, parts.given_split) == ("plates", "folders", False)


def test_a_folder_may_be_written_with_a_slash_at_its_end(parts_folder: Path, parts: Dataset) -> None:
    assert list(Dataset.open(f"{parts_folder}/")) == list(parts)


def test_train_and_test_share_nothing_and_lose_nothing(parts: Dataset) -> None:
    train, test = ({sample.path for sample in side} for side in (parts.train, parts.test))
    assert not train & test
    assert train | test == {sample.path for sample in parts}
    assert len(parts.train) + len(parts.test) == len(parts) == 20


def test_a_dataset_says_what_it_holds(parts: Dataset) -> None:
    assert str(parts) == "plates (folders): test 2 defective, test 4 good, train 4 defective, train 10 good"
    mixed = Dataset("few", (Sample(Path("a.png"), None), Sample(Path("b.png"), False, split="train")), "csv")
    assert str(mixed) == "few (csv): train 1 good, 1 unlabelled"


def test_the_seed_and_the_fraction_decide_the_split(parts_folder: Path, parts: Dataset) -> None:
    def paths_for_test(**options: Any) -> set[Path]:
        return {sample.path for sample in Dataset.open(parts_folder, **options).test}

    assert paths_for_test() == paths_for_test(seed=0) == {sample.path for sample in parts.test}
    assert paths_for_test(seed=1) != paths_for_test(seed=0)
    assert len(paths_for_test(test_fraction=0.5)) == 10
    assert {sample.path for sample in parts.split(0.5, seed=3).test} == paths_for_test(test_fraction=0.5, seed=3)


def test_a_dataset_can_stay_without_a_split(parts_folder: Path) -> None:
    whole = Dataset.open(parts_folder, split=False)
    assert {sample.split for sample in whole} == {None}
    assert len(whole) == 20


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 2.0, float("nan")])
def test_a_fraction_lies_between_0_and_1(fraction: float, parts_folder: Path) -> None:
    with pytest.raises(InputError, match=r"out of range. Give a number between 0 and 1"):
        Dataset.open(parts_folder, test_fraction=fraction)


def test_groups_stay_on_one_side(tmp_path: Path, write: Any, draw: Any) -> None:
    rows = ["image,group"]
    for seed in range(20):
        write(tmp_path / f"good/{seed}.png", draw(seed)[0])
        rows.append(f"good/{seed}.png,part {seed // 4}")
    (tmp_path / "groups.csv").write_text("\n".join(rows))
    dataset = Dataset.open(tmp_path)
    sides: dict[str | None, set[str | None]] = {}
    for sample in dataset:
        sides.setdefault(sample.group, set()).add(sample.split)
    assert len(sides) == 5
    assert all(len(side) == 1 for side in sides.values())


@pytest.mark.parametrize("seed", range(4))
def test_near_duplicates_stay_on_one_side(seed: int, tmp_path: Path, write: Any, draw: Any) -> None:
    for number in range(12):
        image = draw(number)[0]
        write(tmp_path / f"good/{number:02}.png", image)
        write(tmp_path / f"good/{number:02} copy.jpg", np.clip(image + 8.0, 0, 255).astype(np.uint8))
    split = {sample.path.name: sample.split for sample in Dataset.open(tmp_path, seed=seed)}
    assert all(split[f"{n:02}.png"] == split[f"{n:02} copy.jpg"] for n in range(12))
    assert set(split.values()) == {"train", "test"}


def test_a_crop_stays_with_its_part_as_the_check_would_have_it(tmp_path: Path, write: Any, draw: Any) -> None:
    for number in range(70):
        image = draw(number)[0]
        write(tmp_path / f"good/{number:02}.png", image)
        if number % 7 == 0:
            write(tmp_path / f"good/{number:02} crop.png", image[6:-4, 5:-6])
    dataset = Dataset.open(tmp_path)
    split = {sample.path.name: sample.split for sample in dataset}
    assert [n for n in range(0, 70, 7) if split[f"{n:02}.png"] != split[f"{n:02} crop.png"]] == []
    assert not [f for f in check(dataset.samples) if f.kind is Kind.LEAKAGE]


def test_parts_that_all_look_alike_are_split_with_a_warning(tmp_path: Path, write: Any, draw: Any) -> None:
    image = draw(0)[0]
    for number in range(10):
        noise = np.random.default_rng(number).normal(0, 1, image.shape)
        write(tmp_path / f"good/{number}.png", np.clip(image + noise, 0, 255).astype(np.uint8))
    with pytest.warns(DatasetWarning, match=r"10 of 10 images are near-identical.* Add a group column"):
        dataset = Dataset.open(tmp_path)
    assert _counts(dataset) == {("train", False): 7, ("test", False): 3}


def test_names_stand_where_all_parts_look_alike(tmp_path: Path, write: Any, draw: Any) -> None:
    image, rows = draw(0)[0], ["image,group"]
    for number in range(10):
        noise = np.random.default_rng(number).normal(0, 1, image.shape)
        write(tmp_path / f"good/{number}.png", np.clip(image + noise, 0, 255).astype(np.uint8))
        rows.append(f"good/{number}.png,part {number // 2}")
    (tmp_path / "groups.csv").write_text("\n".join(rows))
    units = Dataset.open(tmp_path).units()  # without a warning that asks for a group column
    assert units == [f"group:part {number // 2}" for number in range(10)]


def test_a_given_split_is_kept(tmp_path: Path, write: Any, draw: Any) -> None:
    sides = {"train/good": 3, "test/good": 2, "test/dent": 2}
    for place, count in sides.items():
        for number in range(count):
            write(tmp_path / f"{place}/{number}.png", draw(number)[0])
    dataset = Dataset.open(tmp_path, test_fraction=0.9)
    assert dataset.given_split
    assert _counts(dataset) == {("train", False): 3, ("test", False): 2, ("test", True): 2}


def test_rows_without_a_split_take_no_part_where_others_have_one(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        (tmp_path / f"{number}.png").write_bytes(b"")
    (tmp_path / "a.csv").write_text("image,label,split\n1.png,good,train\n2.png,good,\n3.png,dent,test\n")
    dataset = Dataset.open(tmp_path / "a.csv")
    assert [sample.path.name for sample in dataset] == ["1.png", "3.png"]
    assert dataset.name == "a"


def test_files_that_cannot_be_read_take_part_in_the_split(tmp_path: Path, write: Any, draw: Any) -> None:
    for seed in range(9):
        write(tmp_path / f"good/{seed}.png", draw(seed)[0])
    (tmp_path / "good/broken.png").write_bytes(b"no image")
    assert len(Dataset.open(tmp_path)) == 10


def test_a_count_of_training_parts_can_be_asked_for(parts: Dataset) -> None:
    few = parts.with_train_good(6)
    assert _counts(few) == {("train", False): 6, ("test", False): 8, ("test", True): 6}


def test_copies_of_a_file_are_one_group(tmp_path: Path, parts_folder: Path) -> None:
    shutil.copytree(parts_folder / "images/good", tmp_path / "good")
    for path in sorted((tmp_path / "good").iterdir())[:4]:
        shutil.copy(path, path.with_stem(f"{path.stem} again"))
    dataset = Dataset.open(tmp_path, test_fraction=0.5)
    train, test = ({content_hash(sample.path) for sample in side} for side in (dataset.train, dataset.test))
    assert not train & test


def test_a_colour_image_and_its_grey_copy_are_one_group(tmp_path: Path, write: Any, draw: Any) -> None:
    for seed in range(10):
        image = draw(seed)[0]
        write(tmp_path / f"good/{seed}.png", image)
        write(tmp_path / f"good/{seed} grey.png", cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
    split = {sample.path.name: sample.split for sample in Dataset.open(tmp_path)}
    assert all(split[f"{n}.png"] == split[f"{n} grey.png"] for n in range(10))
