"""Whoever watches an operation may end it: what it was writing is whole or not there, and it can be begun again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sightline.core.errors import Cancelled
from sightline.operations import datasets, inspection, recipes, store, training

Ask = Callable[[Path, Path, Path, Any], Any]
TRAIN = {"side_px": 96, "bank_size": 256, "effort": "quick", "threads": 1, "synthetic": 0, "classify": False}
LOOKS = datasets.Looks("none", threads=1)


def location(folder: Path) -> store.StoreLocation:
    return str(folder / "store.db"), str(folder / "images")


def evaluate(parts: Path, recipe: Path, folder: Path, bar: Any) -> Any:
    judging = inspection.Judging(recipe, threads=1)
    return recipes.evaluate(judging, parts, folder / "report.html", include_trained=True, progress=bar)


def compare(parts: Path, recipe: Path, folder: Path, bar: Any) -> Any:
    return recipes.compare(recipe, recipe, parts, folder / "report.html", include_trained=True, progress=bar)


OPERATIONS: dict[str, Ask] = {
    "train": lambda parts, recipe, folder, bar: training.train(parts, folder / "x.onnx", dict(TRAIN), progress=bar),
    "evaluate": evaluate,
    "compare": compare,
    "check": lambda parts, recipe, folder, bar: datasets.check(
        parts, LOOKS, datasets.Decide(), folder / "r.html", folder / "t.csv", folder / "f.json", progress=bar
    ),
    "cover": lambda parts, recipe, folder, bar: datasets.cover(parts, LOOKS, progress=bar),
}


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("last", [False, True], ids=["at once", "at the end"])
def test_nothing_is_left_of_what_was_cancelled(
    name: str, last: bool, parts_folder: Path, recipe_file: Path, tmp_path: Path
) -> None:
    seen: list[str] = []

    def stop(stage: str, done: int, of: int) -> None:
        seen.append(stage)
        if not last or done + 1 >= of:
            raise Cancelled

    with pytest.raises(Cancelled):
        OPERATIONS[name](parts_folder, recipe_file, tmp_path, stop)
    assert seen and list(tmp_path.iterdir()) == []


def stop_at_once(stage: str, done: int, of: int) -> None:
    raise Cancelled


def test_a_store_goes_on_where_it_was_cancelled(parts_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        store.add(location(tmp_path), parts_folder, progress=stop_at_once)
    assert store.check(location(tmp_path))["missing"] == []
    again = store.add(location(tmp_path), parts_folder)
    assert again["added"] + again["present"] == 20 and again["refused"] == 0


def test_a_cancelled_backup_counts_for_nothing_and_a_cancelled_restore_is_begun_again(
    parts_folder: Path, tmp_path: Path
) -> None:
    store.add(location(tmp_path), parts_folder)
    backup, new = tmp_path / "backup", tmp_path / "new"
    new.mkdir()
    with pytest.raises(Cancelled):
        store.backup(location(tmp_path), backup, progress=stop_at_once)
    assert not list(backup.glob("store-*"))
    assert store.backup(location(tmp_path), backup)["altered"] == []
    with pytest.raises(Cancelled):
        store.restore(location(new), backup, progress=stop_at_once)
    assert store.restore(location(new), backup)["altered"] == []
    assert store.check(location(new))["ok"] and store.info(location(new))["products"] == {"plates": 20}
