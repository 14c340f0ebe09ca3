"""No picture gets lost silently: every file of a dataset is read, a mask, or named with the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightline.core.errors import InputError
from sightline.data.dataset import Dataset, DatasetWarning

SEEDS = iter(range(10_000))


@pytest.fixture
def fill(write: Any) -> Any:
    """Pictures that differ, by their names below a folder."""

    def _fill(folder: Path, *names: str) -> None:
        for name in names:
            rng = np.random.default_rng(next(SEEDS))
            plain = write(folder / Path(name).with_suffix(".png"), rng.integers(0, 255, (32, 32), np.uint8))
            plain.rename(folder / name)

    return _fill


def _good(base: str = "") -> list[str]:
    return [f"{base}good/{number}.png" for number in range(8)]


def test_one_line_says_what_became_of_every_file(tmp_path: Path, fill: Any) -> None:
    fill(tmp_path, *_good("images/"), "images/dent/1.jfif", "images/dent/1_GT.png", "masks/dent/2.png")
    fill(tmp_path, "images/0.png", "raw/3.png", "results/4.png", "images/good/h5.heic", "images/good/g6.gif")
    with pytest.warns(DatasetWarning, match="16 picture files: 9 read, 2 masks, 5 not read") as warned:
        dataset = Dataset.open(tmp_path, split=False)
    account = dataset.account
    assert account is not None
    assert (account.files, account.read, account.masks, len(dataset)) == (16, 9, 2, 9)
    left = {path.as_posix(): why for why, paths in account.left.items() for path in paths}
    assert left.pop("images/good/h5.heic").startswith("HEIC is not read: export as JPEG")
    assert left == {
        "images/0.png": "in no folder of a class",
        "images/good/g6.gif": "format not read: save as PNG",
        "raw/3.png": "in raw/, which looks like pictures that nobody has labelled",
        "results/4.png": "in results/, which looks like pictures that an inspection made",
    }
    assert str(account) in str(warned[0].message)
    assert dataset.summary().splitlines() == [f"{tmp_path.name} (folders): good 8, dent 1", str(account)]


def test_where_all_is_read_nothing_is_warned_about(tmp_path: Path, fill: Any) -> None:
    fill(tmp_path, *_good())
    assert str(Dataset.open(tmp_path, split=False).account) == "8 picture files: 8 read"


def test_links_to_folders_are_counted_where_they_are_read_and_named_where_not(tmp_path: Path, fill: Any) -> None:
    fill(tmp_path / "elsewhere", *_good(), "dent/1.png", "lot/1.png")
    (tmp_path / "parts").mkdir()
    for name in ("good", "dent"):
        (tmp_path / "parts" / name).symlink_to(tmp_path / "elsewhere" / name)
    assert str(Dataset.open(tmp_path / "parts", split=False).account) == "9 picture files: 9 read"
    (tmp_path / "elsewhere" / "good" / "lot").symlink_to(tmp_path / "elsewhere" / "lot")
    (tmp_path / "parts" / "good").unlink()
    (tmp_path / "elsewhere" / "good").rename(tmp_path / "parts" / "good")
    with pytest.warns(DatasetWarning, match="9 read, 1 not read .1: a link to a folder, .*, first good/lot"):
        Dataset.open(tmp_path / "parts", split=False)


def test_images_that_no_label_names_are_counted(tmp_path: Path, fill: Any) -> None:
    fill(tmp_path, "1.png", "2.png", "more/3.png")
    (tmp_path / "labels.csv").write_text("image,label\n1.png,0\n2.png,1\n4.png,1\n")
    with pytest.warns(DatasetWarning, match=r"1: not named by the labels, first more/3.png.*1 listed but not there"):
        dataset = Dataset.open(tmp_path, split=False)
    assert "labels: '0' is good, '1' is defective" in dataset.summary()
    assert dataset.summary().startswith(f"{tmp_path.name} (csv): good 1, defective (no type) 2\n")


def test_a_dataset_whose_images_are_elsewhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("image,label\n1.png,good\n2.png,good\n")
    with pytest.raises(InputError, match=r"names 2 images, but none of them exists \(first: .*1.png\). Check the path"):
        Dataset.open(tmp_path)


def test_a_name_that_would_forge_a_line_is_refused(tmp_path: Path, fill: Any) -> None:
    fill(tmp_path, *_good(), "good/a\nwarning: all is well.png")
    with pytest.raises(InputError, match=r"control characters .*all is well.*Rename or remove it") as error:
        Dataset.open(tmp_path)
    assert "\n" not in str(error.value)


def test_the_split_counts_only_files_that_can_be_decoded(tmp_path: Path, fill: Any) -> None:
    fill(tmp_path, *_good()[:5])
    for name in ("5", "6"):
        (tmp_path / f"good/{name}.png").write_bytes(b"no picture")
    readable = [sample for sample in Dataset.open(tmp_path).train if int(sample.path.stem) < 5]
    assert len(readable) == 5
