"""The recipe file: whole or not there, and checked on every load."""

from __future__ import annotations

import errno
import json
import os
import re
import resource
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
import pytest
from onnx import helper, parser

from sightline.core.card import METADATA_KEY, SCHEMA
from sightline.core.errors import RecipeError
from sightline.runtime.recipe import Recipe, parse_card, write_atomically

FOREIGN = '<ir_version: 10, opset_import: ["" : 18]> other (float[N] a) => (float[N] b) { b = Identity(a) }'


def _with_card(recipe: Recipe, text: str | None) -> bytes:
    model = onnx.load_from_string(recipe.data)
    del model.metadata_props[:]
    if text is not None:
        helper.set_model_props(model, {METADATA_KEY: text})
    return model.SerializeToString()


@contextmanager
def _files_no_larger_than(size: int) -> Iterator[None]:
    """The kernel refuses to write more than `size` bytes into a file, as a full disk does."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


# Saving


def test_a_recipe_survives_its_file(recipe: Recipe, tmp_path: Path) -> None:
    path = recipe.save(tmp_path / "new folder" / "Blech 部品.onnx")
    loaded = Recipe.load(path)
    assert loaded == recipe
    assert loaded.hash == recipe.hash
    assert [entry.name for entry in path.parent.iterdir()] == ["Blech 部品.onnx"]


def test_other_users_may_read_a_recipe(recipe: Recipe, tmp_path: Path) -> None:
    path = recipe.save(tmp_path / "plates.onnx")
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_saving_again_replaces_the_file(recipe: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "plates.onnx"
    path.write_bytes(b"older")
    assert Recipe.load(recipe.save(path)) == recipe


@pytest.mark.parametrize("old", [None, b"the older recipe"])
def test_a_disk_that_fills_up_leaves_nothing_behind(old: bytes | None, recipe: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "plates.onnx"
    if old is not None:
        path.write_bytes(old)
    before = sorted(tmp_path.iterdir())
    with _files_no_larger_than(100_000), pytest.raises(RecipeError, match="could not be saved") as error:
        recipe.save(path)
    assert str(path) in str(error.value)
    assert "free space or choose another folder" in str(error.value)
    assert sorted(tmp_path.iterdir()) == before
    assert old is None or path.read_bytes() == old


def test_a_disk_that_cannot_flush_leaves_nothing_behind(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "plates.onnx"
    path.write_bytes(b"the older recipe")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RecipeError, match="No space left on device"):
        recipe.save(path)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"the older recipe"


def test_ctrl_c_while_saving_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(handle: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "plates.onnx", b"half")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_a_folder_is_an_error(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(RecipeError, match="could not be saved"):
        recipe.save(tmp_path / "file" / "plates.onnx")
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(RecipeError, match="could not be saved"):
        recipe.save(tmp_path / "folder.onnx")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder.onnx"]


# Loading

SPOILS: dict[str, tuple[Callable[[Recipe], bytes], str]] = {
    "empty": (lambda recipe: b"", "the file is empty. Train or copy the recipe again"),
    "text": (lambda recipe: b"this is a text\n", "not a valid ONNX file"),
    "cut off": (lambda recipe: recipe.data[: len(recipe.data) // 2], "not a valid ONNX file"),
    "foreign": (lambda recipe: parser.parse_model(FOREIGN).SerializeToString(), "not a Sightline recipe. Make one"),
    "no card": (lambda recipe: _with_card(recipe, None), "not a Sightline recipe"),
    "no json": (lambda recipe: _with_card(recipe, "{half"), "card is damaged"),
    "no object": (lambda recipe: _with_card(recipe, "[1, 2]"), "card is damaged"),
    "empty card": (lambda recipe: _with_card(recipe, "{}"), "card is damaged"),
}


@pytest.mark.parametrize("name", SPOILS)
def test_a_file_that_is_no_recipe_is_named_with_a_remedy(name: str, recipe: Recipe, tmp_path: Path) -> None:
    spoil, message = SPOILS[name]
    path = tmp_path / "plates.onnx"
    path.write_bytes(spoil(recipe))
    with pytest.raises(RecipeError, match=message) as error:
        Recipe.load(path)
    assert str(error.value).startswith(f"{path}: ")


def test_a_missing_recipe_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.onnx", tmp_path):
        with pytest.raises(RecipeError, match=r"cannot be read .* Check the path") as error:
            Recipe.load(path)
        assert str(path) in str(error.value)


def test_a_newer_card_asks_for_an_upgrade(recipe: Recipe, tmp_path: Path) -> None:
    card = json.loads(recipe.card.model_dump_json()) | {"schema_version": SCHEMA + 1, "new_field": 1}
    path = tmp_path / "plates.onnx"
    path.write_bytes(_with_card(recipe, json.dumps(card)))
    with pytest.raises(RecipeError, match=f"newer Sightline .card version {SCHEMA + 1}.*pip install -U sightline"):
        Recipe.load(path)


def test_a_card_with_an_unknown_field_is_damaged(recipe: Recipe, tmp_path: Path) -> None:
    card = json.loads(recipe.card.model_dump_json()) | {"surprise": 1}
    path = tmp_path / "plates.onnx"
    path.write_bytes(_with_card(recipe, json.dumps(card)))
    with pytest.raises(RecipeError, match="surprise"):
        Recipe.load(path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"roi": [0.5, 0.5, 0.9, 0.9]}, "roi: .*do not lie within the image"),
        ({"roi": [0.5, 0.0, -0.25, 1.0]}, "roi: .*do not lie within the image"),
        ({"roi": [0.0, 0.0, 0.0, 1.0]}, "roi: .*do not lie within the image"),
        ({"width": 10**9}, "width: .*16384"),
        ({"band": {"low": 2, "high": 1}}, "band: .*lies above its high threshold"),
        ({"band": 5, "types": 5, "grades": 5, "roi": 5}, "band: .*; and 1 more"),
    ],
)
def test_a_card_that_cannot_be_is_said_in_one_line(change: dict, told: str, recipe: Recipe) -> None:
    text = json.dumps({**json.loads(recipe.card.model_dump_json()), **change})
    with pytest.raises(RecipeError) as raised:
        parse_card({METADATA_KEY: text}, "r.onnx")
    message = str(raised.value)
    assert re.search(rf"r.onnx: the recipe's card is damaged \(.*{told}", message), message
    assert "\n" not in message and "pydantic" not in message


@pytest.mark.parametrize("text", ["5", "[]", "null", '"a"', '{"schema_version": "one"}', "{"])
def test_a_card_of_another_shape_is_damaged(text: str) -> None:
    with pytest.raises(RecipeError, match="card is damaged"):
        parse_card({METADATA_KEY: text}, "r.onnx")
